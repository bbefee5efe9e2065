"""The file of results of the benchmark of the minimum check: a row for each structure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.minima.runs import FMAX, STEPS
from benchmarks.minima.structures import STRUCTURES
from benchmarks.minima.tables import LEVELS, key_of, page
from relax.analysis.comparison.files.provenance import calculator_packages, environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import DEFAULT, packages_of
from relax.engine.minima import minimum_check


def header() -> Json:
    """Return the header of a file of results."""
    return {
        "benchmark": "minima",
        "fmax": FMAX,
        "steps": STEPS,
        **environment("numpy", "scipy", "ase", "relax"),
    }


def identity(name: str) -> Json:
    """Return the entries that decide the numbers of the row of a structure."""
    structure = STRUCTURES[name]
    packages = [*packages_of(DEFAULT, structure.system), *calculator_packages(structure.calculator)]
    return {
        "structure": name,
        "calculator": structure.calculator,
        "relaxes": structure.system.value,
        "step": structure.step,
        "optimizer": DEFAULT,
        "parameters": settings_text(DEFAULT, structure.system),
        "checks": {level: repr(minimum_check.LEVELS[level]()) for level in LEVELS},
        "versions": versions(*packages),
    }


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, in the order of the structures, with the command that makes them."""
    order = list(STRUCTURES)
    ordered = sorted(rows, key=lambda row: order.index(row["structure"]))
    command = "python -m benchmarks.minima"
    if len(ordered) < len(order):
        command += "".join(f' --structure "{row["structure"]}"' for row in ordered)
    return head | {"command": command, "rows": ordered}


SCHEMA = Schema(
    protocol=("benchmark", "fmax", "steps"),
    key=key_of,
    identity=lambda head, row: identity(key_of(row)),
    complete=complete,
    check=page,
)
"""The table of the benchmark of the minimum check."""
