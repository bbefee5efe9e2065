"""Whether two structures are the same, whatever their place and orientation and the order of their atoms.

An atom is described by the distances to its nearest atoms of each element, sorted.  They change by no more
than the atoms move.  The atoms of two structures are then matched so that their distances differ least.

Source: sorted distances as in Bartok, Kondor and Csanyi, Phys. Rev. B 87, 184115 (2013), section II; the
assignment as in Sadeghi et al., J. Chem. Phys. 139, 184118 (2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms
from scipy.optimize import linear_sum_assignment

from relax.geometry.neighbors import distances

__all__ = ["Fingerprint"]

NEAREST = 24
"""How many distances describe an atom, about."""

MANY = 300
"""Structures of more atoms are compared atom by atom, in their order: to match them would take long."""


@dataclass(frozen=True)
class Fingerprint:
    """The distances around each atom.

    Parameters
    ----------
    numbers
        Atomic numbers (N,), sorted.
    near
        Distances (N, K), A, of the atoms in that order.
    """

    numbers: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms) -> Self:
        """Return the fingerprint of ``atoms``.

        Raises
        ------
        ValueError
            There are too many pairs of atoms, because the structure has collapsed.
        """
        order = np.argsort(atoms.numbers, kind="stable")
        elements, counts = np.unique(atoms.numbers, return_counts=True)
        wanted = np.ceil(NEAREST * counts / len(atoms)).astype(int)
        if not atoms.pbc.any():
            wanted = np.minimum(wanted, counts)
        reach = 5.0
        while (near := _nearest(atoms, elements, wanted, reach)) is None:
            reach *= 1.5
        return cls(atoms.numbers[order], near[order])

    def difference(self, other: Fingerprint) -> float:
        """Return the largest difference (A) of two distances; infinite for structures of different atoms."""
        if not np.array_equal(self.numbers, other.numbers):
            return float("inf")
        if len(self.numbers) > MANY:
            return float(np.abs(self.near - other.near).max())
        worst = 0.0
        for element in np.unique(self.numbers):
            mine, theirs = (near[self.numbers == element] for near in (self.near, other.near))
            first, second = linear_sum_assignment(((mine[:, None] - theirs) ** 2).mean(axis=2))
            worst = max(worst, float(np.abs(mine[first] - theirs[second]).max()))
        return worst


def _nearest(atoms: Atoms, elements: np.ndarray, wanted: np.ndarray, reach: float) -> np.ndarray | None:
    """Return the distances (N, K), A, to the nearest ``wanted`` atoms of each of the ``elements``.

    None where an atom has fewer of them within ``reach``, A.  It is one of them itself, at no distance.
    """
    i, j, d = distances(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    every = np.arange(len(atoms))
    i, j, d = np.append(i, every), np.append(j, every), np.append(d, np.zeros(len(atoms)))
    columns = []
    for element, count in zip(elements, wanted, strict=True):
        mine = atoms.numbers[j] == element
        order = np.lexsort((d[mine], i[mine]))
        starts = np.searchsorted(i[mine][order], np.arange(len(atoms) + 1))
        if (np.diff(starts) < count).any():
            return None
        columns.append(d[mine][order][starts[:-1, None] + np.arange(count)])
    return np.hstack(columns)
