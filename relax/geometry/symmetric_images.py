"""What the space group of a crystal makes of displacements of its atoms and strains of its cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms

from relax.geometry.symmetry import SpaceGroup, is_crystal

__all__ = ["MOST_ATOMS", "SymmetricImages"]

MOST_ATOMS = 200
"""Largest crystal whose space group is looked for: the time grows with the square of the number of atoms."""

ROUND = 2e-3
"""Largest deviation of a matrix from a rotation."""


@dataclass(frozen=True)
class SymmetricImages:
    """Operations on rows (R, 3): displacements of N atoms, and a strain of the cell if there are three more.

    Parameters
    ----------
    turns
        Rotations (K, 3, 3).
    atoms
        The atom to which each operation moves each atom, (K, N).
    """

    turns: np.ndarray
    atoms: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms, reference: np.ndarray, free: np.ndarray, symprec: float) -> Self | None:
        """Return the operations with which the Hessian of a crystal commutes; None without symmetry.

        Parameters
        ----------
        atoms
            The crystal.  Where its atoms have magnetic moments or charges these may be less symmetric, and
            there are no operations.
        reference
            The cell (3, 3), A, in whose frame the rows are.
        free
            The projector (9, 9) on the strains that are free.  Operations that make other strains of them, or
            that the reference cell has not, are left out.
        symprec
            Tolerance of the symmetry, A; 0 for none.
        """
        bare = not (atoms.get_initial_magnetic_moments().any() or atoms.get_initial_charges().any())
        if not (symprec and bare and len(atoms) <= MOST_ATOMS and is_crystal(atoms)):
            return None
        try:
            group = SpaceGroup.of(atoms, symprec)
        except ValueError:
            return None
        turns = group.cartesian(reference)
        tensors = np.einsum("kac,kbd->kabcd", turns, turns).reshape(-1, 9, 9)
        kept = np.abs(turns @ np.swapaxes(turns, 1, 2) - np.eye(3)).max(axis=(1, 2)) < ROUND
        kept &= np.abs(tensors @ free - free @ tensors).max(axis=(1, 2)) < ROUND
        # In an order of their own: that of spglib depends on rounding.
        kept = np.flatnonzero(kept)
        numbers = np.hstack([group.rotations[kept].reshape(len(kept), 9), group.images[kept]])
        kept = kept[np.lexsort(numbers.T)]
        return cls(turns[kept], group.images[kept])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the images (K, R, 3) of ``rows`` (R, 3)."""
        n, back = self.atoms.shape[1], np.swapaxes(self.turns, 1, 2)
        moved = np.empty((len(self.turns), *rows.shape))
        moved[np.arange(len(moved))[:, None], self.atoms] = rows[:n] @ back
        if len(rows) > n:
            moved[:, n:] = self.turns @ rows[n:] @ back
        return moved
