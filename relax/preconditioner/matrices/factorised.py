"""Factorisations of sparse matrices, where they take less time than iterations."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Cholesky", "band_work", "factorised"]

FACTORED = 2e8
"""Most multiplications that the sparse factorisation of a matrix with internal coordinates may take, as a
band.  Beyond, iterations take less time."""

DENSE, WIDE = 2000, 9.0
"""Largest matrix that is factorised as a dense one, and the cube of its size over the multiplications as a
band up to which this takes less time than as a sparse one."""


def factorised(matrix: Any, work: float) -> Any:
    """Return an object with the method ``solve``, None if iterations take less time.

    Parameters
    ----------
    matrix
        A sparse matrix (n, n), symmetric and positive definite.
    work
        Multiplications of a factorisation as a band.
    """
    from scipy.sparse.linalg import splu

    if matrix.shape[0] <= DENSE and matrix.shape[0] ** 3 <= WIDE * work:
        return Cholesky(matrix.toarray())
    if work > FACTORED:
        return None
    return splu(matrix.T, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


class Cholesky:
    """The Cholesky factorisation of a dense symmetric positive definite ``matrix`` (n, n)."""

    def __init__(self, matrix: np.ndarray) -> None:
        from scipy.linalg import cho_factor

        self.factor = cho_factor(matrix.T, overwrite_a=True, check_finite=False)

    def solve(self, columns: np.ndarray) -> np.ndarray:
        """Return the inverse of the matrix times ``columns`` (n,) or (n, K)."""
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self.factor, columns, check_finite=False))


def band_work(matrix: Any) -> float:
    """Return the multiplications of a Cholesky factorisation of a sparse matrix that is ordered as a band."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    entries = matrix.tocoo()
    width = float(np.abs(place[entries.row] - place[entries.col]).max(initial=0))
    return len(order) * width * width
