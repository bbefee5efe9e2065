"""The file of results of the benchmark of large crystals: a row for each optimizer and each size.

A row has what :class:`benchmarks.metals.runs.End` holds, the number of atoms asked for (``size``) and the
number there is (``atoms``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.common.provenance import processor
from benchmarks.metals.runs import End, Task, crystal
from benchmarks.metals.tables import as_markdown
from relax.analysis.comparison.files.provenance import environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of


def header(rattle: float, seed: int, fmax: float, cap: int) -> Json:
    """Return the header of a file of results."""
    return {
        "benchmark": "metals",
        "calculator": "emt",
        "rattle": rattle,
        "seed": seed,
        "fmax": fmax,
        "cap": cap,
        **environment("numpy", "scipy", "ase", "relax"),
        "processor": processor(),
    }


def identity(optimizer: str, size: int) -> Json:
    """Return the entries that decide the numbers of a row."""
    return {
        "optimizer": optimizer,
        "size": size,
        "parameters": settings_text(optimizer, System.POSITIONS),
        "versions": versions(*packages_of(optimizer, System.POSITIONS)),
    }


def row_of(task: Task, end: End) -> Json:
    """Return the row of a run."""
    atoms = len(crystal(task.atoms, 0.0, task.seed))
    return identity(task.optimizer, task.atoms) | {"atoms": atoms} | asdict(end)


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, with the command that makes them."""
    made = sorted(rows, key=lambda row: row["size"])
    return head | {"command": command(head, made), "rows": made}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    sizes = " ".join(f"--atoms {size}" for size in dict.fromkeys(row["size"] for row in rows))
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    protocol = " ".join(f"--{key} {head[key]:g}" for key in ("rattle", "seed", "fmax", "cap"))
    return f"python -m benchmarks.metals {sizes} {protocol} --optimizers {names}"


SCHEMA = Schema(
    protocol=("benchmark", "calculator", "rattle", "seed", "fmax", "cap"),
    key=lambda row: (row["size"], row["optimizer"]),
    identity=lambda head, row: identity(row["optimizer"], row["size"]),
    complete=complete,
    check=as_markdown,
)
