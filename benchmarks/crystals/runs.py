"""One optimizer on one crystal, atoms and cell: how the run ended.

:mod:`relax.analysis.comparison.runs.run` has the statuses, and
:mod:`relax.analysis.comparison.runs.ends` what the largest row is and which volumes are allowed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.units import GPa

from benchmarks.common.curvature import lowest_curvature
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.ends import final_state
from relax.analysis.comparison.runs.processes import calculators
from relax.analysis.comparison.runs.run import FinalState, RunEnd, relax_counted

SYMPREC = 0.01
"""Tolerance (A) of the space group."""


class Key(NamedTuple):
    """What distinguishes a run from the others."""

    rattle: float
    optimizer: str
    structure: str


@dataclass(frozen=True)
class Group:
    """A space group, and its operations in the given cell, centring included; None where none was found."""

    number: int | None = None
    operations: int | None = None


@dataclass(frozen=True)
class End(RunEnd):
    """How a run ended.

    Attributes
    ----------
    smax
        Largest component of the stress, GPa.
    spacegroup, operations
        Number of the space group, and number of its operations: before any rattle, and at the end.
    lowest
        Lowest curvature at the end, eV/A^2, by gradients and by energies, see
        :mod:`benchmarks.common.curvature`; None but for optimizers that check for minima in one draw.
    """

    smax: float | None
    spacegroup: list[int | None]
    operations: list[int | None]
    lowest: list[float] | None


@dataclass(frozen=True)
class CrystalState(FinalState):
    """What is checked of a final structure; ``smax`` is the largest component of the stress, GPa."""

    smax: float | None = None
    group: Group = Group()


def group_of(atoms: Atoms) -> Group:
    """Return the space group."""
    import spglib

    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spglib's versions differ in how they report that none was found
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        except Exception:  # of a class that not all versions of spglib have
            return Group()
    return Group() if found is None else Group(int(found.number), len(found.rotations))


def crystal_state(atoms: Atoms, start: Atoms) -> CrystalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    state = final_state(atoms, start, cell=True)
    stress = round(float(np.abs(atoms.get_stress()).max() / GPa), 4)
    return CrystalState(state.row, state.energy, state.damage, stress, group_of(atoms))


def run(name: str, start: Atoms, before: Group, calculator: Any, fmax: float, cap: int) -> End:
    """Relax a copy of ``start``, atoms and cell, and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`relax.analysis.comparison.minimizers.names`.
    before
        Space group of the structure before any rattle.
    fmax
        Largest row of the gradient that counts as converged, eV/A.
    cap
        Largest number of force calls.
    """
    made = relax_counted(
        lambda atoms: make_optimizer(name, atoms, System.CRYSTALS), start, calculator, fmax, cap
    )
    state, fault = made.examine(lambda atoms: crystal_state(atoms, start), CrystalState())
    groups = before, state.group
    lowest: list[float] | None = None
    if "check=" in name and "draws=" not in name and fault is None:
        lowest, _ = made.examine(lambda atoms: [round(c, 4) for c in lowest_curvature(atoms)], None)
    return End.of(
        made,
        state,
        fault,
        fmax,
        state.smax,
        [group.number for group in groups],
        [group.operations for group in groups],
        lowest,
    )


class Task(NamedTuple):
    """One run, for another process."""

    key: Key
    start: Atoms
    before: Group
    fmax: float
    cap: int


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task."""
    return task.key, run(task.key.optimizer, task.start, task.before, calculators[0], task.fmax, task.cap)
