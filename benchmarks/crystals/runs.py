"""One optimizer on one crystal, atoms and cell: how the run ended.

:mod:`benchmarks.common.runs` has the statuses; for a crystal

- ``exploded``, ``collapsed`` also mean that the volume is outside :data:`VOLUME` times that of the start;
- the largest row is that of forces and cell gradient of ``FrechetCellFilter``, for the cell of the start or
  that of the end as reference, whichever gives the smaller one: the strain since the start must not decide.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.units import GPa

from benchmarks.common import processes
from benchmarks.common.curvature import lowest_curvature
from benchmarks.common.optimizer_names import System
from benchmarks.common.optimizers import make_optimizer
from benchmarks.common.runs import FinalState, RunEnd, overlap, relax_counted
from relax.calculators.registry import load

VOLUME = (0.2, 5.0)
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


def damage(atoms: Atoms, start: Atoms) -> tuple[str, str]:
    """Return status and reason where the crystal exploded or collapsed, else two empty words."""
    ratio = atoms.get_volume() / start.get_volume()
    if not VOLUME[0] < ratio < VOLUME[1]:
        status = "exploded" if ratio > 1 else "collapsed"
        return status, f"the volume is {ratio:.3g} times that of the start"
    return overlap(atoms)


def largest_row(atoms: Atoms, start: Atoms) -> float:
    """Return the largest row (eV/A) of forces and cell gradient, the smaller one of both references."""
    rows = []
    for cell in (start.cell, atoms.cell):
        filtered = FrechetCellFilter(atoms)
        filtered.orig_cell = cell
        rows.append(float(np.linalg.norm(filtered.get_forces(), axis=1).max()))
    return min(rows)


def final_state(atoms: Atoms, start: Atoms) -> CrystalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    return CrystalState(
        largest_row(atoms, start),
        round(float(atoms.get_potential_energy()) / len(atoms), 6),
        damage(atoms, start),
        round(float(np.abs(atoms.get_stress()).max() / GPa), 4),
        group_of(atoms),
    )


def run(name: str, start: Atoms, before: Group, calculator: Any, fmax: float, cap: int) -> End:
    """Relax a copy of ``start``, atoms and cell, and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.common.optimizer_names`.
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
    state, fault = made.examine(lambda atoms: final_state(atoms, start), CrystalState())
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


calculators: list[Any] = []
"""The calculator of this process, in a list that is filled when the process starts."""


def prepare_process(calculator: str) -> None:
    """Load the calculator of a process."""
    processes.ignore_interrupts()
    calculators[:] = [load(calculator)]
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task."""
    return task.key, run(task.key.optimizer, task.start, task.before, calculators[0], task.fmax, task.cap)
