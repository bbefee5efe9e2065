"""Whether a structure is at a saddle point, in its atoms and its cell if that is free: the whole Hessian."""

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

Rows = Atoms | FrechetCellFilter
"""What has rows of positions and forces: atoms, or atoms and their cell."""


class Curvature(NamedTuple):
    """The lowest curvatures of the energy at a structure, eV/A^2.

    Attributes
    ----------
    of_gradients
        The lowest eigenvalue of the Hessian, which is made of differences of gradients.
    of_energies
        The lowest curvature by energies along the modes whose eigenvalues are below a limit; the same as
        ``of_gradients`` if there are none.  Gradients of some potentials jump, and differences over a small
        displacement show negative curvatures along which the energy rises on both sides.
    """

    of_gradients: float
    of_energies: float


def lowest_curvature(
    atoms: Atoms, cell: bool = True, step: float = STEP, length: float | None = None, below: float = SADDLE
) -> Curvature:
    """Return the lowest curvature of ``atoms``, and of their cell if that is free.

    With a cell the rows are those of ``FrechetCellFilter``.  Moving all atoms is left out, and so is turning
    the cell, or the atoms where nothing is periodic.  The calculator is called 6 times for each atom, 18
    times for the cell and 6 times for each mode below ``below``.

    Parameters
    ----------
    cell
        Whether the cell is free.
    step
        Displacement of the atoms in differences of gradients, A.
    length
        The displacement (A) that a strain of one counts as; None: the cube root of the cell's volume.
    below
        Energies are compared along modes whose curvature is below this, eV/A^2.
    """
    moved = atoms.copy()
    moved.calc = atoms.calc
    rows: Rows = moved
    if cell:
        rows = FrechetCellFilter(moved, exp_cell_factor=length or atoms.get_volume() ** (1 / 3))
    x = rows.get_positions()
    hessian = np.empty((x.size, x.size))
    for k, ahead in enumerate(step * np.eye(x.size).reshape(-1, *x.shape)):
        forces = []
        for sign in (1, -1):
            rows.set_positions(x + sign * ahead)
            forces.append(rows.get_forces().ravel())
        hessian[k] = (forces[1] - forces[0]) / (2 * step)
    free = beyond(still(atoms, cell))
    values, vectors = np.linalg.eigh(free @ (0.5 * (hessian + hessian.T)) @ free.T)
    modes = vectors.T[values < below] @ free
    by_energies = [along(rows, moved, x, mode.reshape(x.shape)) for mode in modes]
    lowest = float(values[0])
    return Curvature(lowest, min(by_energies, default=lowest))


def still(atoms: Atoms, cell: bool) -> np.ndarray:
    """Return motions (6, R, 3) of a structure as a whole, R the atoms and 3 more rows if the cell is free.

    Those that are none, such as turning a crystal whose cell is held, are zero.
    """
    n, turned = len(atoms), np.cross(np.eye(3)[:, None], np.eye(3))
    motions = np.zeros((6, n + 3 * cell, 3))
    motions[np.arange(3), :n, np.arange(3)] = 1.0
    if cell:
        motions[3:, n:] = turned
    elif not atoms.pbc.any():
        motions[3:, :n] = (atoms.positions - atoms.positions.mean(axis=0)) @ turned
    return motions


def beyond(motions: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (K, 3R) of what is orthogonal to ``motions`` (6, R, 3)."""
    _, sizes, right = np.linalg.svd(motions.reshape(len(motions), -1))
    return np.asarray(right[(sizes > 1e-6 * sizes.max()).sum() :])


def along(rows: Rows, atoms: Atoms, x: np.ndarray, mode: np.ndarray) -> float:
    """Return the lowest curvature (eV/A^2) along ``mode`` by energies of ``atoms`` on both sides of ``x``."""
    longest = np.sqrt((mode * mode).sum(axis=1).max())
    found = []
    for way in WAYS:
        energies = []
        for factor in (-way / longest, 0.0, way / longest):
            rows.set_positions(x + factor * mode)
            energies.append(atoms.get_potential_energy())
        found.append((energies[0] - 2 * energies[1] + energies[2]) / (way / longest) ** 2)
    return float(min(found))
