"""Transport and retraction in internal coordinates, for a batch of structures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from relax.core.segments import Segments
from relax.preconditioner.internal.coordinates import Internals
from relax.preconditioner.internal.derivatives import Derivatives

__all__ = ["Curved", "Seen"]

Operator = Callable[[np.ndarray], np.ndarray]

ACCURACY, PRODUCTS = 1e-2, 60
"""Conjugate gradients stop at this residual, relative to the right-hand side, or after so many products."""

FEWER = 0.75
"""Derivatives at places that are solved are left out of the products once so few of the places are not."""

HALVINGS = 4
"""How often a Gauss-Newton step that does not bring the coordinates nearer is halved."""

ENOUGH = 1e-2
"""A retraction ends when a round gains less than this part of what is left."""


class Forces(NamedTuple):
    """The internal coordinates at K places, and the part of the gradients there that is along them."""

    q: np.ndarray  # (K, M)
    force: np.ndarray  # (K, M) derivatives of the energy by the coordinates
    pull: np.ndarray  # (K, R, 3) the same by the rows


Seen = dict[bytes, Forces]
"""What was found, by the rows and gradients of single places."""


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
    exact
        Returns for which structures (S,) it is the inverse.
    seen
        What was found at other places, to be used again with the same stiffness; None to keep nothing.
    """

    def __init__(
        self,
        internals: Internals,
        x: np.ndarray,
        seg: Segments,
        linear: Operator,
        precondition: Operator,
        exact: Callable[[], np.ndarray],
        seen: Seen | None = None,
    ) -> None:
        self.internals, self.x, self.seg = internals, x, seg
        self.linear, self.precondition, self.exact, self.seen = linear, precondition, exact, seen
        self.q, self.b = internals.at(x[None])

    @property
    def hessian(self) -> Any:
        """The part of H that is of the internal coordinates, a sparse matrix (3R, 3R)."""
        b, weighted = self.b.matrix, self.b.matrix.copy()
        weighted.data *= np.repeat(self.internals.stiffness, np.diff(b.indptr))
        return (b.T @ weighted).tocsr()  # which sorts: products are rounded as in a batch of one

    def transport(self, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places and gradients (K, R, 3) as seen from here."""
        internals, w, here = self.internals, self.internals.stiffness, self.b
        q, force, pull = self._forces(x, g) if self.seen is None else self._forces_again(x, g, self.seen)
        # Torsions that have turned far are followed from place to place.
        turned = np.cumsum(internals.change(q, np.concatenate([self.q, q[:-1]])), axis=0)
        moved = x - self.x
        along = here.times(moved)
        bent, whole = here.back(w * (turned - along)), here.back(w * along) + self.linear(moved)
        return moved + self._solve_here(bent, whole), g + here.back(force) - pull

    def _forces(self, x: np.ndarray, g: np.ndarray) -> Forces:
        """Return the coordinates at places (K, R, 3), and what of the gradients there is along them."""
        q, there = self.internals.at(x)
        force = self.internals.stiffness * there.times(self._solve(there, g))
        return Forces(q, force, there.back(force))

    def _forces_again(self, x: np.ndarray, g: np.ndarray, seen: Seen) -> Forces:
        """Return the same, each place computed on its own unless it is among those of the last time."""
        found: Seen = {}
        keys = [place.tobytes() + gradient.tobytes() for place, gradient in zip(x, g, strict=True)]
        for k, key in enumerate(keys):
            if key not in found:
                found[key] = seen[key] if key in seen else self._forces(x[k : k + 1], g[k : k + 1])
        seen.clear()
        seen.update(found)
        return Forces(*(np.concatenate(parts) for parts in zip(*(found[key] for key in keys), strict=True)))

    def retract(self, dx: np.ndarray, rounds: int) -> np.ndarray:
        """Return the displacement (R, 3) that changes the coordinates as ``dx`` does to first order.

        As nearly as that is possible, in the sense of least squares weighted by the stiffness, by the method
        of Gauss and Newton.
        """
        internals, w, step = self.internals, self.internals.stiffness, dx[None]
        wanted = self.b.times(step)

        def left(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            made = internals.change(internals.values(self.x + z), self.q)
            missing, straight = internals.change(wanted, made), self.linear(step - z)
            return self._cost(missing) + self._dots(step - z, straight), missing, straight

        z, (cost, missing, straight) = step, left(step)
        going = np.ones(cost.shape, bool)
        for _ in range(rounds):
            b = internals.derivatives(self.x + z)
            change, length = self._solve(b, b.back(w * missing) + straight), going.astype(float)
            for halving in range(HALVINGS + 1):
                there = z + self._spread(length) * change
                new = left(there)
                worse = new[0] > cost
                if not worse.any():
                    break
                length[worse] *= 0.5 if halving < HALVINGS - 1 else 0.0
            going &= cost - new[0] > ENOUGH * new[0]
            z, (cost, missing, straight) = there, new
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

    def _solve_here(self, rows: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return the inverse of H here times ``rows`` (K, R, 3), which are parts of ``whole`` (K, R, 3).

        The errors are relative to the whole.
        """
        found, exact = self.precondition(rows), self.exact()
        if exact.all():
            return found
        return np.where(exact[self.seg.owner][:, None], found, self._solve(self.b, rows, whole))

    def _solve(self, b: Derivatives, rows: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
        """Return the inverse of H where the derivatives are ``b`` times ``rows`` (K, R, 3).

        By conjugate gradients, for each structure and place on its own.  If ``rows`` are parts of ``whole``
        (K, R, 3), errors are relative to the whole.
        """
        w, residual, x = self.internals.stiffness, rows, np.zeros_like(rows)
        z = self.precondition(residual)
        p, rz = z, self._dots(residual, z)
        size = rz if whole is None else np.maximum(rz, self._dots(whole, self.precondition(whole)))
        enough, places = ACCURACY**2 * size, np.arange(len(rows))
        for _ in range(PRODUCTS):
            going = rz > enough
            unsolved = np.flatnonzero(going.any(axis=1))
            if not len(unsolved):
                break
            if len(unsolved) <= FEWER * len(places):
                b, places = b.at(np.searchsorted(places, unsolved)), unsolved
            hp = self.linear(p)
            hp[places] += b.back(w * b.times(p[places]))
            php = self._dots(p, hp)
            step = self._spread(np.where(going, rz / np.where(going, php, 1.0), 0.0))
            x = x + step * p
            residual = residual - step * hp
            z = self.precondition(residual)
            new = self._dots(residual, z)
            p = z + self._spread(np.where(going, new / np.where(going, rz, 1.0), 0.0)) * p
            rz = np.where(going, new, rz)
        return x
