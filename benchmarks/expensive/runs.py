"""One method on one structure: how the run ended."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ase import Atoms

from benchmarks.expensive.methods import begun, optimizer
from benchmarks.expensive.parts import PARTS
from benchmarks.molecules.runs import End, prepare_process, run_made
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.ends import run_and_examine
from relax.calculators.registry import load

__all__ = ["Key", "Task", "prepare_process", "run_task"]


class Key(NamedTuple):
    """What distinguishes a run from the others of its part."""

    method: str
    structure: str


class Task(NamedTuple):
    """One run of a part, for another process."""

    key: Key
    part: str
    structure: Atoms


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task, with calculators that have seen no other structure; it ends at the first call within fmax.

    Molecules fail if their bonds change, crystals as in :mod:`relax.analysis.comparison.runs.ends`.  Force
    calls of the cheap calculator do not count, and their time is that of the optimizer.
    """
    part, method = PARTS[task.part], task.key.method
    calculator, began = load(part.calculator), time.perf_counter()
    start = begun(method, task.structure, part)
    before = time.perf_counter() - began
    make = partial(optimizer, method, part)
    if part.system is System.MOLECULES:
        end = run_made(make, start, task.structure, calculator, part.fmax, part.cap, bonds_decide=True)
    else:
        limits = {"cell": part.cell, "fmax": part.fmax, "cap": part.cap}
        made, state, fault = run_and_examine(make, start, calculator, **limits)
        end = End.of(made, state, fault, part.fmax, "")
    return task.key, replace(end, seconds_outside=round(end.seconds_outside + before, 4))
