"""The file of results of descents: a row for each optimizer and each structure.

``energy`` (eV/atom) and ``force`` (eV/A) of a row have a number for each force call.  ``force`` is the
largest row of forces and, where the cell relaxes, of the cell gradient of ASE's ``FrechetCellFilter``, which
is the criterion of all optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ase import Atoms

from benchmarks.descents.figure import curves
from benchmarks.descents.systems import CASES
from relax.analysis.comparison.files.provenance import calculator_packages, environment, sha256_of, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import packages_of


def header(starts: Mapping[str, Atoms]) -> Json:
    """Return the header of a file of results."""
    return {
        "benchmark": "descents",
        "command": "python -m benchmarks.descents",
        "systems": {
            name: asdict(CASES[name].spec)
            | {
                "formula": start.get_chemical_formula(),
                "atoms": len(start),
                "start_sha256": sha256_of([start]),
            }
            for name, start in starts.items()
        },
        **environment("numpy", "scipy", "ase", "relax"),
    }


def identity(case_name: str, name: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    case = CASES[case_name]
    packages = [*packages_of(name, case.system), *calculator_packages(case.spec.calculator)]
    return {
        "system": case_name,
        "optimizer": name,
        "parameters": settings_text(case.registered_name(name), case.system),
        "versions": versions(*packages),
    }


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, the rows in the order of the figure."""
    found = {(row["system"], row["optimizer"]): row for row in rows}
    order = [(name, optimizer) for name, case in CASES.items() for optimizer in case.optimizers]
    return head | {"rows": [found[key] for key in order if key in found]}


def check(results: Json) -> None:
    """Raise an exception unless these are results of this benchmark."""
    if results["benchmark"] != "descents":
        raise ValueError(f"the benchmark is {results['benchmark']}")
    for system in results["systems"]:
        curves(results, system)


SCHEMA = Schema(
    protocol=("benchmark", "systems"),
    key=lambda row: (row["system"], row["optimizer"]),
    identity=lambda head, row: identity(row["system"], row["optimizer"]),
    complete=complete,
    check=check,
)
