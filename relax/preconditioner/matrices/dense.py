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
        self._fill(h, straight)
        flat = h.reshape(len(straight), 3 * rows, 3 * rows)
        for s, one in enumerate(straight):
            if one.network.projectors is not None:
                self._constrain(flat[s], one.network.projectors)
        diagonal = np.arange(3 * rows)
        flat[:, diagonal, diagonal] += np.repeat(np.stack([one.floor for one in straight]), 3, axis=1)
        self.straight, self.h = flat, flat if bent is None else flat + np.stack(bent)

    @staticmethod
    def _fill(h: np.ndarray, straight: Sequence[Straight]) -> None:
        """Write the springs of the structures into their matrices ``h`` (S, R, 3, R, 3)."""
        count, rows = h.shape[:2]
        stiff = [one.blocks() for one in straight]
        whole, owner = np.concatenate(stiff), np.repeat(np.arange(count), [len(blocks) for blocks in stiff])
        i, j = (
            np.concatenate([getattr(one.springs, name) for one in straight]) for name in ("first", "second")
        )
        place, between = (owner * rows + i) * rows + j, np.empty((count, rows, rows, 3, 3))
        for a in range(3):
            for b in range(a, 3):
                one_way = np.bincount(place, whole[:, a, b], count * rows * rows).reshape(count, rows, rows)
                between[..., a, b] = between[..., b, a] = one_way + one_way.swapaxes(1, 2)
        own = np.arange(rows)
        h[...] = -between.swapaxes(2, 3)
        h[:, own, :, own] += between.sum(axis=2).swapaxes(0, 1)
        scales = {s: one.network.scale for s, one in enumerate(straight) if one.network.scale is not None}
        if not scales:
            return
        parts = [strain_blocks(straight[s].springs, stiff[s], scale) for s, scale in scales.items()]
        pull, strained = np.concatenate([part[0] for part in parts]), np.isin(owner, list(scales))
        i, j = ((owner * rows + atoms)[strained] for atoms in (i, j))
        net = np.empty((count * rows, 3, 9))
        for a in range(3):
            for b in range(9):
                column = pull[:, a, b]
                net[:, a, b] = np.bincount(j, column, len(net)) - np.bincount(i, column, len(net))
        net, n = net.reshape(count, rows, 3, 3, 3), rows - 3
        for s, (_, cost) in zip(scales, parts, strict=True):
            h[s, :n, :, n:] = net[s, :n]
            h[s, n:, :, :n] = net[s, :n].transpose(2, 3, 0, 1)
            h[s, n:, :, n:] = cost.reshape(3, 3, 3, 3)

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

    def solve(self, rows: np.ndarray, rough: bool = False) -> np.ndarray:
        """Return the inverse of H times ``rows`` (S, R, 3)."""
        return times(self.inverse, rows)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (S, R, 3)."""
        return times(self.inverse_root, rows)

    def half_inverse(self, rows: np.ndarray, transposed: bool = False, rough: bool = False) -> np.ndarray:
        """Return what ``root`` returns, which is symmetric."""
        return self.root(rows)

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
