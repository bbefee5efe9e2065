"""The results of all reported sets, as the benchmarks of molecules, materials and crystals wrote them.

In :func:`all_sets` only optimizers with their defaults count; rows of changed settings are left out.  LJ38 is
not there: its 1000 clusters of one kind would outnumber all other structures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.materials.sets import SETS as MATERIALS
from benchmarks.molecules.sets import SETS as MOLECULES
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.names import DEFAULT

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
    found = [replace(one, rows=with_defaults(one.rows)) for one in read_sets(folder)]
    return [one for one in found if DEFAULT in one.rows]


def with_defaults(rows: dict[str, Json]) -> dict[str, Json]:
    """Return the rows of optimizers that have their defaults."""
    return {name: row for name, row in rows.items() if ":" not in name.removeprefix("ase:")}


def read_sets(folder: Path) -> Iterator[Set]:
    """Yield the sets that have a file of results in ``folder``."""
    for name in MOLECULE_SETS:
        yield from molecules(folder, name)
    for name in MATERIALS:
        yield from materials(folder, name)
    yield from crystals(folder)


def molecules(folder: Path, name: str) -> Iterator[Set]:
    """Yield a set of molecules, to the smallest force, if there is a file of its results."""
    path = folder / f"{MOLECULES[name].stem}.json"
    if path.exists():
        results = json.loads(path.read_text())
        fmax = min(row["fmax"] for row in results["rows"])
        rows = [row for row in results["rows"] if row["fmax"] == fmax]
        yield made("molecules", MOLECULES[name].title, fmax, results, rows)


def materials(folder: Path, name: str) -> Iterator[Set]:
    """Yield a set of materials, if there is a file of its results."""
    path = folder / f"materials_{POTENTIAL}_{name}.json"
    if path.exists():
        results = json.loads(path.read_text())
        yield made("materials", MATERIALS[name].words, results["fmax"], results, results["rows"])


def crystals(folder: Path, rattle: float = 0.0) -> Iterator[Set]:
    """Yield the crystals whose starts were rattled by ``rattle`` (A), if there are results of them."""
    path = folder / f"{CRYSTALS}.json"
    if path.exists():
        results = json.loads(path.read_text())
        rows = [row for row in results["rows"] if row["rattle"] == rattle]
        if rows:
            yield made("materials", "crystals of 2 to 8 atoms", results["fmax"], results, rows)


def made(family: str, words: str, fmax: float, results: Json, rows: list[Json]) -> Set:
    """Return a set with all its rows."""
    named = {row["optimizer"]: row for row in rows}
    return Set(family, words, len(results["structures"]), fmax, results["cap"], named)
