"""Coordinates in which the energy of a model Hessian is half the square of a distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relax.preconditioner.base import Places
from relax.preconditioner.matrices.dense import Dense

if TYPE_CHECKING:
    from relax.preconditioner.internal.coordinates import Internals
    from relax.preconditioner.model_hessian import ModelHessian

__all__ = ["ModelFeatures"]


class ModelFeatures:
    """Features u of one structure whose model Hessian H is J^T J: weighted internals, and what is straight.

    ::

        u(x) = sqrt(w) (q(x) - q(x0)),  L^T (x - x0),       H = B^T w B + L L^T

    Each stretch is a group of its own.  Bends at the same atom are a group, torsions about the same bond, and
    all that is straight.

    Parameters
    ----------
    model
        The model Hessian of one structure at the origin x0, with a dense matrix.
    scale
        What a stiffness of one is, eV/A^2.
    """

    def __init__(self, model: ModelHessian, scale: float) -> None:
        self.x, self.internals, self.metric = model.x, model.internals, model
        part = model.parts[0].matrix
        assert isinstance(part, Dense)
        self.root = np.linalg.cholesky(scale * part.straight[0])  # L (n, n)
        self.sqrt_w, centres = np.zeros(0), np.zeros(0, int)
        if self.internals is not None and model.curved is not None:
            self.sqrt_w, self.q = np.sqrt(scale * self.internals.stiffness), model.curved.q
            centres = centres_of(self.internals)
        straight = np.full(self.x.size, -1)
        self.groups = np.unique(np.concatenate([centres, straight]), return_inverse=True)[1]

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


def centres_of(internals: Internals) -> np.ndarray:
    """Return the number of what each coordinate is of (M,): a bond, an atom, or a bond that turns."""
    stretches, bends, linear, planes, torsions = internals.kinds
    middle = [internals.first[kind[0]] for kind in (bends, linear, planes)]
    about = torsions[1] % internals.bonds + internals.bonds + internals.rows
    atoms = np.concatenate([middle[0], np.repeat(middle[1], 3), middle[2]]) + internals.bonds
    return np.concatenate([stretches[0] % internals.bonds, atoms, about])
