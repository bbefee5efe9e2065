"""The model Hessian of every structure of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from relax.core.segments import Segments
from relax.preconditioner.dense import Dense
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.sparse import Sparse

__all__ = ["PairHessian"]

DENSE = 360
"""Largest number of coordinates of a structure for which a dense matrix is used."""


class PairHessian:
    """The pair-stiffness Hessian of every structure of a batch, a ``Metric``.

    H is positive definite by construction.

    Parameters
    ----------
    networks
        The structures.
    stiffness
        The parameters of the model.
    """

    def __init__(self, networks: Sequence[SpringNetwork], stiffness: PairStiffness) -> None:
        seg = Segments([network.rows for network in networks])
        sizes = np.array(seg.lengths)
        self.parts: list[tuple[np.ndarray, Dense | Sparse]] = []
        for rows in np.unique(sizes[3 * sizes <= DENSE]):
            same_size = np.flatnonzero(sizes == rows)
            part = Dense([networks[s] for s in same_size.tolist()], stiffness)
            self.parts.append((seg.starts[same_size][:, None] + np.arange(rows), part))
        for s in np.flatnonzero(3 * sizes > DENSE).tolist():
            self.parts.append((seg.starts[s] + np.arange(sizes[s])[None], Sparse(networks[s], stiffness)))

    @cached_property
    def size(self) -> np.ndarray:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
        size = np.empty((sum(where.size for where, _ in self.parts), 1))
        for where, part in self.parts:
            size[where] = part.size[:, None, None]
        return size

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.apply(v))

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.solve(v))

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.root(v))

    def _each(self, rows: np.ndarray, fn: Callable[[Any, np.ndarray], np.ndarray]) -> np.ndarray:
        out = np.empty_like(rows)
        for where, part in self.parts:
            out[where] = fn(part, rows[where])
        return out
