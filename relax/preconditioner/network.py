"""One structure as a network of springs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.springs import Springs, springs

__all__ = ["SpringNetwork", "blocks", "spring_network", "strained"]


@dataclass
class SpringNetwork:
    """One structure as its Hessian sees it.

    Parameters
    ----------
    springs
        Its springs.
    atoms
        Number of atoms, N.
    scale
        Length (A) that a strain of one counts as; None where the cell is held.
    kept
        Projectors (N, 3, 3) on what constraints leave of the atoms' steps; None where they are free.
    """

    springs: Springs
    atoms: int
    scale: float | None = None
    kept: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Rows of the structure: atoms and, where the cell relaxes, three of its strain."""
        return self.atoms + 3 * (self.scale is not None)


def spring_network(
    numbers: np.ndarray,
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    stiffness: PairStiffness,
    scale: float | None = None,
    kept: np.ndarray | None = None,
) -> SpringNetwork:
    """Return a structure as its Hessian sees it, with bonds as long as covalent radii say.

    Where it has so many pairs that they cannot be listed, it is without springs.
    """
    try:
        found = springs(positions, cell, pbc, covalent_radii[numbers], stiffness)
    except ValueError:
        found = Springs.none()
    return SpringNetwork(found, len(numbers), scale, kept)


def blocks(springs: Springs, tangent: float) -> np.ndarray:
    """Return the stiffness (P, 3, 3) of springs against a change of their vectors."""
    along, u = springs.along[:, None, None], springs.unit
    return np.asarray(along * ((1 - tangent) * u[:, :, None] * u[:, None, :] + tangent * np.eye(3)))


def strained(springs: Springs, stiff: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pull (P, 3, 9) of a unit of strain on springs, and what strains cost (9, 9).

    Only the symmetric part of a strain changes lengths; the other turns the structure.
    """
    d = springs.vectors / scale
    pull = 0.5 * (stiff[:, :, :, None] * d[:, None, None, :] + stiff[:, :, None, :] * d[:, None, :, None])
    half = np.einsum("pd,pcab->cdab", d, pull)
    cost = 0.5 * (half + half.swapaxes(0, 1)).reshape(9, 9)
    return pull.reshape(-1, 3, 9), cost
