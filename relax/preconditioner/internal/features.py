"""Coordinates in which the energy of a model Hessian is half the square of a distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relax.preconditioner.features import Places
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
        self.x, self.internals = model.x, model.internals
        part = model.parts[0].matrix
        assert isinstance(part, Dense)
        self.root = np.linalg.cholesky(scale * part.straight[0])  # L (n, n)
        self.sqrt_w, centres = np.zeros(0), np.zeros(0, int)
        if self.internals is not None and model.curved is not None:
            self.sqrt_w, self.q = np.sqrt(scale * self.internals.stiffness), model.curved.q
            centres = centres_of(self.internals)
        straight = np.full(self.x.size, -1)
        self.groups = np.unique(np.concatenate([centres, straight]), return_inverse=True)[1]
        self._latest: tuple[bytes, Places] | None = None

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return the features (K, F) at the rows ``x`` (K, R, 3), A."""
        return self._from_origin(x, None if self.internals is None else self.internals.values(x))

    def at(self, x: np.ndarray) -> Places:
        """Return the features and their derivatives at the rows ``x`` (K, R, 3), A.

        They are kept for the same rows again.
        """
        key = x.tobytes()
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._at(x)
        return self._latest[1]

    def _at(self, x: np.ndarray) -> Places:
        if self.internals is None:
            from scipy.sparse import csr_array

            return Places(self._from_origin(x, None), csr_array((0, x.size)), self.root.T)
        q, derivatives = self.internals.at(x)
        curved = derivatives.matrix
        curved.data *= np.repeat(np.tile(self.sqrt_w, len(x)), np.diff(curved.indptr))
        return Places(self._from_origin(x, q), curved, self.root.T)

    def _from_origin(self, x: np.ndarray, q: np.ndarray | None) -> np.ndarray:
        """Return the features (K, F) at the rows ``x`` (K, R, 3) with the internal coordinates ``q``."""
        straight = (x - self.x).reshape(len(x), -1) @ self.root
        if q is None or self.internals is None:
            return np.asarray(straight)
        return np.concatenate([self.internals.change(q, self.q) * self.sqrt_w, straight], axis=1)


def centres_of(internals: Internals) -> np.ndarray:
    """Return the number of what each coordinate is of (M,): a bond, an atom, or a bond that turns."""
    stretches, bends, linear, planes, torsions = internals.kinds
    middle = [internals.first[kind[0]] for kind in (bends, linear, planes)]
    about = torsions[1] % internals.bonds + internals.bonds + internals.rows
    atoms = np.concatenate([middle[0], np.repeat(middle[1], 3), middle[2]]) + internals.bonds
    return np.concatenate([stretches[0] % internals.bonds, atoms, about])
