"""One optimizer on one crystal: its force calls, its time, and where it ended, judged from outside.

:mod:`benchmarks.meter` counts the force calls.  Whatever the optimizer says, its end is looked at in the
same way:

- ``nonfinite``: an energy, force or stress was not a number;
- ``exploded``, ``collapsed``: the volume left :data:`VOLUME` times that of the start, or two atoms are
  nearer than :data:`NEAR` times the sum of their covalent radii;
- ``cap``: the force calls were used up;
- ``error``: the optimizer or the calculator raised;
- ``converged``: the largest row of forces and cell gradient is at most ``fmax``, as
  ``FrechetCellFilter`` has it, with the cell of the start or that of the end as its reference: by how
  much a crystal has been strained since must not decide;
- ``gave up``: the optimizer handed back something else.  Ours put the last good structure back when they
  see an explosion and the like coming; such a run is called what they call it.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.units import GPa

from benchmarks.crystal_optimizers import make
from benchmarks.meter import CapReached, course_of
from relax.core.errors import RelaxationStopped

VOLUME = (0.2, 5.0)
NEAR = 0.4
SYMPREC = 0.01
"""Tolerance (A) of the space group."""
SLACK = 1e-3
"""By what part the criterion may be missed when it is looked at again: rounding of the cell."""


@dataclass(frozen=True)
class Group:
    """A space group; nothing where none was found."""

    number: int | None = None
    operations: int | None = None  # of the cell as it is, centring translations included


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: str
    reason: str  # in words, where it failed
    calls: int
    energy: float | None  # eV/atom
    smax: float | None  # largest component of the stress, GPa
    spacegroup: list[int | None]  # before and after; before any rattle
    operations: list[int | None]
    seconds_calculator: float
    seconds_outside: float


@dataclass(frozen=True)
class Look:
    """What the structure that a run handed back looks like."""

    row: float = math.inf  # largest row of the gradient, eV/A
    energy: float | None = None
    smax: float | None = None
    group: Group = Group()
    damage: tuple[str, str] = ("", "")  # status and reason, where it is no structure any more


def group_of(atoms: Atoms) -> Group:
    """Return the space group."""
    import spglib

    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spglib's changing ways of saying that it found none
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        except Exception:  # spglib's own error, of a class that not all versions have
            return Group()
    return Group() if found is None else Group(int(found.number), len(found.rotations))


def damage(atoms: Atoms, start: Atoms) -> tuple[str, str]:
    """Return the status and the reason, in words, of a structure that is none any more; else nothing."""
    ratio = atoms.get_volume() / start.get_volume()
    if not VOLUME[0] < ratio < VOLUME[1]:
        status = "exploded" if ratio > 1 else "collapsed"
        return status, f"the volume is {ratio:.3g} times that of the start"
    return too_near(atoms)


def too_near(atoms: Atoms) -> tuple[str, str]:
    """Return the status and the reason, in words, where two atoms are on top of each other; else nothing."""
    if len(neighbor_list("i", atoms, list(NEAR * covalent_radii[atoms.numbers]))):
        return "collapsed", f"two atoms are nearer than {NEAR} of their covalent radii"
    return "", ""


def largest_row(atoms: Atoms, start: Atoms) -> float:
    """Return the largest row (eV/A) of forces and cell gradient, in the kinder of the two references."""
    rows = []
    for cell in (start.cell, atoms.cell):
        seen = FrechetCellFilter(atoms)
        seen.orig_cell = cell
        rows.append(float(np.linalg.norm(seen.get_forces(), axis=1).max()))
    return min(rows)


def look_at(atoms: Atoms, start: Atoms) -> Look:
    """Return what the end of a run looks like, without another force call where the last was there."""
    return Look(
        largest_row(atoms, start),
        round(float(atoms.get_potential_energy()) / len(atoms), 6),
        round(float(np.abs(atoms.get_stress()).max() / GPa), 4),
        group_of(atoms),
        damage(atoms, start),
    )


def verdict(look: Look, fault: Exception | None, told: tuple[str, str], fmax: float) -> tuple[str, str]:
    """Return status and reason of a run, ``told`` being what its optimizer gives for them."""
    if isinstance(fault, RelaxationStopped):
        return fault.status, fault.reason
    if look.damage[0]:
        return look.damage
    if isinstance(fault, CapReached):
        return "cap", f"the largest row is {look.row:.3g} eV/A"
    if fault is not None:
        return "error", f"{type(fault).__name__}: {' '.join(str(fault).split())}"
    if look.row <= fmax * (1 + SLACK):
        return "converged", ""
    status, reason = told
    named = status in ("exploded", "collapsed", "nonfinite")
    return status if named else "gave up", reason or f"the largest row is {look.row:.3g} eV/A"


def run(name: str, start: Atoms, before: Group, calculator: Any, fmax: float, cap: int) -> End:
    """Relax a copy of ``start``, atoms and cell, and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.crystal_optimizers`.
    before
        Space group that is to be kept.
    fmax
        Largest row of the gradient that counts as converged, eV/A.
    cap
        Most force calls.
    """
    course = course_of(lambda atoms: make(name, atoms), start, calculator, fmax, cap)
    look, fault = course.look(lambda atoms: look_at(atoms, start), Look())
    groups = before, look.group
    return End(
        *verdict(look, fault, course.told, fmax),
        course.calls,
        look.energy,
        look.smax,
        [group.number for group in groups],
        [group.operations for group in groups],
        round(course.seconds_calculator, 4),
        round(course.seconds_outside, 4),
    )
