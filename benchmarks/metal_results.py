"""The file of results of the benchmark of large crystals.

A row holds what :class:`benchmarks.metal_runs.End` says of one run, the number of atoms asked for
(``size``) and there (``atoms``), and ``parameters`` and ``versions``, which decide it, given what is said
before the rows.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.book import Book
from benchmarks.lj38_results import read_shown, versions
from benchmarks.metal_runs import End, Task, crystal
from benchmarks.position_optimizers import packages_of, settings_text
from benchmarks.throughput import processor

Json = dict[str, Any]


def header(rattle: float, seed: int, fmax: float, cap: int) -> Json:
    """Return what a file of results says before its rows."""
    return {
        "benchmark": "metals",
        "calculator": "emt",
        "rattle": rattle,
        "seed": seed,
        "fmax": fmax,
        "cap": cap,
        "versions": {"python": platform.python_version()} | versions("numpy", "scipy", "ase", "relax"),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": processor(),
    }


def identity(optimizer: str, size: int) -> Json:
    """Return what decides a row, given what is said before the rows."""
    return {
        "optimizer": optimizer,
        "size": size,
        "parameters": settings_text(optimizer),
        "versions": versions(*packages_of(optimizer)),
    }


def row_of(task: Task, end: End) -> Json:
    """Return the row of a run that ended like this."""
    atoms = len(crystal(task.atoms, 0.0, task.seed))
    return identity(task.optimizer, task.atoms) | {"atoms": atoms} | asdict(end)


def command(head: Json, rows: list[Json]) -> str:
    """Return the command that makes these rows."""
    sizes = " ".join(f"--atoms {size}" for size in dict.fromkeys(row["size"] for row in rows))
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    protocol = " ".join(f"--{key} {head[key]:g}" for key in ("rattle", "seed", "fmax", "cap"))
    return f"python -m benchmarks.metals {sizes} {protocol} --optimizers {names}"


def read_results(path: Path) -> Json:
    """Return the results in a file.  Raises ValueError where it holds none."""
    from benchmarks.metal_table import as_markdown

    return read_shown(path, as_markdown)


class MetalBook(Book):
    """The rows of runs, a row for each optimizer and each size."""

    DECISIVE = ("benchmark", "calculator", "rattle", "seed", "fmax", "cap")

    @staticmethod
    def key(row: Json) -> tuple[int, str]:
        return row["size"], row["optimizer"]

    def identity(self, row: Json) -> Json:
        return identity(row["optimizer"], row["size"])

    def read(self, path: Path) -> Json:
        return read_results(path)

    def results(self) -> Json:
        rows = sorted(self.rows.values(), key=lambda row: row["size"])
        return self.head | {"command": command(self.head, rows), "rows": rows}
