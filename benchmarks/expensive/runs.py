"""One method on one structure: how the run ended."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ase import Atoms

from benchmarks.expensive.methods import begun, optimizer
from benchmarks.molecules.runs import End, run_made
from relax.calculators.registry import load
from relax.comparison.minimizers import peers
from relax.comparison.runs import processes

__all__ = ["Key", "Task", "prepare_process", "run_task"]


class Key(NamedTuple):
    """What distinguishes a run from the others of its part."""

    method: str
    structure: str


class Task(NamedTuple):
    """One run, for another process."""

    key: Key
    calculator: str
    fmax: float
    cap: int
    structure: Atoms


def prepare_process(optimizers: list[str]) -> None:
    """Import what the optimizers need, before any run."""
    processes.ignore_interrupts()
    peers.load(optimizers)


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task, with calculators that have seen no other structure; it ends at the first call within fmax.

    Force calls of the cheap calculator do not count, and their time is that of the optimizer.
    """
    method = task.key.method
    start, calculator = begun(method, task.structure, task.fmax), load(task.calculator)
    make = partial(optimizer, method)
    return task.key, run_made(make, start, task.structure, calculator, task.fmax, task.cap, bonds_decide=True)
