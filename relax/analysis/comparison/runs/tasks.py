"""Runs of a comparison, in this process or in several."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from ase import Atoms

from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.results import End, Key
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.runs.ends import run_and_examine

__all__ = ["Task", "one_by_one", "run", "run_task"]


class Task(NamedTuple):
    """One run, for another process."""

    key: Key
    start: Atoms
    system: System
    fmax: float
    cap: int
    first_call: bool = True


def run(
    name: str, start: Atoms, calculator: Any, system: System, fmax: float, cap: int, first_call: bool = True
) -> End:
    """Relax a copy of ``start`` and return how that ended.

    Parameters
    ----------
    name
        Minimizer, see :mod:`relax.analysis.comparison.minimizers.names`.
    system
        What is relaxed.
    fmax, cap, first_call
        As in :func:`relax.analysis.comparison.runs.ends.run_and_examine`.
    """
    peers.load([name])
    if hasattr(calculator, "reset"):  # what it keeps of another run must not decide
        calculator.reset()
    made, state, fault = run_and_examine(
        lambda atoms: make_optimizer(name, atoms, system),
        start,
        calculator,
        cell=system is System.CRYSTALS,
        fmax=fmax,
        cap=cap,
        first_call=first_call,
    )
    return End.of(made, state, fault, fmax, None if state.energy is None else round(state.row, 6))


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task with the calculator of this process."""
    start, system = task.start, task.system
    calculator = processes.calculators[0]
    return task.key, run(task.key.optimizer, start, calculator, system, task.fmax, task.cap, task.first_call)


def one_by_one(tasks: Sequence[Task], calculator: Any) -> Generator[tuple[Key, End]]:
    """Yield the runs of this process, in which torch uses one thread meanwhile, as in the others."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    before, processes.calculators[:] = processes.calculators[:], [calculator]
    try:
        if torch:
            torch.set_num_threads(1)
        yield from map(run_task, tasks)
    finally:
        processes.calculators[:] = before
        if torch:
            torch.set_num_threads(threads)
