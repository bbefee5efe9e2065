"""Is it a minimum?  The lowest curvature at a point where the forces vanish, from a few force calls.

::

    probe = Probe(MinimumCheck(), metric, free, still, g, images)
    while (look := probe.direction) is not None:
        probe.learn(gradient_at(x + look) - g, energy_at(x + look) - energy)
    probe.curvature, probe.mode

A product of the Hessian with a direction is a difference of gradients, one force call.  The Hessian is known
within the space of the directions that were looked along, and so are its products with them.  Beyond that it
is taken to be soft: the metric's times the mean stiffness of what is known times ``assumed``.  The next look
is along the lowest mode of this Hessian; where that has no negative curvature, the point is a minimum.  Where
a crystal is symmetric, each product is also known along the images of the direction under the space group.

Gradients over a small displacement may mislead: those of some potentials jump.  So a negative curvature is
believed only where the energy falls along its mode over a larger displacement.

Source: Lanczos' method, in the metric of the model; compare Davidson, J. Comput. Phys. 17, 87 (1975).  For
saddle points, Heyden, Bell and Keil, J. Chem. Phys. 123, 224101 (2005), and Hermes et al., J. Chem. Theory
Comput. 15, 6536 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from relax.engine.minima.minimum_check import MinimumCheck
from relax.preconditioner.base import Metric

__all__ = ["Images", "Probe"]

Project = Callable[[np.ndarray], np.ndarray]

Images = Callable[[np.ndarray], np.ndarray]
"""What symmetry makes of rows (R, 3): (K, R, 3)."""

NEW = 0.3
"""Least part of an image that is not yet known.  Smaller parts are mostly noise of the gradients."""

EQUAL = 0.01
"""Difference of modes that count as equal, over the stiffness beyond what is known."""

TRIAL = 0.25
"""Part of a push over which the energy must fall."""

SLOPE = 1e-4
"""Least gradient along a mode (eV/A) that says on which side of a saddle the energy falls."""


class Probe:
    """The search for the lowest curvature of one structure of R rows.

    Parameters
    ----------
    check
        When to be content.
    metric
        How stiff the rows are.
    free
        The projection of rows (R, 3) on what may move at all.
    still
        Orthonormal rows (K, R, 3) along which the energy cannot change, see
        :func:`~relax.engine.minima.motions.rigid`; those that may not move are left out.
    g
        The gradient (R, 3), eV/A, at the point.
    images
        The images of rows under symmetry operations, with which the Hessian commutes.

    Attributes
    ----------
    direction
        The displacement (R, 3), A, to evaluate gradient and energy at next; None where no more is wanted.
    curvature
        The lowest found, eV/A^2, but for noise not below the true one; infinite before the first, and where
        nothing can move.
    mode
        Its direction (R, 3), of length one.
    push
        The displacement (R, 3), A, that leaves a saddle; None where none has been found.
    calls
        Force calls made use of.
    """

    def __init__(
        self,
        check: MinimumCheck,
        metric: Metric,
        free: Project,
        still: np.ndarray,
        g: np.ndarray,
        images: Images | None = None,
    ) -> None:
        self.check, self.metric, self.free, self.g, self.images = check, metric, free, g, images
        self.shape = still.shape[1:]
        _, cosines, motions = np.linalg.svd(np.array([free(rows).ravel() for rows in still]), False)
        self.still = motions[np.abs(cosines - 1) < 1e-6]
        self.calls, self.scale, self.curvature = 0, 1.0, math.inf
        self.mode = np.zeros(self.shape)
        self.push: np.ndarray | None = None
        # Directions that are orthonormal in the metric, the metric times them, and the Hessian times them.
        self.known, self.stiff, self.bent = (np.zeros((0, math.prod(self.shape))) for _ in range(3))
        self.trial: np.ndarray | None = None
        self.rises: list[float] = []
        self.random = np.random.default_rng(check.seed)
        self.direction = self._look(metric.root(self._allowed(self.random.normal(size=self.shape))))

    @property
    def saddle(self) -> bool:
        """Whether the energy falls along the mode."""
        return self.push is not None

    @property
    def words(self) -> str:
        """What has been found."""
        return f"the lowest curvature is {self.curvature:.3g} eV/A^2"

    def learn(self, change: np.ndarray, rise: float) -> None:
        """Take in by how much gradient (R, 3), eV/A, and energy, eV, have changed along ``direction``."""
        assert self.direction is not None
        self.calls += 1
        if self.trial is not None:
            self._learn_of_trial(self._allowed(change).ravel(), rise)
            return
        along, bent = self.direction / self.scale, self._allowed(change) / self.scale
        self._take_in(along, bent, 0.0)
        if self.images is not None:
            for image, product in zip(self.images(along), self.images(bent), strict=True):
                self._take_in(image, product, NEW)
        self._judge()

    def _judge(self) -> None:
        """Find the lowest modes of what is known, and where to look next."""
        small = self.known @ self.bent.T
        small = 0.5 * (small + small.T)
        values, vectors = eigh(small, self.known @ self.known.T)
        modes = (vectors.T @ self.known).reshape(-1, *self.shape)
        self.curvature, self.mode, self.direction = float(values[0]), modes[0], None
        if self.curvature < self.check.saddle and self.calls < 2 * self.check.calls:
            # A mixture of all modes along which the energy falls, so that no escape ends on a lesser saddle,
            # from a random direction, which does not depend on how degenerate modes are told apart.
            down = modes[values < self.check.saddle]
            mixed = np.tensordot(np.tensordot(down, self.random.normal(size=self.shape), 2), down, 1)
            mixed = TRIAL * self.check.push * mixed / longest(mixed)
            # Less of a slope is noise, and would make the sign a matter of rounding.
            self.trial, self.rises = -mixed if (mixed * self.g).sum() > SLOPE * longest(mixed) else mixed, []
            self.direction = self.trial
        elif self.calls < self.check.calls:
            self.residual = (vectors[:, 0] @ self.bent).reshape(self.shape) - self.curvature * self.mode
            self._go_on(small)

    def _learn_of_trial(self, change: np.ndarray, rise: float) -> None:
        """Take in by how much gradient and energy have changed on one side, or both, of a seeming saddle."""
        assert self.trial is not None
        self.rises.append(rise)
        slope, self.direction = float((self.trial * self.g).sum()), None
        if len(self.rises) == 1:
            self.change = change
            if rise < 1.5 * slope:
                self.push = self.trial / TRIAL
            else:
                self.direction = -self.trial
            return
        along, product = self.trial.ravel(), 0.5 * (self.change - change)
        rises = sum(self.rises)
        if rises < 0:
            self.push = (self.trial if self.rises[0] < self.rises[1] else -self.trial) / TRIAL
            return
        # The energies tell the curvature, and the gradients on both sides the rest of the product.
        self._mend(along, product + (rises - along @ product) / (along @ along) * along)
        self.trial = None
        self._judge()

    def _mend(self, along: np.ndarray, product: np.ndarray) -> None:
        """Let the Hessian times ``along``, which is known, be ``product``: Powell's symmetric update."""
        square, inside = along @ along, self.known @ along
        wrong = product - (self.stiff @ along) @ self.bent
        self.bent = self.bent + np.outer(self.known @ wrong, along) / square
        self.bent += np.outer(inside, wrong / square - (along @ wrong) / square**2 * along)

    def _go_on(self, small: np.ndarray) -> None:
        """Look along the lowest mode beyond what is known, unless its curvature is positive."""
        # What the Hessian makes of the known directions, beyond them, in a basis that is orthonormal too.
        solved = np.array([self._solved(rows) for rows in self.bent])
        beyond = solved - small @ self.known
        gram = beyond @ np.array([self._apply(rows) for rows in beyond]).T
        sizes, turned = np.linalg.eigh(0.5 * (gram + gram.T))
        some = sizes > 1e-10 * max(sizes.max(), 1e-300)
        sizes, turned = np.sqrt(sizes[some]), turned[:, some]
        soft = self.check.assumed * np.abs(np.linalg.eigvalsh(small)).mean()
        whole = np.block([[small, turned * sizes], [(turned * sizes).T, soft * np.eye(len(sizes))]])
        values, vectors = np.linalg.eigh(whole)
        # Of modes that symmetry makes equal, a random mixture, which does not depend on rounding.
        rows = np.vstack([self.known, (turned / sizes).T @ beyond])
        equal = vectors[:, values < values[0] + soft * EQUAL]
        outside = (equal @ (equal.T @ (rows @ self.random.normal(size=rows.shape[1]))))[len(small) :]
        if values[0] <= 0 and np.linalg.norm(outside) > 1e-6:
            self.direction = self._look(outside @ rows[len(small) :])
        elif np.linalg.norm(self.residual) > self.check.accuracy:
            self.direction = self._look(self.metric.solve(self.residual))

    def _look(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the displacement along the part of ``rows`` that is not known, if there is any."""
        part, share = self._new(self._allowed(rows).ravel())
        if not share > 1e-5:
            return None
        ahead = part.reshape(self.shape)
        self.scale = self.check.reach / longest(ahead)
        return np.asarray(self.scale * ahead)

    def _take_in(self, along: np.ndarray, bent: np.ndarray, least: float) -> None:
        """Know the product ``bent`` of the Hessian with ``along``, if more than ``least`` of that is new."""
        v = along.ravel()
        part, share = self._new(v)
        if not share > least:
            return
        size = math.sqrt(float(part @ self._apply(part)))
        inside = self.stiff @ (v - part)
        self.bent = np.vstack([self.bent, (bent.ravel() - inside @ self.bent) / size])
        self.known = np.vstack([self.known, part / size])
        self.stiff = np.vstack([self.stiff, self._apply(part / size)])

    def _new(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the part of ``v`` (3R,) that is not known, and its length over that of ``v``."""
        part = v
        for _ in range(2):
            part = part - (self.stiff @ part) @ self.known
        before, after = (float(rows @ self._apply(rows)) for rows in (v, part))
        return part, math.sqrt(max(after, 0.0) / before) if before > 0 else 0.0

    def _apply(self, rows: np.ndarray) -> np.ndarray:
        return self._allowed(self.metric.apply(rows.reshape(self.shape))).ravel()

    def _solved(self, rows: np.ndarray) -> np.ndarray:
        return self._allowed(self.metric.solve(rows.reshape(self.shape))).ravel()

    def _allowed(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of rows (R, 3) that may move and is no rigid motion."""
        flat = self.free(rows.reshape(self.shape)).ravel()
        return np.reshape(flat - self.still.T @ (self.still @ flat), self.shape)


def longest(rows: np.ndarray) -> float:
    """Return the length of the longest row of ``rows`` (R, 3)."""
    return float(np.sqrt((rows * rows).sum(axis=1).max()))
