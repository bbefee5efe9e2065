"""One optimizer on one polycrystal: how the run ended.

Every run ends at the first force call at which no force is above ``fmax``; the statuses are those of
:mod:`relax.analysis.comparison.runs.run`.  The box keeps its size.  Seconds are of processor time, which
does not depend on other processes.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from benchmarks.alloy.boxes import Box, polycrystal
from benchmarks.alloy.library import AlloyCalculator
from benchmarks.alloy.methods import LAMMPS, make
from benchmarks.alloy.microstructure import Microstructure, examine
from benchmarks.alloy.minimizers import minimize
from relax.analysis.comparison.runs.call_counter import CapReached
from relax.analysis.comparison.runs.run import FinalState, Run, classify, relax_counted


@dataclass(frozen=True)
class Task:
    """One run, for another process."""

    box: Box
    optimizer: str
    fmax: float
    cap: int


@dataclass(frozen=True)
class End:
    """How a run ended; what is not known is None.

    Attributes
    ----------
    reason
        In words, empty for a run that converged.
    atoms
        Number of atoms.
    energy
        Of the whole box, eV.
    force
        Largest force, eV/A.
    seconds_calculator, seconds_outside
        Processor time in force calls and outside.
    fcc, hcp, bcc, segments, length
        See :class:`benchmarks.alloy.microstructure.Microstructure`.
    """

    status: str
    reason: str
    atoms: int
    calls: int
    energy: float | None
    force: float | None
    seconds_calculator: float
    seconds_outside: float
    fcc: float | None
    hcp: float | None
    bcc: float | None
    segments: int | None
    length: float | None


def run(task: Task) -> tuple[Task, End]:
    """Relax a polycrystal, and return the task and how it ended."""
    start = polycrystal(task.box)
    calculator = AlloyCalculator()
    with closing(calculator.lammps):  # many runs of one process would fill its memory
        made = relaxed(start, calculator, task)
        state, fault = made.examine(final_state, FinalState())
    found = examine(made.atoms) if np.isfinite(state.row) else None
    end = End(
        *classify(state, fault, made.reported, task.fmax),
        len(start),
        made.calls,
        state.energy,
        round(state.row, 6) if np.isfinite(state.row) else None,
        round(made.seconds_calculator, 2),
        round(made.seconds_outside, 2),
        *(found or [None] * len(Microstructure._fields)),
    )
    return task, end


def relaxed(start: Atoms, calculator: AlloyCalculator, task: Task) -> Run:
    """Return the run of a task, ended by the same limit whoever makes it."""
    calculator.calculate(start)  # makes the box, which is not a part of the run
    name, fmax, cap = task.optimizer, task.fmax, task.cap
    if name not in LAMMPS:
        return relax_counted(lambda atoms: make(name, atoms), start, calculator, fmax, cap, time.process_time)
    atoms = start.copy()
    atoms.calc = calculator
    found = minimize(atoms, LAMMPS[name], fmax, cap)
    seconds = found.seconds_calculator, found.seconds_outside
    fault = CapReached(f"{cap} force calls") if found.calls == cap and not found.within else None
    return Run(atoms, found.calls, *seconds, fault, ("gave up", found.ended))


def final_state(atoms: Atoms) -> FinalState:
    """Return the state of a final structure; its energy is that of the whole box, eV."""
    row = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    return FinalState(row, round(float(atoms.get_potential_energy()), 5))
