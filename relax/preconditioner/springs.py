"""The springs between the atoms of one structure, from its pairs and covalent radii."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from relax.geometry.neighbors import pairs, squares, vectors
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Springs", "springs"]

SEARCHED = (1.1, 3.0)
"""Bond lengths that are searched, over the sums of the covalent radii: at first, and at most."""


class Springs(NamedTuple):
    """P pairs of atoms, or of atoms and images, each listed once."""

    first: np.ndarray  # (P,)
    second: np.ndarray  # (P,)
    vectors: np.ndarray  # (P, 3) A, from the first atom to the second
    unit: np.ndarray  # (P, 3) unit vectors
    along: np.ndarray  # (P,) stiffness along the pair
    ratio: np.ndarray  # (P,) length over the bond length
    shifts: np.ndarray  # (P, 3) integers: the image of the second atom
    bond: float  # bond length of the structure, over the sums of the covalent radii

    @classmethod
    def between(cls, i: np.ndarray, j: np.ndarray, d: np.ndarray, along: np.ndarray) -> Springs:
        """Return springs of bond lengths of one between atoms ``i`` and ``j`` (P,) along ``d`` (P, 3), A."""
        r = np.sqrt(squares(d))
        unit = d / np.where(r > 0, r, 1.0)[:, None]
        return cls(i, j, d, unit, along, np.ones(len(i)), np.zeros((len(i), 3), int), 1.0)

    @classmethod
    def empty(cls) -> Springs:
        """Return an object without springs."""
        atoms, vectors = np.zeros(0, int), np.zeros((0, 3))
        return cls.between(atoms, atoms, vectors, np.zeros(0))


def springs(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, radii: np.ndarray, stiffness: PairStiffness
) -> Springs:
    """Return the springs between atoms.

    With learned distances the search is repeated with a longer cutoff as long as the learned bond length is
    beyond the one that was searched.

    Parameters
    ----------
    positions
        (N, 3) in A.
    cell, pbc
        (3, 3) in A, one vector per row, and which directions are periodic (3,).
    radii
        Covalent radii (N,), A.  Bond lengths are in proportion to their sums.
    stiffness
        The parameters of the model.

    Raises
    ------
    ValueError
        The pairs cannot be listed, see :func:`~relax.geometry.neighbors.pairs`.
    """
    reach = 1 + math.log(1 / stiffness.NEGLIGIBLE) / stiffness.decay
    learned = stiffness.distances == "learned"
    bond, searched = 1.0, SEARCHED[0] if learned else 1.0
    while True:
        cutoffs = reach * searched, stiffness.FARTHEST
        i, j, d, ratio, shifts = pairs_within(positions, cell * pbc[:, None], pbc, radii, *cutoffs)
        if not learned:
            break
        nearest = np.full(len(positions), math.inf)
        np.minimum.at(nearest, np.concatenate([i, j]), np.concatenate([ratio, ratio]))
        found = nearest[nearest < math.inf]
        enough = 2 * len(found) >= len(nearest)
        bond = float(found.mean()) if enough else SEARCHED[1]
        if bond <= searched or searched == SEARCHED[1]:
            break
        searched = min(max(bond, 1.5 * searched), SEARCHED[1])
    r = np.sqrt(squares(d))
    kept = (ratio < reach * bond) | (r < stiffness.FARTHEST)
    i, j, d, ratio = i[kept], j[kept], d[kept], ratio[kept] / bond
    along = np.where(ratio < reach, stiffness.along(ratio), 0.0)
    return Springs.between(i, j, d, along)._replace(ratio=ratio, shifts=shifts[kept], bond=bond)


def pairs_within(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, radii: np.ndarray, reach: float, farthest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs closer than ``reach`` times the sum of their radii or ``farthest`` (A), each listed once.

    Returns
    -------
    tuple
        First and second atoms (P,), vectors (P, 3) in A, distances over the sums of radii (P,), and the
        integer shifts (P, 3) of the images of the second atoms.
    """
    i, j, shifts = pairs(positions, cell, pbc, max(reach * 2 * float(radii.max()), farthest))
    once = (i < j) | ((i == j) & is_positive(shifts))
    i, j, shifts = i[once], j[once], shifts[once]
    d = vectors(positions, i, j, shifts, cell)
    r = np.sqrt(squares(d))
    ratio = r / (radii[i] + radii[j])
    kept = (ratio < reach) | (r < farthest)
    return i[kept], j[kept], d[kept], ratio[kept], shifts[kept]


def is_positive(shifts: np.ndarray) -> np.ndarray:
    """Return for which of the integer ``shifts`` (P, 3) the first nonzero component is positive."""
    x, y, z = shifts.T
    return np.asarray((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0)))))
