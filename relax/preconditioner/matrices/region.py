"""Some rows of a large structure, the others held."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from relax.preconditioner.matrices.factorised import band_work, factorised

__all__ = ["Region", "diagonal_blocks"]


class Region:
    """H on some rows of a structure, the others held: what curved steps and transport need.

    Parameters
    ----------
    straight
        The part that is the same at every place, a sparse matrix (3R, 3R).
    bent
        The part of internal coordinates, a sparse matrix (3R, 3R).
    """

    def __init__(self, straight: Any, bent: Any) -> None:
        self.straight, self.whole = straight, (straight + bent).tocsr()
        self.factor = factorised(self.whole, band_work(self.whole))

    @property
    def exact(self) -> bool:
        """Whether ``precondition`` is the inverse."""
        return self.factor is not None

    @cached_property
    def diagonal_inverse(self) -> Any:
        """The inverse of the blocks on the diagonal of H, a sparse matrix (3R, 3R)."""
        from scipy.sparse import bsr_array

        rows = self.whole.shape[0] // 3
        inverse = np.linalg.inv(diagonal_blocks(self.whole, rows))
        return bsr_array((inverse, np.arange(rows), np.arange(rows + 1)), shape=self.whole.shape)

    def linear(self, rows: np.ndarray) -> np.ndarray:
        """Return the straight part of H times ``rows`` (K, 1, R, 3)."""
        return as_rows(self.straight @ as_columns(rows))

    def precondition(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H, or of its block diagonal, times ``rows`` (K, 1, R, 3)."""
        columns = as_columns(rows)
        return as_rows(self.factor.solve(columns) if self.exact else self.diagonal_inverse @ columns)


def as_columns(rows: np.ndarray) -> np.ndarray:
    """Return rows (K, 1, R, 3) as the columns of a matrix (3R, K)."""
    return rows.reshape(len(rows), -1).T


def as_rows(columns: np.ndarray) -> np.ndarray:
    """Return the columns of a matrix (3R, K) as rows (K, 1, R, 3)."""
    return np.ascontiguousarray(columns.T).reshape(columns.shape[1], 1, -1, 3)


def diagonal_blocks(matrix: Any, atoms: int) -> np.ndarray:
    """Return the blocks (N, 3, 3) on the diagonal of a sparse matrix."""
    blocks = matrix.tobsr((3, 3)) if matrix.shape[0] % 3 == 0 else matrix
    rows = np.repeat(np.arange(len(blocks.indptr) - 1), np.diff(blocks.indptr))
    own = np.flatnonzero((blocks.indices == rows) & (rows < atoms))
    out = np.zeros((atoms, 3, 3))
    out[rows[own]] = blocks.data[own]
    return out
