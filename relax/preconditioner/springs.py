"""The springs between the atoms of one structure, from its pairs and covalent radii."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from relax.geometry.displacement import displaced, shortest
from relax.geometry.neighbors import FEW, complete_cell, pairs, squares, vectors
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["KeptPairs", "Springs", "springs"]

SEARCHED = (1.1, 3.0)
"""Bond lengths that are searched, over the sums of the covalent radii: at first, and at most."""

SKIN, WITHOUT = 1.0, 7
"""Pairs up to the first number beyond the cutoff, A, are kept from step to step.  Where atoms moved too far
for that before a list had served twice, as many lists as the second number have none beyond the cutoff."""


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


class Limits(NamedTuple):
    """How far pairs may be apart: part of the sum of their radii or, whatever these are, a distance in A."""

    reach: float
    farthest: float

    def cutoff(self, radii: np.ndarray) -> float:
        """Return the distance (A) beyond which there are none between atoms of these radii (N,), A."""
        return max(self.reach * 2 * float(radii.max()), self.farthest)


class Near(NamedTuple):
    """Pairs within limits, each listed once."""

    first: np.ndarray  # (P,)
    second: np.ndarray  # (P,)
    shifts: np.ndarray  # (P, 3) integers: the image of the second atom
    vectors: np.ndarray  # (P, 3) A
    distances: np.ndarray  # (P,) A
    ratio: np.ndarray  # (P,) distances over the sums of the radii


class KeptPairs:
    """The pairs of one structure, kept until an atom has moved too far or pairs farther apart are asked for.

    What is found with them is the same as without them, to the last bit.

    Parameters
    ----------
    radii
        Covalent radii (N,), A.
    pbc
        Which directions are periodic (3,).
    """

    def __init__(self, radii: np.ndarray, pbc: np.ndarray) -> None:
        self.radii, self.pbc = radii, pbc
        self._limits, self._served, self._without = Limits(-1.0, -1.0), False, 0

    def within(self, limits: Limits, positions: np.ndarray, cell: np.ndarray) -> Near:
        """Return the pairs within ``limits`` at ``positions`` (N, 3) in a ``cell`` (3, 3), A.

        Raises
        ------
        ValueError
            The pairs cannot be listed, see :func:`~relax.geometry.neighbors.pairs`.
        """
        self._served = self._contain(limits, positions, cell)
        if not self._served:
            self._find(limits, positions, cell)
        i, j, shifts = self._found
        d = vectors(positions, i, j, shifts, cell)
        r = np.sqrt(squares(d))
        ratio = r / (self.radii[i] + self.radii[j])
        near = (ratio < limits.reach) | (r < limits.farthest)
        return Near(*(array[near] for array in (i, j, shifts, d, r, ratio)))

    def _contain(self, limits: Limits, positions: np.ndarray, cell: np.ndarray) -> bool:
        """Return whether all pairs within ``limits`` are among those that are kept."""
        if limits.reach > self._limits.reach or limits.farthest > self._limits.farthest:
            return False
        cutoff, owner, kept = limits.cutoff(self.radii), np.zeros(len(positions), int), self._kept
        with np.errstate(over="ignore", invalid="ignore"):
            moved = displaced(positions, cell[None], *kept, owner, owner[:1])
            contain = bool(shortest(cutoff + SKIN, *moved)[0] > cutoff)
        if not contain and not self._served:
            self._without = WITHOUT
        return contain

    def _find(self, limits: Limits, positions: np.ndarray, cell: np.ndarray) -> None:
        few = len(positions) <= FEW and not self.pbc.any()  # whose pairs take no search
        cutoff, skin = limits.cutoff(self.radii), 0.0 if few or self._without else SKIN
        self._without = max(0, self._without - 1)
        try:
            i, j, shifts = pairs(positions, cell, self.pbc, cutoff + skin, once=True)
        except ValueError:  # perhaps too many pairs, because of the skin
            skin = 0.0
            i, j, shifts = pairs(positions, cell, self.pbc, cutoff, once=True)
        r = np.sqrt(squares(vectors(positions, i, j, shifts, cell))) - skin
        near = (r <= limits.reach * (self.radii[i] + self.radii[j])) | (r <= limits.farthest)
        self._found, self._limits = (i[near], j[near], shifts[near]), Limits(-1.0, -1.0)
        if skin:
            inverse = np.linalg.inv(complete_cell(cell, self.pbc))
            self._limits, self._kept = limits, (positions.copy(), cell[None].copy(), inverse[None])


def springs(positions: np.ndarray, cell: np.ndarray, pairs: KeptPairs, stiffness: PairStiffness) -> Springs:
    """Return the springs between atoms.

    With learned distances the search is repeated with a longer cutoff as long as the learned bond length is
    beyond the one that was searched.

    Parameters
    ----------
    positions
        (N, 3) in A.
    cell
        (3, 3) in A, one vector per row; zeros along directions that are not periodic.
    pairs
        The pairs of the structure.  Bond lengths are in proportion to the sums of its radii.
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
        found = pairs.within(Limits(reach * searched, stiffness.FARTHEST), positions, cell)
        if not learned:
            break
        nearest = np.full(len(positions), math.inf)
        np.minimum.at(nearest, np.concatenate([found.first, found.second]), np.tile(found.ratio, 2))
        nearest = nearest[nearest < math.inf]
        enough = 2 * len(nearest) >= len(positions)
        bond = float(nearest.mean()) if enough else SEARCHED[1]
        if bond <= searched or searched == SEARCHED[1]:
            break
        searched = min(max(bond, 1.5 * searched), SEARCHED[1])
    kept = (found.ratio < reach * bond) | (found.distances < stiffness.FARTHEST)
    i, j, shifts, d, _, ratio = (array[kept] for array in found)
    ratio /= bond
    along = np.where(ratio < reach, stiffness.along(ratio), 0.0)
    return Springs.between(i, j, d, along)._replace(ratio=ratio, shifts=shifts, bond=bond)
