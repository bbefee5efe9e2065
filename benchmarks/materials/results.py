"""The files of results, one for each set: a row for each optimizer.

A row has for each structure what :class:`relax.analysis.comparison.runs.run.RunEnd` holds, and the
statistics of :mod:`relax.analysis.comparison.statistics` and :mod:`benchmarks.materials.statistics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.materials import optimizers
from benchmarks.materials.optimizers import OPTIMIZERS
from benchmarks.materials.runs import Key
from benchmarks.materials.sets import SETS, Starts
from benchmarks.materials.statistics import summarized
from benchmarks.materials.tables import as_markdown
from relax.analysis.comparison.files.journal import Runs
from relax.analysis.comparison.files.provenance import calculator_packages, environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.ends import VOLUME
from relax.analysis.comparison.runs.run import OVERLAP, RunEnd, end_arrays

RAW = ("parameters", "versions", *(f.name for f in fields(RunEnd) if f.name != "reason"), "reasons")
"""Entries of a row that are not computed from others."""


@dataclass(frozen=True)
class Protocol:
    """What all runs have in common; ``seed`` is that of the structures."""

    calculator: str
    fmax: float
    cap: int
    seed: int


def path_of(path: Path | None, kind: str) -> Path | None:
    """Return the file of a set, beside ``path``: ``out.json`` becomes ``out_slabs.json``."""
    return None if path is None else path.with_name(f"{path.stem}_{kind}{path.suffix}")


def read_all(path: Path, kinds: Sequence[str]) -> list[Json]:
    """Return the results of those sets that have a file beside ``path``.

    Raises
    ------
    ValueError
        No set has one.
    """
    paths = [path.with_name(f"{path.stem}_{kind}{path.suffix}") for kind in kinds]
    found = [SCHEMA.read(one) for one in paths if one.exists()]
    if not found:
        raise ValueError(f"there is none of {', '.join(one.name for one in paths)}")
    return found


def header(starts: Starts, protocol: Protocol) -> Json:
    """Return the header of the file of results of a set."""
    cell = starts.system is System.CRYSTALS
    return {
        "benchmark": "materials",
        "set": starts.kind,
        "cell": cell,
        "calculator": protocol.calculator,
        "fmax": protocol.fmax,
        "cap": protocol.cap,
        "seed": protocol.seed,
        "checks": {"near": OVERLAP} | ({"volume": list(VOLUME)} if cell else {}),
        **environment("numpy", "scipy", "ase", "relax", *calculator_packages(protocol.calculator)),
        "starts_sha256": starts.sha256,
        "excluded": starts.excluded,
        "structures": [atoms.info["name"] for atoms in starts.atoms],
        "atoms": [len(atoms) for atoms in starts.atoms],
        "fixed": starts.fixed,
    }


def identity(head: Json, optimizer: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    system = SETS[head["set"]].system
    packages = optimizers.packages(optimizer, system)
    return {
        "parameters": optimizers.settings(optimizer, system),
        "versions": versions(*packages, *calculator_packages(head["calculator"])),
    }


def row_of(head: Json, key: Key, ends: Sequence[RunEnd]) -> Json:
    """Return the row of an optimizer, without statistics, from the ends of its runs."""
    named = {"optimizer": key.optimizer, "set": key.kind}
    return named | identity(head, key.optimizer) | end_arrays(head["structures"], ends)


def order(row: Json) -> tuple[int, str]:
    """Return by what rows are sorted, so that their order does not depend on when they were made."""
    name = row["optimizer"]
    return OPTIMIZERS.index(name) if name in OPTIMIZERS else len(OPTIMIZERS), name


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results: the rows with statistics, and the command that makes them."""
    ordered = sorted(rows, key=order)
    made = [
        {"optimizer": row["optimizer"], "set": row["set"]} | statistics | {name: row[name] for name in RAW}
        for row, statistics in zip(ordered, summarized(ordered, head["cap"]), strict=True)
    ]
    return head | {"command": command(head, made), "rows": made}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    words = (
        f"--set {head['set']} --calculator {head['calculator']} --fmax {head['fmax']:g} --cap {head['cap']}"
    )
    names = ",".join(row["optimizer"] for row in rows)
    return f"python -m benchmarks.materials {words} --seed {head['seed']} --optimizers {names}"


SCHEMA = Schema(
    protocol=(
        "benchmark", "set", "cell", "calculator", "fmax", "cap", "seed", "checks", "starts_sha256",
        "structures", "fixed",
    ),
    key=lambda row: (row["set"], row["optimizer"]),
    identity=lambda head, row: identity(head, row["optimizer"]),
    complete=complete,
    check=as_markdown,
)  # fmt: skip

RUNS = Runs(
    schema=SCHEMA,
    key=Key,
    end=RunEnd,
    identity=lambda head, key: identity(head, key.optimizer),
    row_of=row_of,
)
