"""Transport and retraction in internal coordinates, for a batch of structures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relax.core.segments import Segments
from relax.preconditioner.internal.coordinates import Internals, block_diagonal

__all__ = ["Curved"]

Operator = Callable[[np.ndarray], np.ndarray]

ACCURACY, PRODUCTS = 1e-3, 60
"""Conjugate gradients stop at this residual, relative to the right-hand side, or after so many products."""

HALVINGS = 4
"""How often a Gauss-Newton step that does not bring the coordinates nearer is halved."""

ENOUGH = 1e-2
"""A retraction ends when a round gains less than this part of what is left."""


class Derivatives:
    """The derivatives B of M coordinates by R rows at K places.

    Parameters
    ----------
    matrix
        A sparse matrix (K M, K 3R).
    count
        Number K of places.
    """

    def __init__(self, matrix: Any, count: int) -> None:
        self.matrix, self.transposed, self.count = matrix, matrix.T, count

    def times(self, rows: np.ndarray) -> np.ndarray:
        """Return B times ``rows`` (K, R, 3), as changes of the coordinates (K, M)."""
        return np.asarray((self.matrix @ rows.ravel()).reshape(self.count, -1))

    def back(self, q: np.ndarray) -> np.ndarray:
        """Return the transpose of B times ``q`` (K, M), as rows (K, R, 3)."""
        return np.asarray((self.transposed @ q.ravel()).reshape(self.count, -1, 3))

    def repeated(self, count: int) -> Derivatives:
        """Return the same derivatives at ``count`` places, in place of one."""
        b = self.matrix
        values = np.tile(b.data, (count, 1))
        return Derivatives(block_diagonal(values, b.indices, b.indptr, b.shape[1]), count)


class Curved:
    """The internal coordinates of a batch, with the straight part of its model Hessian.

    Parameters
    ----------
    internals
        The coordinates and their stiffness.
    x
        Where the rows are (R, 3), A.
    seg
        Which rows belong to which structure.
    linear
        Returns the straight part of H times rows (K, R, 3).
    precondition
        Returns about the inverse of H times rows (K, R, 3).
    """

    def __init__(
        self, internals: Internals, x: np.ndarray, seg: Segments, linear: Operator, precondition: Operator
    ) -> None:
        self.internals, self.x, self.seg = internals, x, seg
        self.linear, self.precondition = linear, precondition
        self.q, self.b = self._at(x[None])

    def _at(self, x: np.ndarray) -> tuple[np.ndarray, Derivatives]:
        q, matrix = self.internals.at(x)
        return q, Derivatives(matrix, len(x))

    @property
    def hessian(self) -> Any:
        """The part of H that is of the internal coordinates, a sparse matrix (3R, 3R)."""
        b, weighted = self.b.matrix, self.b.matrix.copy()
        weighted.data *= np.repeat(self.internals.stiffness, np.diff(b.indptr))
        return self.b.transposed.tocsr() @ weighted

    def transport(self, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places and gradients (K, R, 3) as seen from here."""
        internals, w, here = self.internals, self.internals.stiffness, self.b.repeated(len(x))
        q, there = self._at(x)
        # Torsions that have turned far are followed from place to place.
        turned = np.cumsum(internals.change(q, np.concatenate([self.q, q[:-1]])), axis=0)
        z = self._solve(there, g)
        seen = here.back(w * there.times(z)) + self.linear(z)
        return self._solve(here, here.back(w * turned) + self.linear(x - self.x)), seen

    def retract(self, dx: np.ndarray, rounds: int) -> np.ndarray:
        """Return the displacement (R, 3) that changes the coordinates as ``dx`` does to first order.

        As nearly as that is possible, in the sense of least squares weighted by the stiffness, by the method
        of Gauss and Newton.
        """
        w, step = self.internals.stiffness, dx[None]
        wanted = self.b.times(step)

        def left(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Derivatives]:
            q, b = self._at(self.x + z)
            missing = self.internals.change(wanted, self.internals.change(q, self.q))
            straight = self.linear(step - z)
            return self._cost(missing) + self._dots(step - z, straight), missing, straight, b

        z, (cost, missing, straight, b) = step, left(step)
        going = np.ones(cost.shape, bool)
        for _ in range(rounds):
            change, length = self._solve(b, b.back(w * missing) + straight), going.astype(float)
            for halving in range(HALVINGS + 1):
                there = z + self._spread(length) * change
                new = left(there)
                worse = new[0] > cost
                if not worse.any():
                    break
                length[worse] *= 0.5 if halving < HALVINGS - 1 else 0.0
            going &= cost - new[0] > ENOUGH * new[0]
            z, (cost, missing, straight, b) = there, new
            if not going.any():
                break
        return np.asarray(z[0])

    def _cost(self, q: np.ndarray) -> np.ndarray:
        """Return the weighted squares of changes of the coordinates (1, M) of each structure (1, S)."""
        squares = self.internals.stiffness * q[0] * q[0]
        return np.bincount(self.internals.owner, squares, len(self.seg.lengths))[None]

    def _dots(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the products within each structure, (K, R, 3) -> (K, S)."""
        return np.asarray(np.add.reduceat(np.einsum("kri,kri->kr", a, b), self.seg.starts, axis=1))

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Return values of the structures (K, S) on their rows (K, R, 1)."""
        return (values if values.shape[1] == 1 else values[:, self.seg.owner])[:, :, None]

    def _solve(self, b: Derivatives, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H where the derivatives are ``b`` times ``rows`` (K, R, 3).

        By conjugate gradients, for each structure and place on its own.
        """
        w, residual, x = self.internals.stiffness, rows, np.zeros_like(rows)
        z = self.precondition(residual)
        p, rz = z, self._dots(residual, z)
        enough = ACCURACY**2 * rz
        for _ in range(PRODUCTS):
            going = rz > enough
            if not going.any():
                break
            hp = b.back(w * b.times(p)) + self.linear(p)
            php = self._dots(p, hp)
            step = self._spread(np.where(going, rz / np.where(going, php, 1.0), 0.0))
            x = x + step * p
            residual = residual - step * hp
            z = self.precondition(residual)
            new = self._dots(residual, z)
            p = z + self._spread(np.where(going, new / np.where(going, rz, 1.0), 0.0)) * p
            rz = np.where(going, new, rz)
        return x
