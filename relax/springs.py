"""The springs between the atoms of one structure."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from relax.metric import PairStiffness
from relax.neighbors import pairs, squares, vectors

__all__ = ["Springs", "springs"]


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
        (N,) in A; the bonds of two atoms have the length of their sum.
    stiffness
        What there is to know of pairs.

    Raises
    ------
    ValueError
        Pairs cannot be listed, see :func:`~relax.neighbors.pairs`.
    """
    reach = 1 + math.log(1 / stiffness.NEGLIGIBLE) / stiffness.decay
    wide = 1.0 if stiffness.distances == "covalent" else 2.0
    i, j, shifts = pairs(positions, cell, pbc, reach * wide * 2 * radii.max())
    once = (i < j) | ((i == j) & forward(shifts))
    i, j, shifts = i[once], j[once], shifts[once]
    d = vectors(positions, i, j, shifts, cell * pbc[:, None])
    r = np.sqrt(squares(d))
    ratio = r / (radii[i] + radii[j])
    if stiffness.distances != "covalent" and len(ratio):
        near = np.full(len(positions), np.inf)
        np.minimum.at(near, i, ratio)
        np.minimum.at(near, j, ratio)
        near = near[np.isfinite(near)]
        sc = near.mean()
        if stiffness.distances == "stretched": sc = max(sc, 1.0)
        ratio = ratio / min(sc, wide)
    near = ratio < reach
    i, j, d, r, ratio = i[near], j[near], d[near], r[near], ratio[near]
    return Springs(i, j, d, d / np.where(r > 0, r, 1.0)[:, None], stiffness.along(ratio))


def forward(shifts: np.ndarray) -> np.ndarray:
    """Return which of the integer ``shifts`` (P, 3) come after their opposites, from left to right."""
    x, y, z = shifts.T
    return np.asarray((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0)))))
