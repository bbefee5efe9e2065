"""Model Hessians of small structures, as dense matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from relax.preconditioner.network import SpringNetwork, blocks, strain_blocks
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Dense"]


class Dense:
    """The Hessians of S structures with the same number R of rows."""

    def __init__(self, networks: Sequence[SpringNetwork], stiffness: PairStiffness) -> None:
        rows = networks[0].rows
        h = np.zeros((len(networks), rows, 3, rows, 3))
        for s, network in enumerate(networks):
            self._fill(h[s], network, stiffness.tangent)
        self.h = h.reshape(len(networks), 3 * rows, 3 * rows)
        for s, network in enumerate(networks):
            if network.projectors is not None:
                self._constrain(self.h[s], network.projectors)
        diagonal = np.arange(3 * rows)
        self.h[:, diagonal, diagonal] += stiffness.floor

    @staticmethod
    def _fill(h: np.ndarray, network: SpringNetwork, tangent: float) -> None:
        """Write the springs of ``network`` into its matrix ``h`` (R, 3, R, 3)."""
        springs, n = network.springs, network.atoms
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
        if network.scale is None:
            return
        pull, cost = strain_blocks(springs, stiff, network.scale)
        net = np.zeros((n, 3, 9))
        for a in range(3):
            for b in range(9):
                net[:, a, b] = np.bincount(j, pull[:, a, b], n) - np.bincount(i, pull[:, a, b], n)
        h[:n, :, n:] = net.reshape(n, 3, 3, 3)
        h[n:, :, :n] = net.reshape(n, 3, 3, 3).transpose(2, 3, 0, 1)
        h[n:, :, n:] = cost.reshape(3, 3, 3, 3)

    @staticmethod
    def _constrain(h: np.ndarray, projectors: np.ndarray) -> None:
        """Apply the ``projectors`` (N, 3, 3) of constraints to both sides of ``h`` (3R, 3R), in place."""
        n = len(projectors)
        for rows in (h, h.T):
            view = rows[: 3 * n].reshape(n, 3, -1)
            rows[: 3 * n] = (projectors @ view).reshape(3 * n, -1)

    @property
    def size(self) -> np.ndarray:
        """Means of the diagonals (S,)."""
        return np.asarray(np.trace(self.h, axis1=1, axis2=2) / self.h.shape[1])

    @cached_property
    def inverse(self) -> np.ndarray:
        """The inverses of H (S, 3R, 3R)."""
        return np.linalg.inv(self.h)

    @cached_property
    def inverse_root(self) -> np.ndarray:
        """The inverses of the symmetric square roots of H (S, 3R, 3R)."""
        values, vectors = np.linalg.eigh(self.h)
        return np.asarray((vectors / np.sqrt(values)[:, None, :]) @ vectors.swapaxes(1, 2))

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (S, R, 3)."""
        return times(self.h, rows)

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (S, R, 3)."""
        return times(self.inverse, rows)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (S, R, 3)."""
        return times(self.inverse_root, rows)


def times(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return matrices (S, 3R, 3R) times rows (S, R, 3), each rounded as in a batch of one."""
    return np.asarray(matrices @ rows.reshape(len(rows), -1, 1)).reshape(rows.shape)
