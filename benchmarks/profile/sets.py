"""The results of all reported sets, as the benchmarks of molecules, materials and crystals wrote them.

Only optimizers with their defaults count; rows of changed settings are left out.  LJ38 is not here: its 1000
clusters of one kind would outnumber all other structures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.optimizer_names import DEFAULT
from benchmarks.common.results_file import Json
from benchmarks.materials.sets import SETS as MATERIALS
from benchmarks.molecules.sets import SETS as MOLECULES

RESULTS = Path(__file__).parent.parent / "results"
MOLECULE_SETS = ("baker", "birkholz", "drugs", "clusters")
POTENTIAL = "chgnet"
CRYSTALS = f"crystals_{POTENTIAL}"


@dataclass(frozen=True)
class Set:
    """The results of one set of structures.

    Attributes
    ----------
    family
        ``"molecules"`` or ``"materials"``.
    words
        What the structures are.
    structures
        How many there are.
    fmax
        Largest row of forces, and of the cell gradient, at which a run ends, eV/A.
    cap
        Most force calls of a run; a failure counts as that many.
    rows
        The row of each optimizer, by its name.
    """

    family: str
    words: str
    structures: int
    fmax: float
    cap: int
    rows: dict[str, Json]


def all_sets(folder: Path = RESULTS) -> list[Set]:
    """Return the sets that have a file of results in ``folder`` and a row of ``default`` in it."""
    return [found for found in read_sets(folder) if DEFAULT in found.rows]


def read_sets(folder: Path) -> Iterator[Set]:
    """Yield the sets that have a file of results in ``folder``."""
    for name in MOLECULE_SETS:
        path = folder / f"{MOLECULES[name].stem}.json"
        if path.exists():
            results = json.loads(path.read_text())
            fmax = min(row["fmax"] for row in results["rows"])
            rows = [row for row in results["rows"] if row["fmax"] == fmax]
            yield made("molecules", MOLECULES[name].title, fmax, results, rows)
    for name, kind in MATERIALS.items():
        path = folder / f"materials_{POTENTIAL}_{name}.json"
        if path.exists():
            results = json.loads(path.read_text())
            yield made("materials", kind.words, results["fmax"], results, results["rows"])
    path = folder / f"{CRYSTALS}.json"
    if path.exists():
        results = json.loads(path.read_text())
        rows = [row for row in results["rows"] if row["rattle"] == 0]
        yield made("materials", "crystals of 2 to 8 atoms", results["fmax"], results, rows)


def made(family: str, words: str, fmax: float, results: Json, rows: list[Json]) -> Set:
    """Return a set with the rows of optimizers that have their defaults."""
    plain = {row["optimizer"]: row for row in rows if ":" not in row["optimizer"].removeprefix("ase:")}
    return Set(family, words, len(results["structures"]), fmax, results["cap"], plain)
