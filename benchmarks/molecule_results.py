"""The file of results of the molecule benchmark: what it says, and how it is read and written.

A row holds, for each molecule in order, what :class:`benchmarks.molecule_runs.End` says, ``fmax`` (eV/A),
``parameters`` and ``versions``, which decide it, given what is said before the rows, and the statistics of
:mod:`benchmarks.crystal_statistics`.  ``other_bonds`` counts the ends whose bonds are not those of the
molecule, failures or not.  A row is in the file as soon as its last run has ended.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.book import Book
from benchmarks.crystal_results import sha256_of
from benchmarks.crystal_runs import NEAR
from benchmarks.crystal_statistics import statistics
from benchmarks.lj38_results import read_shown, versions
from benchmarks.molecule_runs import BOND, End
from benchmarks.molecule_starts import BONDED, CALCULATORS, Molecules
from benchmarks.position_optimizers import packages_of, settings_text

Json = dict[str, Any]

DECISIVE = ("benchmark", "calculator", "rattle", "seed", "cap", "checks", "starts_sha256", "structures")
"""Entries that must be the same for rows to stand beside each other."""
RUNS = tuple(f.name for f in fields(End) if f.name != "reason")
PACKAGES: dict[str, list[str]] = {"xtb": ["tblite"], "emt": []}
"""The packages that a calculator's numbers come from, but for ASE."""
DECIDED = ("optimizer", "fmax", "parameters", "versions")


def header(found: Molecules, calculator: str, rattle: float, seed: int, cap: int, names: str) -> Json:
    """Return what a file of results says before its rows; ``names`` are those asked for, if not all."""
    return {
        "benchmark": "molecules",
        "calculator": calculator,
        "method": CALCULATORS[calculator],
        "names": names,
        "rattle": rattle,
        "seed": seed,
        "cap": cap,
        "checks": {"bond": BOND, "near": NEAR, "bonds_decide": BONDED[calculator]},
        "versions": {"python": platform.python_version()}
        | versions("numpy", "scipy", "ase", "relax", *PACKAGES[calculator]),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "starts_sha256": sha256_of(found.starts),
        "excluded": found.excluded,
        "structures": [atoms.info["name"] for atoms in found.starts],
        "atoms": [len(atoms) for atoms in found.starts],
    }


def identity(optimizer: str, fmax: float, calculator: str) -> Json:
    """Return what decides a row, given what is said before the rows."""
    return {
        "optimizer": optimizer,
        "fmax": fmax,
        "parameters": settings_text(optimizer),
        "versions": versions(*packages_of(optimizer), *PACKAGES[calculator]),
    }


def row_of(head: Json, optimizer: str, fmax: float, ends: Sequence[End]) -> Json:
    """Return the row of an optimizer whose runs ended like this."""
    told = [asdict(end) for end in ends]
    reasons = {name: end.reason for name, end in zip(head["structures"], ends, strict=True) if end.reason}
    arrays = {name: [end[name] for end in told] for name in RUNS}
    return identity(optimizer, fmax, head["calculator"]) | arrays | {"reasons": reasons}


def summarized(rows: Sequence[Json], cap: int) -> list[Json]:
    """Return the rows with all that is said of them, statistics first, table by table."""
    found: list[Json] = []
    for fmax in sorted({row["fmax"] for row in rows}, reverse=True):
        table = [row for row in rows if row["fmax"] == fmax]
        for row, said in zip(table, statistics(table, cap), strict=True):
            raw = {name: row[name] for name in (*DECIDED, *RUNS, "reasons")}
            other = sum(bonds != "kept" for bonds in row["bonds"])
            found.append({"optimizer": row["optimizer"], "fmax": fmax} | said | {"other_bonds": other} | raw)
    return found


def results_of(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results."""
    made = summarized(rows, head["cap"])
    return head | {"command": command(head, made), "rows": made}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    words = [f"--calculator {head['calculator']}", *([f"--only {head['names']}"] if head["names"] else [])]
    words += [f"--rattle {head['rattle']:g} --seed {head['seed']} --cap {head['cap']}"]
    words += [f"--fmax {fmax:g}" for fmax in dict.fromkeys(row["fmax"] for row in rows)]
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    return f"python -m benchmarks.molecules {' '.join(words)} --optimizers {names}"


def read_results(path: Path) -> Json:
    """Return the results in a file.  Raises ValueError where it holds none."""
    from benchmarks.molecule_table import as_markdown

    return read_shown(path, as_markdown)


class MoleculeBook(Book):
    """The rows of optimizers, a row for each of them and each fmax."""

    DECISIVE = DECISIVE

    @staticmethod
    def key(row: Json) -> tuple[float, str]:
        return row["fmax"], row["optimizer"]

    def identity(self, row: Json) -> Json:
        return identity(row["optimizer"], row["fmax"], self.head["calculator"])

    def read(self, path: Path) -> Json:
        return read_results(path)

    def results(self) -> Json:
        return results_of(self.head, list(self.rows.values()))
