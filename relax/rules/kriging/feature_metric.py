"""The metric of features, for a search on a model of the surface."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from relax.preconditioner.base import Modelled
from relax.preconditioner.features import Features, Places
from relax.preconditioner.matrices.factorised import Cholesky

__all__ = ["FeatureMetric"]

ROUNDS, ENOUGH = 8, 1e-2
"""Most rounds of a retraction, and the part of what is left that a round must gain for another one."""


class Local:
    """The matrix H = J^T J, J the derivatives of features at one place, ``here``."""

    def __init__(self, here: Places) -> None:
        self.here = here
        self.h = (here.curved.T @ here.curved).toarray() + here.straight.T @ here.straight

    @cached_property
    def _factor(self) -> Cholesky:
        return Cholesky(self.h.copy())

    def solve(self, flat: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``flat`` (K, n)."""
        return self._factor.solve(flat.T).T

    def back(self, slopes: np.ndarray) -> np.ndarray:
        """Return the transpose of J times ``slopes`` (K, F), all at this place (K, n)."""
        return np.concatenate([self.here.back(one[None]) for one in slopes])


class FeatureMetric(Modelled):
    """The matrix H = J^T J of one structure, J the derivatives of its features at a place: a ``Metric``.

    Gradients are transported, and steps retracted, in the features.  These are the same at all places of a
    search, so what was found at a place is used again.

    Parameters
    ----------
    features
        The features.
    x
        The place (R, 3), A.
    visited
        What was found at the places of the search, by their rows.
    """

    def __init__(self, features: Features, x: np.ndarray, visited: dict[bytes, Local] | None = None) -> None:
        self._features, self.x, self._visited = features, x, {} if visited is None else visited
        self._local = self._at(x)

    @property
    def size(self) -> np.ndarray:
        """Mean of the diagonal of H, on all rows (R, 1)."""
        return np.full((len(self.x), 1), self._local.h.diagonal().mean())

    def reused(self, kept: np.ndarray, x: np.ndarray) -> tuple[FeatureMetric, np.ndarray]:
        """Return the metric at the rows ``x`` (R, 3), A, and ``x``."""
        return FeatureMetric(self._features, x, self._visited), x

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (R, 3)."""
        return np.asarray(self._local.h @ rows.ravel()).reshape(rows.shape)

    def solve(self, rows: np.ndarray, rough: bool = False) -> np.ndarray:
        """Return the inverse of H times ``rows`` (R, 3)."""
        return self._local.solve(rows.reshape(1, -1)).reshape(rows.shape)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        values, vectors = np.linalg.eigh(self._local.h)
        return np.asarray((vectors / np.sqrt(values)) @ (rows.ravel() @ vectors)).reshape(rows.shape)

    def half_inverse(self, rows: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return what ``root`` returns, which is symmetric."""
        return self.root(rows)

    def transport(self, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places and their gradients (K, R, 3) as they are seen from here, see ``Metric``."""
        local, others = self._local, [self._at(place) for place in x]
        slopes = [
            other.here.times(other.solve(one))
            for other, one in zip(others, g.reshape(len(g), 1, -1), strict=True)
        ]
        ways = np.concatenate([other.here.u for other in others]) - local.here.u
        steps, seen = local.solve(local.back(ways)), local.back(np.concatenate(slopes))
        return steps.reshape(x.shape), seen.reshape(g.shape)

    def retract(self, dx: np.ndarray) -> np.ndarray:
        """Return the displacement (R, 3), A, that changes the features as ``dx`` (R, 3) does to first order.

        As nearly as that is possible, in the sense of least squares, by the method of Gauss and Newton with
        the derivatives here.
        """

        def missing(z: np.ndarray) -> np.ndarray:
            return np.asarray(wanted - self._features.values((self.x + z)[None]))

        local, z = self._local, dx
        wanted = local.here.u + local.here.times(dx.reshape(1, -1))
        left = missing(z)
        for _ in range(ROUNDS):
            there = z + local.solve(local.back(left)).reshape(dx.shape)
            new = missing(there)
            before, after = (left * left).sum(), (new * new).sum()
            if after < before:
                z, left = there, new
            if before - after <= ENOUGH * after:
                break
        return z

    def _at(self, x: np.ndarray) -> Local:
        key = x.tobytes()
        if key not in self._visited:
            self._visited[key] = Local(self._features.at(x[None]))
        return self._visited[key]
