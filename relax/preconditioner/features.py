"""Coordinates in which a model Hessian is half the square of a distance, and what they are at some places."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

__all__ = ["Features", "Places"]


class Places(NamedTuple):
    """F features of one structure with n = 3R coordinates at K places, and their derivatives J there.

    The first M features are curved, functions of few coordinates each.  The others are straight: their
    derivatives are the same everywhere.
    """

    u: np.ndarray  # (K, F) sqrt(eV), from the origin
    curved: Any  # the derivatives of the curved ones, a sparse matrix (K M, K n) of K blocks, sqrt(eV)/A
    straight: np.ndarray  # (F - M, n) those of the straight ones, sqrt(eV)/A

    @property
    def shape(self) -> tuple[int, int]:
        """M and n, the shape of the derivatives of the curved features at one place."""
        return self.u.shape[1] - len(self.straight), self.straight.shape[1]

    @property
    def first(self) -> Places:
        """The first place alone."""
        rows, width = self.shape
        return Places(self.u[:1], self.curved[:rows, :width], self.straight)

    @property
    def from_first(self) -> Places:
        """How much the features and derivatives of the other places are above those of the first one."""
        from scipy.sparse import eye_array, kron

        (rows, width), others = self.shape, len(self.u) - 1
        same = kron(eye_array(others), self.first.curved, format="csr")
        return Places(self.u[1:] - self.u[:1], self.curved[rows:, width:] - same, 0 * self.straight)

    def times(self, rows: np.ndarray) -> np.ndarray:
        """Return J times ``rows`` (K, n), those of each place with its own (K, F)."""
        curved = (self.curved @ rows.ravel()).reshape(len(rows), self.shape[0])
        return np.concatenate([curved, rows @ self.straight.T], axis=1)

    def back(self, slopes: np.ndarray) -> np.ndarray:
        """Return the transpose of J times ``slopes`` (K, F), those of each place with its own (K, n)."""
        curved, straight = np.split(slopes, self.shape[:1], axis=1)
        bent = (curved.ravel() @ self.curved).reshape(len(slopes), self.shape[1])
        return np.asarray(bent + straight @ self.straight)


class Features(Protocol):
    """Coordinates of a structure in which the energy of a model Hessian is half the square of a distance.

    J^T J at their origin is the model Hessian there, times a scale.
    """

    groups: np.ndarray
    """Numbers (F,): features with the same one are of the same bond or angle.  The straight ones are one."""

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return the features (K, F) at the rows ``x`` (K, R, 3), A."""
        ...

    def at(self, x: np.ndarray) -> Places:
        """Return the features and their derivatives at the rows ``x`` (K, R, 3), A."""
        ...
