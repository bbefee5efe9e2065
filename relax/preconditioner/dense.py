"""Model Hessians of small structures, inverted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from relax.preconditioner.network import SpringNetwork, blocks, strained
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Dense"]


class Dense:
    """The matrices of S structures of the same number of rows, R."""

    def __init__(self, bodies: Sequence[SpringNetwork], stiffness: PairStiffness) -> None:
        rows = bodies[0].rows
        h = np.zeros((len(bodies), rows, 3, rows, 3))
        for s, body in enumerate(bodies):
            self._fill(h[s], body, stiffness.tangent)
        self.h = h.reshape(len(bodies), 3 * rows, 3 * rows)
        for s, body in enumerate(bodies):
            if body.kept is not None:
                self._hold(self.h[s], body.kept)
        diagonal = np.arange(3 * rows)
        self.h[:, diagonal, diagonal] += stiffness.floor

    @staticmethod
    def _fill(h: np.ndarray, body: SpringNetwork, tangent: float) -> None:
        """Add the springs of ``body`` to its matrix ``h`` (R, 3, R, 3)."""
        springs, n = body.springs, body.atoms
        i, j = springs.first, springs.second
        stiff = blocks(springs, tangent)
        between = np.empty((n, n, 3, 3))
        for a in range(3):
            for b in range(a, 3):
                one_way = np.bincount(i * n + j, stiff[:, a, b], n * n).reshape(n, n)
                between[:, :, a, b] = between[:, :, b, a] = one_way + one_way.T
        atoms = np.arange(n)
        h[:n, :, :n] = -between.transpose(0, 2, 1, 3)
        h[atoms, :, atoms] += between.sum(axis=1)
        if body.scale is None:
            return
        pull, cost = strained(springs, stiff, body.scale)
        net = np.zeros((n, 3, 9))
        for a in range(3):
            for b in range(9):
                net[:, a, b] = np.bincount(j, pull[:, a, b], n) - np.bincount(i, pull[:, a, b], n)
        h[:n, :, n:] = net.reshape(n, 3, 3, 3)
        h[n:, :, :n] = net.reshape(n, 3, 3, 3).transpose(2, 3, 0, 1)
        h[n:, :, n:] = cost.reshape(3, 3, 3, 3)

    @staticmethod
    def _hold(h: np.ndarray, kept: np.ndarray) -> None:
        """Take what constraints hold out of the matrix ``h`` (3R, 3R) of a structure."""
        n = len(kept)
        for rows in (h, h.T):
            view = rows[: 3 * n].reshape(n, 3, -1)
            rows[: 3 * n] = (kept @ view).reshape(3 * n, -1)

    @property
    def size(self) -> np.ndarray:
        """Means of the diagonals (S,)."""
        return np.asarray(np.trace(self.h, axis1=1, axis2=2) / self.h.shape[1])

    @cached_property
    def inverse(self) -> np.ndarray:
        """The inverses (S, 3R, 3R)."""
        return np.linalg.inv(self.h)

    @cached_property
    def halved(self) -> np.ndarray:
        """The inverses of the symmetric square roots (S, 3R, 3R)."""
        values, vectors = np.linalg.eigh(self.h)
        return np.asarray((vectors / np.sqrt(values)[:, None, :]) @ vectors.swapaxes(1, 2))

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times rows (S, R, 3)."""
        return times(self.h, rows)

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times rows (S, R, 3)."""
        return times(self.inverse, rows)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse root of H times rows (S, R, 3)."""
        return times(self.halved, rows)


def times(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return matrices (S, 3R, 3R) times rows (S, R, 3), each with the rounding it has alone."""
    return np.asarray(matrices @ rows.reshape(len(rows), -1, 1)).reshape(rows.shape)
