"""The covariance of gradients at some places."""

from __future__ import annotations

from typing import Any

import numpy as np

from relax.preconditioner.features import Places
from relax.rules.kriging.kernel import Matern

__all__ = ["covariance"]


def covariance(kernel: Matern, places: Places, above: Places) -> np.ndarray:
    """Return the covariance (K n, K n) of the first gradient and of what the others are above it.

    ::

        cov(g_b, g_a) = c J_b^T J_a - L(b, a)
        cov(g_b - g_0, g_a - g_0) = c (J_b - J_0)^T (J_a - J_0) - L(b, a) + L(b, 0) + L(0, a)

    J are the derivatives of the features, c is what slopes at the same place have in common, and L(b, a) is
    what two gradients have less in common than if that were so of slopes at all places.

    Parameters
    ----------
    kernel
        The covariance of functions.
    places, above
        The K places, and how much the others are above the first one.

    Returns
    -------
    numpy.ndarray
        Of which the upper triangle counts.
    """
    (count, number), (curved, n) = places.u.shape, places.shape
    straight = places.straight.T @ places.straight
    back, back_above, j_above = transposed(places), transposed(above), kernel.stiffest * dense(above)
    owner = np.repeat(np.arange(count), np.diff(back.indptr[::n]))
    j = np.empty((count, number, n))
    j[:, :curved], j[:, curved:] = dense(places), places.straight
    found, from_first = np.zeros((count, n, count, n)), np.empty((count, n, n))
    found[0, :, 0] = kernel.stiffest * (back[:n] @ j[0, :curved] + straight)
    for a in range(1, count):
        apart = places.u[:a] - places.u[a]
        _, lost, along = kernel.slopes(apart)
        part, each = back[: a * n], kernel.each(apart)
        part.data *= lost[owner[: part.nnz], part.indices]
        less = (part @ j[a, :curved]).reshape(a, n, n)
        if curved < number:
            less += lost[:, -1, None, None] * straight
        ways = (each @ j[:a].reshape(-1, n)).reshape(a, -1, n)
        own = (one_below_the_other(each, number) @ j[a]).reshape(ways.shape)
        less += ways.swapaxes(1, 2) @ (along[:, :, None] * own)
        from_first[a] = less[0]
        found[0, :, a] = back[:n] @ j_above[a - 1] - less[0]
        block = (back_above[: a * n] @ j_above[a - 1]).reshape(a, n, n)
        block += from_first[1 : a + 1].swapaxes(1, 2) + less[0]
        block[:-1] -= less[1:]
        found[1 : a + 1, :, a] = block
    return found.reshape(count * n, count * n)


def dense(places: Places) -> np.ndarray:
    """Return the derivatives of the curved features (K, M, n)."""
    whole = one_below_the_other(places.curved, places.shape[1]).toarray()
    return np.asarray(whole.reshape(len(places.u), *places.shape))


def transposed(places: Places) -> Any:
    """Return the transposed derivatives of the curved features, sparse (K n, M)."""
    return one_below_the_other(places.curved.T.tocsr(), places.shape[0])


def one_below_the_other(matrix: Any, width: int) -> Any:
    """Return the blocks of a sparse block diagonal matrix, each of so many columns, in the same columns."""
    from scipy.sparse import csr_array

    columns = matrix.indices % max(width, 1)
    return csr_array((matrix.data, columns, matrix.indptr), shape=(matrix.shape[0], width))
