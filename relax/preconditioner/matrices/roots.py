"""Inverse square roots of large matrices, from products with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebinterpolate

__all__ = ["krylov_root", "polynomial_root", "product"]

Times = Callable[[np.ndarray], np.ndarray]


def krylov_root(
    times: Times, size: Callable[[np.ndarray], float], v: np.ndarray, left: float, most: int
) -> np.ndarray:
    """Return the inverse of the square root of a matrix times ``v`` (n,), by the method of Lanczos.

    Parameters
    ----------
    times
        Product of the matrix, which is positive definite, and a vector (n,).
    size
        Length of a vector (n,) in a norm for residuals.
    v
        The vector (n,).
    left, most
        The Krylov space has a solution with this residual, relative to ``v``, or this dimension.

    Source: Golub and Van Loan, Matrix Computations (2013), section 10.1, for the method of Lanczos.
    """
    norm = product(v, v) ** 0.5
    if norm == 0.0:
        return np.zeros_like(v)
    basis, whole = [v / norm], size(v / norm)
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        w = times(basis[-1])
        diagonal.append(product(w, basis[-1]))
        for vector in basis:  # the last two would do without rounding
            w -= product(w, vector) * vector
        small = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        values, vectors = np.linalg.eigh(small)
        # The residual of the solution in this space, which is a multiple of w.
        residual = size(w) * abs(product(vectors[-1] / values, vectors[0]))
        if residual <= left * whole or len(basis) == most:
            break
        beside.append(product(w, w) ** 0.5)
        basis.append(w / beside[-1])
    root = norm * vectors @ (vectors[0] / np.sqrt(values))
    return np.asarray(root @ np.array(basis))


def polynomial_root(times: Times, v: np.ndarray, low: float, high: float, degree: int) -> np.ndarray:
    """Return a polynomial of a matrix, near the inverse of its square root, times ``v`` (n,).

    The polynomial has the values of that at the Chebyshev points between ``low`` and ``high``, and is
    positive from zero to ``high``.

    Parameters
    ----------
    times
        Product of the matrix, which is positive definite, and a vector (n,).
    v
        The vector (n,).
    low, high
        No eigenvalue is above the second number.  Those below the first one count as hardly softer than it.
    degree
        Degree of the polynomial, the number of products; at least one.

    Source: Trefethen, Approximation Theory and Approximation Practice (2013), chapters 2 and 3.
    """
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    first, second, *more = coefficients(middle, half, degree)
    last, now = v, (times(v) - middle * v) / half
    made = first * last + second * now
    for coefficient in more:
        last, now = now, 2 / half * (times(now) - middle * now) - last
        made += coefficient * now
    return np.asarray(made)


@cache
def coefficients(middle: float, half: float, degree: int) -> tuple[float, ...]:
    """Return the Chebyshev coefficients of the inverse root between ``middle`` minus and plus ``half``."""

    def inverse_root(t: Any) -> Any:
        return 1 / np.sqrt(middle + half * t)

    return tuple(chebinterpolate(inverse_root, degree).tolist())


def product(a: np.ndarray, b: np.ndarray) -> float:
    """Return the inner product of ``a`` and ``b`` (n,), without threads: they cost more than they save."""
    return float(np.einsum("i,i->", a, b))
