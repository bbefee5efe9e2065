"""One optimizer on one large crystal of copper: its force calls, its time, its memory, and where it ended.

Ends have the words of :mod:`benchmarks.crystal_runs`, and

- ``killed``: the process died, as it does where there is not memory enough;
- ``timeout``: it was ended by the clock.

Seconds in the calculator and outside are of processor time, which others on the machine take nothing from.
"""

from __future__ import annotations

import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from benchmarks import processes
from benchmarks.crystal_runs import Look, verdict
from benchmarks.crystal_starts import rattled
from benchmarks.memory import peak
from benchmarks.meter import course_of
from benchmarks.position_optimizers import make


class Task(NamedTuple):
    """One run, to be made in a process of its own."""

    optimizer: str
    atoms: int  # about so many
    rattle: float
    seed: int
    fmax: float
    cap: int


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: str
    reason: str = ""  # in words, where it failed
    calls: int = 0
    energy: float | None = None  # eV/atom
    force: float | None = None  # largest of an atom, eV/A
    seconds_calculator: float | None = None
    seconds_outside: float | None = None
    seconds: float | None = None  # of both, by the clock
    calculator_MB: float | None = None  # peak of the process after a force call, without an optimizer
    MB: float | None = None  # peak at the end


def crystal(atoms: int, rattle: float, seed: int) -> Atoms:
    """Return a cube of fcc copper of nearly so many ``atoms``, without one of them, rattled (A)."""
    edge = round((atoms / 4) ** (1 / 3))
    made = bulk("Cu", cubic=True) * (edge, edge, edge)
    del made[0]
    return rattled(made, rattle, seed, edge)


def look_at(atoms: Atoms) -> Look:
    """Return what the end of a run looks like, without another force call where the last was there."""
    return Look(
        float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        round(float(atoms.get_potential_energy()) / len(atoms), 8),
    )


def run(task: Task) -> End:
    """Relax the positions of a crystal of copper, and return how that ended."""
    start = crystal(task.atoms, task.rattle, task.seed)
    EMT().calculate(start, ["forces"])
    before, began = peak(), time.perf_counter()
    course = course_of(
        lambda atoms: make(task.optimizer, atoms), start, EMT(), task.fmax, task.cap, time.process_time
    )
    seconds, after = time.perf_counter() - began, peak()
    look, fault = course.look(look_at, Look())
    return End(
        *verdict(look, fault, course.told, task.fmax),
        course.calls,
        look.energy,
        round(look.row, 6) if np.isfinite(look.row) else None,
        round(course.seconds_calculator, 3),
        round(course.seconds_outside, 3),
        round(seconds, 3),
        *(round(mb, 1) if np.isfinite(mb) else None for mb in (before, after)),
    )


def run_apart(task: Task, timeout: float) -> End:
    """Make a run in a process of its own, of at most ``timeout`` seconds."""
    with closing(processes.in_processes(run, [task], 1, timeout=timeout)) as ends:
        try:
            return next(ends)
        except BrokenProcessPool:
            return End("killed", "the process died")
        except TimeoutError:
            return End("timeout", f"not done after {timeout:g} s")
