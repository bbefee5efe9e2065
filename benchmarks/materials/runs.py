"""One optimizer on one structure: how the run ended.

The calculator ends a run, at the first force call at which no row is above ``fmax``, whatever the optimizer
compares: rows are forces on atoms, without those on fixed atoms, and where the cell relaxes those of the
cell gradient (:mod:`relax.analysis.comparison.runs.ends`).  The statuses are those of
:mod:`relax.analysis.comparison.runs.run`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ase import Atoms

from benchmarks.materials.optimizers import make
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.ends import run_and_examine
from relax.analysis.comparison.runs.processes import calculators
from relax.analysis.comparison.runs.run import RunEnd
from relax.analysis.comparison.runs.tasks import Task


class Key(NamedTuple):
    """What distinguishes a run from the others; ``kind`` is the name of the set."""

    kind: str
    optimizer: str
    structure: str


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
    made, state, fault = run_and_examine(
        lambda atoms: make(name, atoms, system),
        start,
        calculator,
        cell=system is System.CRYSTALS,
        fmax=fmax,
        cap=cap,
    )
    return RunEnd.of(made, state, fault, fmax)


def run_task(task: Task) -> tuple[Key, RunEnd]:
    """Run a task with the calculator of this process."""
    return task.key, run(task.key.optimizer, task.start, calculators[0], task.system, task.fmax, task.cap)
