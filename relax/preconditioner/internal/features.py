"""Coordinates in which the energy of a model Hessian is half the square of a distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relax.preconditioner.base import Places
from relax.preconditioner.matrices.dense import Dense

if TYPE_CHECKING:
    from relax.preconditioner.model_hessian import ModelHessian

__all__ = ["ModelFeatures"]


class ModelFeatures:
    """Features u of one structure whose model Hessian H is J^T J: weighted internals, and what is straight.

    ::

        u(x) = sqrt(w) (q(x) - q(x0)),  L^T (x - x0),       H = B^T w B + L L^T

    Parameters
    ----------
    model
        The model Hessian of one structure at the origin x0, with a dense matrix.
    scale
        What a stiffness of one is, eV/A^2.
    """

    def __init__(self, model: ModelHessian, scale: float) -> None:
        self.x, self.internals = model.x, model.internals
        part = model.parts[0].matrix
        assert isinstance(part, Dense)
        self.root = np.linalg.cholesky(scale * part.straight[0])  # L (n, n)
        self.hessian = scale * part.h[0]
        self.sqrt_w = np.zeros(0)
        if self.internals is not None and model.curved is not None:
            self.sqrt_w, self.q = np.sqrt(scale * self.internals.stiffness), model.curved.q

    def at(self, x: np.ndarray) -> Places:
        """Return the features and their derivatives at the rows ``x`` (K, R, 3), A."""
        count, n, m = len(x), self.x.size, len(self.sqrt_w)
        u, j = np.empty((count, m + n)), np.zeros((count, m + n, n))
        u[:, m:] = (x - self.x).reshape(count, n) @ self.root
        j[:, m:] = self.root.T
        if self.internals is not None:
            q, derivatives = self.internals.at(x)
            u[:, :m] = self.internals.change(q, self.q) * self.sqrt_w
            b = derivatives.matrix
            rows = np.repeat(np.arange(count * m), np.diff(b.indptr))
            j[rows // m, rows % m, b.indices % n] = b.data * self.sqrt_w[rows % m]
        return Places(u, j)
