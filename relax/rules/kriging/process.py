"""A Gaussian process on gradients, in the features of a model Hessian."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relax.preconditioner.features import Features, Places
from relax.rules.kriging.covariance import covariance
from relax.rules.kriging.kernel import Matern, Slopes
from relax.rules.kriging.likelihood import factorized, likeliest_share, mean_square, noises_of

__all__ = ["Process", "Value", "Weights"]

RECENT = 4
"""From how many of the newest gradients the share of a cheap surface is estimated: those of a rough start say
little of the rest."""


class Value(NamedTuple):
    """A function of n coordinates at one place."""

    value: float  # eV
    gradient: np.ndarray  # (n,) eV/A


class Weights(NamedTuple):
    """A function of F features that K gradients tell of, f(u) = line u + sum over b of c(u - u_b) beta_b.

    c(u - u_b) is the covariance of f(u) and the slopes at u_b, but for what is the same at all places.
    """

    line: np.ndarray  # (F,)
    beta: np.ndarray  # (K, F)


class Process:
    """A surface that has given gradients: a quadratic prior, and a Gaussian process on what that misses.

    ::

        m(x) = prior/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b,    u = u(x) from the features' origin
        cov(f, f') = (1 - local) k(|u - u'|) + local times the sum of k(|v - v'|) over all groups v of u
        (cov(g_a, g_b) + noise) alpha = g - prior J^T u

    Beside a cheap surface with the gradients p it is what is missing to a share of that::

        m(x) = share cheap(x) + rest/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b
        rest = share distrust + max(1 - share, 0) prior
        (cov(g_a, g_b) + noise) alpha = g - share p - rest J^T u

    The share is the most probable one, for an amplitude of the process that is the most probable as well, see
    :func:`~relax.rules.kriging.likelihood.likeliest_share`.  Where the cheap gradients say nothing of those
    that count, it goes to zero.  :meth:`believe` puts another in its place.

    Near a minimum all gradients are almost the same number of the process, and what they tell of curvature is
    in their small differences.  So what is known here is the newest gradient, and what the others are above
    it, and no such difference is taken of large numbers.

    Parameters
    ----------
    features
        The features, in which the model Hessian is half the square of the distance.
    prior
        How much of that is the prior.
    x, g
        The places of K gradients (K, R, 3), A, and these (K, R, 3), eV/A.
    length
        Length of the kernel k, sqrt(eV), see :class:`~relax.rules.kriging.kernel.Matern`.
    noise
        Noise of the largest gradient, relative to the deviation of a gradient in the process.  Smaller
        gradients have it in proportion to their size: the same noise for all would hide the minimum from a
        process that has seen a rough start.
    p
        Gradients of a cheap surface at the same places (K, R, 3), eV/A.
    distrust
        How much of the model Hessian is in the prior beside the whole of the cheap surface.
    newer
        How many of the gradients come before others that may be of another surface; all if None.
    rough
        More noise of all gradients but the first, relative to the root mean square of each: what a cheap
        surface misses where forces are large is not what it misses near a minimum.
    local
        How much of the process is a sum of functions of one group of features each, at least 0, below 1.  One
        step then tells of the curvature of every bond and angle, and not only of that along the step.

    Attributes
    ----------
    share
        The share of the cheap surface that counts; 0 without one.
    contradiction
        How improbable the other gradients are after those that come before: the mean square of their
        deviation from what is expected, in standard deviations, over that of the gradients before them.

    Raises
    ------
    LinAlgError
        The covariance is not positive definite with any noise that is tried.

    Source: Denzel and Kaestner, J. Chem. Phys. 148, 094114 (2018), for the kernel and gradients; Raggi,
    Fdez. Galvan, Ritterhoff, Vacher and Lindh, J. Chem. Theory Comput. 16, 3989 (2020), for internal
    coordinates; Kennedy and O'Hagan, Biometrika 87, 1 (2000), equation 2, for the share of a cheap function;
    Duvenaud, Nickisch and Rasmussen, Adv. Neural Inf. Process. Syst. 24, 226 (2011), for sums of kernels.
    """

    def __init__(
        self,
        features: Features,
        prior: float,
        x: np.ndarray,
        g: np.ndarray,
        length: float,
        noise: float,
        p: np.ndarray | None = None,
        distrust: float = 0.0,
        newer: int | None = None,
        rough: float = 0.0,
        local: float = 0.0,
    ) -> None:
        from scipy.linalg import solve_triangular

        groups, variances = features.groups, np.ones(1)
        every = np.zeros(len(groups), int)
        if local:
            variances = np.append(1 - local, np.full(groups.max() + 1, local))
        self.kernel = Matern.of([every, groups + 1] if local else [every], variances, length)
        self.places, count, n = features.at(x), len(x), x[0].size
        self._newest, self._above = self.places.first, self.places.from_first
        model = self.places.back(self.places.u)
        rows = np.array([model.ravel(), g.ravel()] if p is None else [model.ravel(), g.ravel(), p.ravel()])
        rows = rows.reshape(-1, count, n)
        rows[:, 1:] -= rows[:, :1]
        self._priors = prior, distrust
        squares = (self._newest.curved.data**2).sum() + (self._newest.straight**2).sum()
        noises = noises_of(g.reshape(count, n), noise * np.sqrt(self.kernel.stiffest * squares / n), rough)
        self._factor = factorized(covariance(self.kernel, self.places, self._above), *noises)
        known = rows.reshape(len(rows), -1).T
        self._halves = solve_triangular(self._factor, known, lower=True, check_finite=False).T
        self.believe(0.0 if p is None else self._likeliest(RECENT * n))
        own, others = np.split(self.unexplained, [(count if newer is None else newer) * n])
        self.contradiction = mean_square(others) / mean_square(own) if others.size else 0.0

    def believe(self, share: float) -> None:
        """Let this share of the cheap surface count, in place of the likeliest one."""
        model, g, p = self._halves[0], self._halves[1], self._halves[-1]
        self.share, self.prior = share, self._rest(share)
        self.unexplained = g - share * p - self.prior * model
        self._weights = self.weights(self.unexplained)

    def _rest(self, share: float) -> float:
        """Return how much of the model Hessian is beside this share of a cheap surface."""
        prior, distrust = self._priors
        return share * distrust + max(1 - share, 0.0) * prior

    def _likeliest(self, numbers: int) -> float:
        """Return the most probable share of the cheap surface, from so many of the numbers that are known."""
        model, g, p = self._halves[:, :numbers]
        prior, distrust = self._priors
        share = likeliest_share(g - prior * model, p - (prior - distrust) * model)
        return share if share <= 1 else max(1.0, likeliest_share(g, p + distrust * model))

    def __call__(self, place: Places) -> Value:
        """Return the surface at a place of the features; the zero of its energy has no meaning."""
        (u,), (newest,) = place.u, self._newest.u
        value, by_u = self.curved(self.kernel.slopes(u - self.places.u), self._weights.beta)
        value += 0.5 * self.prior * float(u @ u) + float(self._weights.line @ (u - newest))
        return Value(value, place.back((self.prior * u + self._weights.line + by_u)[None])[0])

    def half_of(self, slopes: np.ndarray, line: np.ndarray) -> np.ndarray:
        """Return L^-1 times the covariance (K n,) of some number and all that is known.

        Parameters
        ----------
        slopes, line
            The covariance of this number and the slopes by the features at the place b of a gradient is
            slopes_b + stiffest line, (K, F) and (F,).
        """
        from scipy.linalg import solve_triangular

        known = self.places.back(slopes)
        known[1:] -= known[0]
        known[:1] += self.kernel.stiffest * self._newest.back(line[None])
        known[1:] += self.kernel.stiffest * self._above.back(np.broadcast_to(line, slopes[1:].shape))
        return np.asarray(solve_triangular(self._factor, known.ravel(), lower=True, check_finite=False))

    def weights(self, half: np.ndarray) -> Weights:
        """Return the function whose covariance with what is known is L times ``half`` (K n,)."""
        from scipy.linalg import solve_triangular

        alpha = solve_triangular(self._factor, half, trans="T", lower=True, check_finite=False)
        of_each = alpha.reshape(len(self.places.u), -1)
        line = self._newest.times(of_each[:1])[0] + self._above.times(of_each[1:]).sum(axis=0)
        of_each[0] -= of_each[1:].sum(axis=0)
        return Weights(self.kernel.stiffest * line, self.places.times(of_each))

    def curved(self, seen: Slopes, beta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return what a function of these weights is beside its line, and the slopes (F,) of that.

        Parameters
        ----------
        seen
            From the places of the gradients to another place.
        beta
            The weights (K, F).
        """
        apart, lost, along = seen
        way = self.kernel.along(apart, beta)
        slopes = lost * beta + self.kernel.spread(along * way) * apart
        return -float((lost * apart * beta).sum()), -slopes.sum(axis=0)
