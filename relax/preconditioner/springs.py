"""The springs between the atoms of one structure."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from relax.geometry.neighbors import pairs, squares, vectors
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Springs", "springs"]


SEEN = (1.1, 3.0)
"""How much longer than the covalent radii say bonds are looked for at first, and at most."""


class Springs(NamedTuple):
    """P pairs of atoms, or of atoms and images, each named once."""

    first: np.ndarray  # (P,)
    second: np.ndarray  # (P,)
    vectors: np.ndarray  # (P, 3) A, from the first atom to the second
    unit: np.ndarray  # (P, 3) the same of length one
    along: np.ndarray  # (P,) stiffness along the pair

    @classmethod
    def none(cls) -> Springs:
        """Return no springs."""
        nobody, nowhere = np.zeros(0, int), np.zeros((0, 3))
        return cls(nobody, nobody, nowhere, nowhere, np.zeros(0))


def springs(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, radii: np.ndarray, stiffness: PairStiffness
) -> Springs:
    """Return the springs between atoms.

    Parameters
    ----------
    positions
        (N, 3) in A.
    cell, pbc
        (3, 3) in A, a vector a row, and (3,) along which it is repeated.
    radii
        (N,) in A; the bonds of two atoms have the length of their sum, or one in proportion to it.
    stiffness
        What there is to know of pairs.

    Raises
    ------
    ValueError
        Pairs cannot be listed, see :func:`~relax.geometry.neighbors.pairs`.
    """
    reach = 1 + math.log(1 / stiffness.NEGLIGIBLE) / stiffness.decay
    learned = stiffness.distances == "learned"
    longer, seen = 1.0, SEEN[0] if learned else 1.0
    while True:
        i, j, d, ratio = near(positions, cell * pbc[:, None], pbc, radii, reach * seen)
        if not learned:
            break
        nearest = np.full(len(positions), math.inf)
        np.minimum.at(nearest, np.concatenate([i, j]), np.concatenate([ratio, ratio]))
        met = nearest[nearest < math.inf]
        enough = 2 * len(met) >= len(nearest)
        longer = float(met.mean()) if enough else SEEN[1]
        if longer <= seen or seen == SEEN[1]:
            break
        seen = min(max(longer, 1.5 * seen), SEEN[1])
    kept = ratio < reach * longer
    i, j, d, ratio = i[kept], j[kept], d[kept], ratio[kept] / longer
    r = np.sqrt(squares(d))
    return Springs(i, j, d, d / np.where(r > 0, r, 1.0)[:, None], stiffness.along(ratio))


def near(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, radii: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs closer than ``reach`` times the sum of their radii, each once.

    Returns
    -------
    tuple
        First and second atoms (P,), vectors (P, 3) in A, and distances over the sums of radii (P,).
    """
    i, j, shifts = pairs(positions, cell, pbc, reach * 2 * float(radii.max()))
    once = (i < j) | ((i == j) & forward(shifts))
    i, j, shifts = i[once], j[once], shifts[once]
    d = vectors(positions, i, j, shifts, cell)
    ratio = np.sqrt(squares(d)) / (radii[i] + radii[j])
    kept = ratio < reach
    return i[kept], j[kept], d[kept], ratio[kept]


def forward(shifts: np.ndarray) -> np.ndarray:
    """Return which of the integer ``shifts`` (P, 3) come after their opposites, from left to right."""
    x, y, z = shifts.T
    return np.asarray((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0)))))
