"""The file of results of the molecule benchmark: a row for each optimizer and each fmax.

A row has for each molecule what :class:`benchmarks.molecules.runs.End` holds, ``fmax`` (eV/A) and the
statistics of :mod:`relax.analysis.comparison.statistics`.  ``other_bonds`` counts the ends whose
bonds are not those of the molecule, failures or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from benchmarks.molecules.runs import BOND, End, Key
from benchmarks.molecules.sets import SETS
from benchmarks.molecules.starts import BONDS_DECIDE, CALCULATORS, Molecules
from benchmarks.molecules.tables import as_markdown
from relax.analysis.comparison.files.journal import Runs
from relax.analysis.comparison.files.provenance import calculator_packages, environment, sha256_of, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of
from relax.analysis.comparison.runs.run import OVERLAP, end_arrays
from relax.analysis.comparison.statistics import beside_ours, summarized

RAW = ("parameters", "versions", *(f.name for f in fields(End) if f.name != "reason"), "reasons")
"""Entries of a row that are not computed from others."""
FIRST_CALL = "first call within fmax"


def header(
    chosen: str, found: Molecules, calculator: str, rattle: float, seed: int, cap: int, names: str
) -> Json:
    """Return the header of a set's file of results; ``names`` are those asked for, empty for all."""
    packages = calculator_packages(calculator)
    set_packages = [package for package in SETS[chosen].packages if package != "ase"]
    charges = {atoms.info["name"]: int(atoms.get_initial_charges().sum()) for atoms in found.starts}
    return {
        "benchmark": "molecules",
        "set": chosen,
        "calculator": calculator,
        "method": CALCULATORS[calculator],
        "names": names,
        "rattle": rattle,
        "seed": seed,
        "cap": cap,
        "stop": FIRST_CALL if SETS[chosen].first_call else None,
        "checks": {"bond": BOND, "near": OVERLAP, "bonds_decide": BONDS_DECIDE[calculator]},
        **environment("numpy", "scipy", "ase", "relax", *packages, *set_packages),
        "starts_sha256": sha256_of(found.starts),
        "excluded": found.excluded,
        "structures": [atoms.info["name"] for atoms in found.starts],
        "atoms": [len(atoms) for atoms in found.starts],
        "charges": {name: charge for name, charge in charges.items() if charge},
    }


def identity(head: Json, optimizer: str, fmax: float) -> Json:
    """Return the entries that decide the numbers of a row."""
    packages = packages_of(optimizer, System.MOLECULES)
    return {
        "optimizer": optimizer,
        "fmax": fmax,
        "parameters": settings_text(optimizer, System.MOLECULES),
        "versions": versions(*packages, *calculator_packages(head["calculator"])),
    }


def row_of(head: Json, key: Key, ends: Sequence[End]) -> Json:
    """Return the row of an optimizer, without statistics, from the ends of its runs."""
    return identity(head, key.optimizer, key.fmax) | end_arrays(head["structures"], ends)


def other_bonds(row: Json) -> Json:
    """Return the number of runs that ended with other bonds."""
    return {"other_bonds": sum(bonds != "kept" for bonds in row["bonds"])}


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results: the rows with statistics, and the command that makes them."""
    ordered = sorted(rows, key=lambda row: -row["fmax"])
    made = summarized(ordered, "fmax", head["cap"], RAW, other_bonds)
    made = beside_ours(made, "fmax", head["atoms"], head["cap"])
    return head | {"command": command(head, made), "rows": made}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    words = [
        f"--set {head['set']} --calculator {head['calculator']}",
        *([f"--only {head['names']}"] if head["names"] else []),
    ]
    words += [f"--rattle {head['rattle']:g} --seed {head['seed']} --cap {head['cap']}"]
    words += [f"--fmax {fmax:g}" for fmax in dict.fromkeys(row["fmax"] for row in rows)]
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    return f"python -m benchmarks.molecules {' '.join(words)} --optimizers {names}"


SCHEMA = Schema(
    protocol=(
        "benchmark", "calculator", "rattle", "seed", "cap", "stop", "checks", "starts_sha256", "structures",
    ),
    key=lambda row: (row["fmax"], row["optimizer"]),
    identity=lambda head, row: identity(head, row["optimizer"], row["fmax"]),
    complete=complete,
    check=as_markdown,
)  # fmt: skip

RUNS = Runs(
    schema=SCHEMA,
    key=Key,
    end=End,
    identity=lambda head, key: identity(head, key.optimizer, key.fmax),
    row_of=row_of,
)
