"""One structure as a network of springs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.springs import Springs, springs

__all__ = ["SpringNetwork", "blocks", "spring_network", "strain_blocks"]


@dataclass
class SpringNetwork:
    """The springs and constraints of one structure, which its model Hessian is made of.

    Parameters
    ----------
    springs
        The springs between its atoms.
    atoms
        Number N of atoms.
    scale
        Length (A) of a strain of one; None if the cell is fixed.
    projectors
        Matrices (N, 3, 3) that project the atoms' steps on what constraints allow; None without constraints.
    """

    springs: Springs
    atoms: int
    scale: float | None = None
    projectors: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Number of rows: one per atom and, if the cell relaxes, three of its strain."""
        return self.atoms + 3 * (self.scale is not None)


def spring_network(
    numbers: np.ndarray,
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    stiffness: PairStiffness,
    scale: float | None = None,
    projectors: np.ndarray | None = None,
) -> SpringNetwork:
    """Return the spring network of one structure, with bond lengths from covalent radii.

    There are no springs if the structure has too many pairs to list.

    Parameters
    ----------
    numbers, positions, cell, pbc
        Atomic numbers (N,), positions (N, 3) and cell (3, 3) in A, and which directions are periodic (3,).
    stiffness
        The parameters of the model.
    scale, projectors
        As in :class:`SpringNetwork`.
    """
    try:
        found = springs(positions, cell, pbc, covalent_radii[numbers], stiffness)
    except ValueError:
        found = Springs.empty()
    return SpringNetwork(found, len(numbers), scale, projectors)


def blocks(springs: Springs, tangent: float) -> np.ndarray:
    """Return the second derivatives (P, 3, 3) of the energies of springs by their vectors."""
    along, u = springs.along[:, None, None], springs.unit
    return np.asarray(along * ((1 - tangent) * u[:, :, None] * u[:, None, :] + tangent * np.eye(3)))


def strain_blocks(springs: Springs, stiff: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the blocks of the Hessian that belong to the strain.

    Only the symmetric part of a strain changes lengths; the antisymmetric part is a rotation.

    Parameters
    ----------
    springs, stiff
        P springs, and their blocks (P, 3, 3) from :func:`blocks`.
    scale
        Length of a strain of one, A.

    Returns
    -------
    pull, cost
        Derivatives by the vectors of the springs and the strain (P, 3, 9), and by the strain twice (9, 9).
    """
    d = springs.vectors / scale
    pull = 0.5 * (stiff[:, :, :, None] * d[:, None, None, :] + stiff[:, :, None, :] * d[:, None, :, None])
    half = np.einsum("pd,pcab->cdab", d, pull)
    cost = 0.5 * (half + half.swapaxes(0, 1)).reshape(9, 9)
    return pull.reshape(-1, 3, 9), cost
