"""One optimizer on one large crystal of copper: force calls, time, memory, and how the run ended.

:mod:`relax.analysis.comparison.runs.run` has the statuses; there are two more:

- ``killed``: the process died, for example for lack of memory;
- ``timeout``: it took too long.

Seconds in the calculator and outside are of processor time, which does not depend on other processes.
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

from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.runs.run import FinalState, classify, relax_counted
from relax.analysis.comparison.starts import rattled


class Task(NamedTuple):
    """One run, for another process; ``atoms`` is the approximate number of atoms."""

    optimizer: str
    atoms: int
    rattle: float
    seed: int
    fmax: float
    cap: int


@dataclass(frozen=True)
class End:
    """How a run ended; what is not known is None.

    Attributes
    ----------
    reason
        In words, empty for a run that converged.
    energy
        eV/atom.
    force
        Largest force, eV/A.
    seconds
        By the clock, in the calculator and outside.
    calculator_MB
        Peak memory of the process after a force call, before there is an optimizer.
    MB
        Peak memory at the end.
    """

    status: str
    reason: str = ""
    calls: int = 0
    energy: float | None = None
    force: float | None = None
    seconds_calculator: float | None = None
    seconds_outside: float | None = None
    seconds: float | None = None
    calculator_MB: float | None = None
    MB: float | None = None


def crystal(atoms: int, rattle: float, seed: int) -> Atoms:
    """Return a cube of fcc copper of about ``atoms`` atoms, without one of them, rattled (A)."""
    edge = round((atoms / 4) ** (1 / 3))
    made = bulk("Cu", cubic=True) * (edge, edge, edge)
    del made[0]
    return rattled(made, rattle, seed, edge)


def final_state(atoms: Atoms) -> FinalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    return FinalState(
        float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        round(float(atoms.get_potential_energy()) / len(atoms), 8),
    )


def finite(number: float, digits: int) -> float | None:
    """Return a rounded number, None if it is not finite."""
    return round(number, digits) if np.isfinite(number) else None


def run(task: Task) -> End:
    """Relax the positions of a crystal of copper, and return how that ended."""
    start = crystal(task.atoms, task.rattle, task.seed)
    EMT().calculate(start, ["forces"])
    before, began = processes.peak_memory(), time.perf_counter()
    made = relax_counted(
        lambda atoms: make_optimizer(task.optimizer, atoms, System.POSITIONS),
        start,
        EMT(),
        task.fmax,
        task.cap,
        time.process_time,
    )
    seconds, after = time.perf_counter() - began, processes.peak_memory()
    state, fault = made.examine(final_state, FinalState())
    return End(
        *classify(state, fault, made.reported, task.fmax),
        made.calls,
        state.energy,
        finite(state.row, 6),
        round(made.seconds_calculator, 3),
        round(made.seconds_outside, 3),
        round(seconds, 3),
        finite(before, 1),
        finite(after, 1),
    )


def run_in_process(task: Task, timeout: float) -> End:
    """Make a run in a separate process, of at most ``timeout`` seconds."""
    with closing(processes.in_processes(run, [task], 1, timeout=timeout)) as ends:
        try:
            return next(ends)
        except BrokenProcessPool:
            return End("killed", "the process died")
        except TimeoutError:
            return End("timeout", f"not done after {timeout:g} s")
