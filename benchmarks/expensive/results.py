"""The file of results: a row for each method of a part.

A row has for each start what :class:`benchmarks.molecules.runs.End` holds, and the statistics of
:mod:`relax.analysis.comparison.statistics`; ``median`` and ``max`` are those of the means over the draws of a
structure.  ``ours`` compares it with the first method that has a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.expensive.methods import peers_of
from benchmarks.expensive.parts import PARTS, Part
from benchmarks.expensive.runs import Key
from benchmarks.expensive.tables import as_markdown
from benchmarks.molecules.runs import End
from relax.analysis.comparison.files.journal import Runs
from relax.analysis.comparison.files.provenance import (
    calculator_packages,
    environment,
    named_calculator,
    sha256_of,
    versions,
)
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import packages_of
from relax.analysis.comparison.runs.run import end_arrays
from relax.analysis.comparison.statistics import capped_calls, no_higher, summarized
from relax.rules import Kriging

__all__ = ["RUNS", "SCHEMA", "header"]

RAW = ("parameters", "versions", *(f.name for f in fields(End) if f.name != "reason"), "reasons")
"""Entries of a row that are not computed from others."""


ALONE = "direct:kriging"
"""Beside what methods are put, too, that begin from the structure as it is."""

MORE = 2
"""Force calls by which one method is noticeably worse on a structure than another."""


def header(part: str, structures: dict[str, Atoms], names: str) -> Json:
    """Return the header of a part's file of results; ``names`` are those asked for, empty for all."""
    chosen = PARTS[part]
    made = environment("numpy", "scipy", "ase", "relax", *packages(chosen))
    made["versions"] |= chosen.programs()
    return {
        "benchmark": "expensive",
        "part": part,
        **{key: value for key, value in named_calculator(chosen.calculator).items() if value},
        "pre": chosen.cheap,
        "names": names,
        "fmax": chosen.fmax,
        "cap": chosen.cap,
        "draws": chosen.draws,
        **made,
        "starts_sha256": sha256_of(list(structures.values())),
        "structures": list(structures),
        "atoms": [len(atoms) for atoms in structures.values()],
    }


def packages(part: Part) -> list[str]:
    """Return the packages that decide the numbers of a part, beside those of its optimizers."""
    of_calculators = *calculator_packages(part.calculator), *calculator_packages(part.cheap)
    return list(dict.fromkeys((*of_calculators, *part.packages)))


def identity(head: Json, method: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    part, names = PARTS[head["part"]], peers_of([method])
    kriging = ", ".join(f"{name}={value!r}" for name, value in asdict(Kriging()).items())
    of_optimizer = packages_of(names[0], part.system) if names else ()
    return {
        "optimizer": method,
        "fmax": head["fmax"],
        "parameters": settings_text(names[0], part.system) if names else kriging,
        "versions": versions(*of_optimizer, *packages(part)) | part.programs(),
    }


def row_of(head: Json, key: Key, ends: Sequence[End]) -> Json:
    """Return the row of a method, without statistics, from the ends of its runs."""
    return identity(head, key.method) | end_arrays(head["structures"], ends)


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results: the rows with statistics, and the command that makes them."""
    made = summarized(rows, "fmax", head["cap"], RAW, lambda row: {})
    ours = next((row for row in made if row["optimizer"].startswith("prior:")), None)
    alone = next((row for row in made if row["optimizer"] == ALONE), None)
    for row in made:
        row.pop("beside", None)
        means = mean_calls(row, head)
        row |= {"median": float(np.median(means)), "max": round(float(means.max()), 2)}
        if ours is not None and row is not ours:
            row["ours"] = compared(ours, row, head)
        if alone is not None and row is not alone and row["optimizer"].startswith("direct:"):
            row["alone"] = compared(alone, row, head)
    words = f"--part {head['part']}" + (f" --only {head['names']}" if head["names"] else "")
    methods = ",".join(row["optimizer"] for row in made)
    return head | {"command": f"python -m benchmarks.expensive {words} --methods {methods}", "rows": made}


def mean_calls(row: Json, head: Json) -> np.ndarray:
    """Return the force calls for each structure, the means over its draws, (S,); the cap for a failure."""
    means: np.ndarray = capped_calls(row, head["cap"]).reshape(-1, head["draws"]).mean(axis=1)
    return means


def compared(ours: Json, row: Json, head: Json) -> dict[str, Any]:
    """Return the mean calls of ``ours`` over those of a row, and on how many structures it needs more.

    ``no_higher`` counts the starts from which each ended no higher than the other.
    """
    mine, its = (mean_calls(each, head) for each in (ours, row))
    ends = [no_higher(ours, row, head["atoms"]), no_higher(row, ours, head["atoms"])]
    worse = int((mine > its + MORE).sum())
    return {"calls": round(float(mine.mean() / its.mean()), 4), "worse": worse, "no_higher": ends}


SCHEMA = Schema(
    protocol=("benchmark", "part", "calculator", "pre", "fmax", "cap", "starts_sha256", "structures"),
    key=lambda row: (row["optimizer"],),
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
