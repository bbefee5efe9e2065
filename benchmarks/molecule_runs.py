"""One optimizer on one molecule: its force calls, its time, and where it ended, judged from outside.

Ends have the words of :mod:`benchmarks.crystal_runs`, and in place of a volume a molecule has bonds: two
atoms are bonded that are nearer than :data:`BOND` times the sum of their covalent radii.

- ``dissociated``: the end has more pieces than the molecule as the set has it, before any rattle;
- ``rearranged``: it has other bonds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from benchmarks.crystal_runs import Look, too_near, verdict
from benchmarks.meter import course_of
from benchmarks.position_optimizers import make

BOND = 1.3


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: str
    reason: str  # in words, where it failed
    calls: int
    energy: float | None  # eV/atom
    bonds: str  # "kept", "rearranged", "dissociated", or nothing where nobody knows
    seconds_calculator: float
    seconds_outside: float


def bonds_of(atoms: Atoms) -> np.ndarray:
    """Return which atoms are bonded, (N, N)."""
    radii = covalent_radii[atoms.numbers]
    near: np.ndarray = atoms.get_all_distances() < BOND * (radii[:, None] + radii)
    np.fill_diagonal(near, False)
    return near


def pieces(bonds: np.ndarray) -> int:
    """Return the number of molecules that atoms with these bonds are."""
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(bonds)[0])


def change(atoms: Atoms, geometry: Atoms) -> str:
    """Return what became of the bonds of ``geometry``."""
    now, before = bonds_of(atoms), bonds_of(geometry)
    if pieces(now) > pieces(before):
        return "dissociated"
    return "kept" if (now == before).all() else "rearranged"


def look_at(atoms: Atoms, bonds: str, bonded: bool) -> Look:
    """Return what the end of a run looks like, without another force call where the last was there."""
    broken = (bonds, "the bonds are not those of the molecule")
    return Look(
        float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        round(float(atoms.get_potential_energy()) / len(atoms), 6),
        damage=broken if bonded and bonds != "kept" else too_near(atoms),
    )


def run(
    name: str, start: Atoms, geometry: Atoms, calculator: Any, fmax: float, cap: int, bonded: bool
) -> End:
    """Relax a copy of ``start`` and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.position_optimizers`.
    geometry
        The molecule whose bonds are to be kept.
    fmax
        Largest force that counts as converged, eV/A.
    cap
        Most force calls.
    bonded
        Whether it is a failure to have other bonds at the end.
    """
    course = course_of(lambda atoms: make(name, atoms), start, calculator, fmax, cap)
    bonds, _ = course.look(lambda atoms: change(atoms, geometry), "")
    look, fault = course.look(lambda atoms: look_at(atoms, bonds, bonded), Look())
    return End(
        *verdict(look, fault, course.told, fmax),
        course.calls,
        look.energy,
        bonds,
        round(course.seconds_calculator, 4),
        round(course.seconds_outside, 4),
    )
