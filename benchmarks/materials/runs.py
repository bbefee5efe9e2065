"""One optimizer on one structure: how the run ended.

The calculator ends a run, at the first force call at which no row is above ``fmax``, whatever the optimizer
compares: rows are forces on atoms, without those on fixed atoms, and where the cell relaxes those of the
cell gradient as in :mod:`benchmarks.crystals.runs`.  :mod:`benchmarks.common.runs` has the statuses; where
the cell relaxes, :data:`benchmarks.crystals.runs.VOLUME` limits the volume.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks.common.call_counter import Stop, forces_below
from benchmarks.common.optimizer_names import System
from benchmarks.common.runs import FinalState, RunEnd, overlap, relax_counted
from benchmarks.crystals.runs import calculators, damage, largest_row
from benchmarks.materials.optimizers import make


class Key(NamedTuple):
    """What distinguishes a run from the others; ``kind`` is the name of the set."""

    kind: str
    optimizer: str
    structure: str


class Task(NamedTuple):
    """One run, for another process."""

    key: Key
    start: Atoms
    system: System
    fmax: float
    cap: int


def rows_below(fmax: float, start: Atoms) -> Stop:
    """Return the test that no row of forces and cell gradient is above ``fmax`` (eV/A)."""

    def stop(atoms: Atoms, results: dict[str, Any]) -> bool:
        if "forces" not in results or "stress" not in results:
            return False
        known = atoms.copy()
        known.calc = SinglePointCalculator(known, **{key: results[key] for key in ("forces", "stress")})
        return largest_row(known, start) <= fmax

    return stop


def final_state(atoms: Atoms, start: Atoms, system: System) -> FinalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    energy = round(float(atoms.get_potential_energy()) / len(atoms), 6)
    if system is System.CRYSTALS:
        return FinalState(largest_row(atoms, start), energy, damage(atoms, start))
    return FinalState(float(np.linalg.norm(atoms.get_forces(), axis=1).max()), energy, overlap(atoms))


def run(name: str, start: Atoms, calculator: Any, system: System, fmax: float, cap: int) -> RunEnd:
    """Relax a copy of ``start`` and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.materials.optimizers`.
    system
        Whether the cell relaxes.
    fmax
        Largest row that counts as converged, eV/A.
    cap
        Largest number of force calls.
    """
    stop = rows_below(fmax, start) if system is System.CRYSTALS else forces_below(fmax)
    made = relax_counted(lambda atoms: make(name, atoms, system), start, calculator, fmax, cap, stop=stop)
    state, fault = made.examine(lambda atoms: final_state(atoms, start, system), FinalState())
    return RunEnd.of(made, state, fault, fmax)


def run_task(task: Task) -> tuple[Key, RunEnd]:
    """Run a task with the calculator of this process."""
    return task.key, run(task.key.optimizer, task.start, calculators[0], task.system, task.fmax, task.cap)
