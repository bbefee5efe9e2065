"""Derivatives of internal coordinates at one or more places, as products of sparse matrices."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Derivatives", "block_diagonal"]


class Derivatives:
    """The derivatives B of M coordinates by R rows at K places.

    B is the product of factors: a coordinate is a function of a few bond vectors, and these depend on the
    rows.  The factors have far fewer entries than B.

    Parameters
    ----------
    factors
        Sparse matrices with one block for each place along their diagonals, from that with M rows per block
        to that with 3R columns.  The blocks of a matrix have their entries in the same places.
    count
        Number K of places.
    """

    def __init__(self, factors: Iterable[Any], count: int) -> None:
        self.factors, self.count = list(factors), count
        self.transposed = [factor.T for factor in self.factors]

    @cached_property
    def matrix(self) -> Any:
        """B as one sparse matrix (K M, K 3R)."""
        matrix = self.factors[-1]
        for factor in self.factors[-2::-1]:
            matrix = factor @ matrix
        return matrix

    def times(self, rows: np.ndarray) -> np.ndarray:
        """Return B times ``rows``, as changes of the coordinates.

        Of rows (K, R, 3) with those of their own place, (K, M).  If there is one place, of any number of rows
        (L, R, 3) with those of this place, (L, M).
        """
        return self._product(self.factors[::-1], rows.reshape(len(rows), -1))

    def back(self, q: np.ndarray) -> np.ndarray:
        """Return the transpose of B times ``q`` (K, M) or (L, M), as rows (K, R, 3) or (L, R, 3)."""
        return self._product(self.transposed, q).reshape(len(q), -1, 3)

    def _product(self, factors: list[Any], v: np.ndarray) -> np.ndarray:
        """Return the product of ``factors``, the last one first, and vectors (K, n) or (L, n)."""
        count = len(v)
        v = v.T if self.count < count else v.ravel()
        for factor in factors:
            v = factor @ v
        # Sums are rounded by the order in memory.
        return np.ascontiguousarray(v.T) if self.count < count else v.reshape(count, -1)

    def at(self, which: np.ndarray) -> Derivatives:
        """Return the derivatives at the places ``which``; those at one place count for all."""
        from scipy.sparse import csr_array

        if self.count == 1:
            return self
        parts = []
        for factor in self.factors:
            data = factor.data.reshape(self.count, -1)[which].ravel()
            rows, columns = (n // self.count * len(which) for n in factor.shape)
            starts = factor.indptr[: rows + 1]
            parts.append(csr_array((data, factor.indices[: len(data)], starts), shape=(rows, columns)))
        return Derivatives(parts, len(which))


def block_diagonal(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int) -> Any:
    """Return a sparse matrix with K blocks of ``width`` columns along its diagonal.

    Parameters
    ----------
    values
        Of each block, row by row (K, entries).
    columns, starts
        Where the entries are in each block (entries,), and where its rows start (rows + 1,).
    """
    from scipy.sparse import csr_array

    count, entries = values.shape
    kind = np.dtype(np.int32 if max(values.size, count * width) < 2**31 else np.int64)
    columns, starts, number = columns.astype(kind), starts.astype(kind), np.arange(count, dtype=kind)[:, None]
    whole = np.append((starts[:-1] + entries * number).ravel(), kind.type(values.size))
    shape = count * (len(starts) - 1), count * width
    return csr_array((values.ravel(), (columns + width * number).ravel(), whole), shape=shape)
