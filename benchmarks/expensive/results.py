"""The file of results: a row for each method of a part.

A row has for each structure what :class:`benchmarks.molecules.runs.End` holds, and the statistics of
:mod:`relax.comparison.statistics`.  ``ours`` compares it with the first method that has a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from ase import Atoms

from benchmarks.expensive.methods import PRIOR, peers_of
from benchmarks.expensive.parts import PARTS
from benchmarks.expensive.runs import Key
from benchmarks.expensive.tables import as_markdown
from benchmarks.molecules.runs import End
from relax.comparison.files.journal import Runs
from relax.comparison.files.provenance import calculator_packages, environment, sha256_of, versions
from relax.comparison.files.results_file import Json, Schema
from relax.comparison.minimizers.construction import settings_text
from relax.comparison.minimizers.names import System, packages_of
from relax.comparison.runs.run import end_arrays
from relax.comparison.statistics import capped_calls, no_higher, summarized
from relax.rules import Kriging

__all__ = ["RUNS", "SCHEMA", "header"]

RAW = ("parameters", "versions", *(f.name for f in fields(End) if f.name != "reason"), "reasons")
"""Entries of a row that are not computed from others."""


def header(part: str, structures: dict[str, Atoms], names: str) -> Json:
    """Return the header of a part's file of results; ``names`` are those asked for, empty for all."""
    chosen = PARTS[part]
    packages = calculator_packages(chosen.calculator)
    return {
        "benchmark": "expensive",
        "part": part,
        "calculator": chosen.calculator,
        "pre": PRIOR,
        "names": names,
        "fmax": chosen.fmax,
        "cap": chosen.cap,
        **environment("numpy", "scipy", "ase", "relax", *packages, "rdkit"),
        "starts_sha256": sha256_of(list(structures.values())),
        "structures": list(structures),
        "atoms": [len(atoms) for atoms in structures.values()],
    }


def identity(head: Json, method: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    names = peers_of([method])
    kriging = ", ".join(f"{name}={value!r}" for name, value in asdict(Kriging()).items())
    return {
        "optimizer": method,
        "fmax": head["fmax"],
        "parameters": settings_text(names[0], System.MOLECULES) if names else kriging,
        "versions": versions(
            *(packages_of(names[0], System.MOLECULES) if names else ()),
            *calculator_packages(head["calculator"]),
        ),
    }


def row_of(head: Json, key: Key, ends: Sequence[End]) -> Json:
    """Return the row of a method, without statistics, from the ends of its runs."""
    return identity(head, key.method) | end_arrays(head["structures"], ends)


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results: the rows with statistics, and the command that makes them."""
    made = summarized(rows, "fmax", head["cap"], RAW, lambda row: {})
    ours = next((row for row in made if row["optimizer"].startswith("prior:")), None)
    for row in made:
        row.pop("beside", None)
        if ours is not None and row is not ours:
            row["ours"] = compared(ours, row, head)
    words = f"--part {head['part']}" + (f" --only {head['names']}" if head["names"] else "")
    methods = ",".join(row["optimizer"] for row in made)
    return head | {"command": f"python -m benchmarks.expensive {words} --methods {methods}", "rows": made}


def compared(ours: Json, row: Json, head: Json) -> dict[str, Any]:
    """Return the mean calls of ``ours`` over those of a row, and how often each ended no higher."""
    mine, its = (float(capped_calls(each, head["cap"]).mean()) for each in (ours, row))
    ends = [no_higher(ours, row, head["atoms"]), no_higher(row, ours, head["atoms"])]
    return {"calls": round(mine / its, 4), "no_higher": ends}


SCHEMA = Schema(
    protocol=("benchmark", "part", "calculator", "pre", "fmax", "cap", "starts_sha256", "structures"),
    key=lambda row: row["optimizer"],
    identity=lambda head, row: identity(head, row["optimizer"]),
    complete=complete,
    check=as_markdown,
)

RUNS = Runs(
    schema=SCHEMA,
    key=Key,
    end=End,
    identity=lambda head, key: identity(head, key.method),
    row_of=row_of,
)
