"""Model Hessians of small structures, as dense matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from relax.preconditioner.network import Straight, strain_blocks

__all__ = ["Dense"]


class Dense:
    """The Hessians of S structures with the same number R of rows.

    Parameters
    ----------
    straight
        The part of each that is the same at every place.
    bent
        The part of internal coordinates of each (3R, 3R), if there is any.
    """

    exact = True  # ``precondition`` is the inverse

    def __init__(self, straight: Sequence[Straight], bent: Sequence[np.ndarray] | None = None) -> None:
        rows = straight[0].network.rows
        h = np.zeros((len(straight), rows, 3, rows, 3))
        for s, one in enumerate(straight):
            self._fill(h[s], one)
        flat = h.reshape(len(straight), 3 * rows, 3 * rows)
        for s, one in enumerate(straight):
            if one.network.projectors is not None:
                self._constrain(flat[s], one.network.projectors)
        diagonal = np.arange(3 * rows)
        flat[:, diagonal, diagonal] += np.repeat(np.stack([one.floor for one in straight]), 3, axis=1)
        self.straight, self.h = flat, flat if bent is None else flat + np.stack(bent)

    @staticmethod
    def _fill(h: np.ndarray, straight: Straight) -> None:
        """Write the springs of a structure into its matrix ``h`` (R, 3, R, 3)."""
        network, springs, stiff = straight.network, straight.springs, straight.blocks()
        n = network.atoms
        i, j = springs.first, springs.second
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

    def linear(self, rows: np.ndarray) -> np.ndarray:
        """Return the straight part of H times ``rows`` (K, S, R, 3)."""
        return many(self.straight, rows)

    def precondition(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (K, S, R, 3)."""
        return many(self.inverse, rows)


def many(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return symmetric matrices (S, 3R, 3R) times rows (K, S, R, 3)."""
    flat = rows.reshape(*rows.shape[:2], -1).swapaxes(0, 1)  # (S, K, 3R)
    return np.asarray((flat @ matrices).swapaxes(0, 1)).reshape(rows.shape)


def times(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return matrices (S, 3R, 3R) times rows (S, R, 3), each rounded as in a batch of one."""
    return np.asarray(matrices @ rows.reshape(len(rows), -1, 1)).reshape(rows.shape)
