"""The file of results of the benchmark of disturbed forces: a row for each set, optimizer and disturbance."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.disturbed.tables import key_of, page
from relax.analysis.comparison.files.provenance import calculator_packages, environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of

SETS = {"lj38": System.POSITIONS, "crystals": System.CRYSTALS}
"""What is relaxed of the structures of each set."""

POTENTIAL = "chgnet"
"""The calculator of the crystals."""


def header(n: int, seed: int, fmax: float, cap: int) -> Json:
    """Return the header of a file of results."""
    return {
        "benchmark": "disturbed",
        "n": n,
        "seed": seed,
        "fmax": fmax,
        "cap": cap,
        **environment("numpy", "scipy", "ase", "relax"),
    }


def identity(kind: str, optimizer: str, noise: float, curl: float) -> Json:
    """Return the entries that decide the numbers of a row."""
    packages = list(packages_of(optimizer, SETS[kind]))
    if kind == "crystals":
        packages += calculator_packages(POTENTIAL)
    return {
        "kind": kind,
        "optimizer": optimizer,
        "noise": noise,
        "curl": curl,
        "parameters": settings_text(optimizer, SETS[kind]),
        "versions": versions(*packages),
    }


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, with the command that makes them."""
    sets = " ".join(f"--set {kind}" for kind in dict.fromkeys(row["kind"] for row in rows))
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    command = f"python -m benchmarks.disturbed {sets} --n {head['n']} --seed {head['seed']}"
    return head | {"command": f"{command} --optimizers {names}", "rows": list(rows)}


SCHEMA = Schema(
    protocol=("benchmark", "n", "seed", "fmax", "cap"),
    key=key_of,
    identity=lambda head, row: identity(*key_of(row)),
    complete=complete,
    check=page,
)
