"""Whether a crystal is at a saddle point in its atoms and cell, from a whole Hessian and energies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

STEP = 0.03
"""Displacement of the atoms in differences of gradients, A."""
SADDLE = -0.05
"""Curvature (eV/A^2) below which a mode is that of a saddle point."""
WAYS = (0.05, 0.1, 0.2)
"""Displacements of the atom that moves most, A, at which energies are compared."""


class Curvature(NamedTuple):
    """The lowest curvatures of the energy at a structure, eV/A^2.

    Attributes
    ----------
    of_gradients
        The lowest eigenvalue of the Hessian, which is made of differences of gradients.
    of_energies
        The lowest curvature by energies along the modes whose eigenvalues are below :data:`SADDLE`; the same
        as ``of_gradients`` if there are none.  Gradients of some potentials jump, and differences over a
        small displacement show negative curvatures along which the energy rises on both sides.
    """

    of_gradients: float
    of_energies: float


def lowest_curvature(atoms: Atoms) -> Curvature:
    """Return the lowest curvature of ``atoms`` and their cell.

    The rows are those of ``FrechetCellFilter``.  A strain counts as the displacement that it makes over the
    cube root of the cell's volume.  Moving all atoms and turning the cell are left out.  The calculator is
    called 6 times for each atom, 18 times for the cell and 6 times for each mode below :data:`SADDLE`.
    """
    filtered = FrechetCellFilter(atoms.copy(), exp_cell_factor=atoms.get_volume() ** (1 / 3))
    filtered.atoms.calc = atoms.calc
    x, n = filtered.get_positions(), len(atoms)
    hessian = np.empty((x.size, x.size))
    for k, ahead in enumerate(STEP * np.eye(x.size).reshape(-1, *x.shape)):
        forces = []
        for sign in (1, -1):
            filtered.set_positions(x + sign * ahead)
            forces.append(filtered.get_forces().ravel())
        hessian[k] = (forces[1] - forces[0]) / (2 * STEP)
    still = np.zeros((6, *x.shape))
    still[np.arange(3), :n, np.arange(3)] = 1.0
    still[3:, n:] = np.cross(np.eye(3)[:, None], np.eye(3))
    free = np.linalg.svd(still.reshape(6, -1))[2][6:]
    values, vectors = np.linalg.eigh(free @ (0.5 * (hessian + hessian.T)) @ free.T)
    by_energies = [along(filtered, x, mode.reshape(x.shape)) for mode in vectors.T[values < SADDLE] @ free]
    lowest = float(values[0])
    return Curvature(lowest, min(by_energies, default=lowest))


def along(filtered: FrechetCellFilter, x: np.ndarray, mode: np.ndarray) -> float:
    """Return the lowest curvature (eV/A^2) along ``mode`` by energies on both sides of the rows ``x``."""
    longest = np.sqrt((mode * mode).sum(axis=1).max())
    found = []
    for way in WAYS:
        energies = []
        for factor in (-way / longest, 0.0, way / longest):
            filtered.set_positions(x + factor * mode)
            energies.append(filtered.atoms.get_potential_energy())
        found.append((energies[0] - 2 * energies[1] + energies[2]) / (way / longest) ** 2)
    return float(min(found))
