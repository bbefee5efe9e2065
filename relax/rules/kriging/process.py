"""A Gaussian process on gradients, in the features of a model Hessian."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relax.preconditioner.base import Features, Places
from relax.rules.kriging.likelihood import factorized, likeliest_share, mean_square

__all__ = ["Process", "Value"]

RECENT = 4
"""From how many of the newest gradients the share of a cheap surface is estimated: those of a rough start say
little of the rest."""


class Value(NamedTuple):
    """A function of n coordinates at one place."""

    value: float  # eV
    gradient: np.ndarray  # (n,) eV/A


class Process:
    """A surface that has given gradients: a quadratic prior, and a Gaussian process on what that misses.

    ::

        m(x) = prior/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b,    u = u(x) from the features' origin
        cov(f, f') = (1 - local) k(|u - u'|) + local times the sum of k(|v - v'|) over all groups v of u
        k(r) = (1 + t + t^2/3) exp(-t),    t = sqrt(5) r / length
        (cov(g_a, g_b) + noise) alpha = g - prior J^T u

    Beside a cheap surface with the gradients p it is what is missing to a share of that::

        m(x) = share cheap(x) + rest/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b
        rest = share distrust + (1 - share) prior
        (cov(g_a, g_b) + noise) alpha = g - share p - rest J^T u

    The share is the most probable one, for an amplitude of the process that is the most probable as well, see
    :func:`~relax.rules.kriging.likelihood.likeliest_share`.  Where the cheap gradients say nothing of those
    that count, it goes to zero.  :meth:`believe` puts another in its place.

    Parameters
    ----------
    features
        The features, in which the model Hessian is half the square of the distance.
    prior
        How much of that is the prior.
    x, g
        The places of K gradients (K, R, 3), A, and these (K, R, 3), eV/A.
    length
        Length of the kernel, sqrt(eV).
    noise
        Noise of the gradients, relative to their deviation in the process.
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

        self.length = length
        every = np.ones((1, len(features.groups)))
        each = features.groups == np.arange(features.groups.max() + 1)[:, None]
        self.groups = np.concatenate([every, each]) if local else every  # (G, F), which features are in each
        self.variances = np.full(len(self.groups), local)
        self.variances[0] = 1 - local
        self.u, self._j = features.at(x)
        count, _, n = self._j.shape
        covariance = np.zeros((count, n, count, n))
        for a in range(count):
            for b in range(a + 1):  # the lower triangle is enough
                covariance[a, :, b] = self._of_gradients(a, b)
        own = np.einsum("kfn,kf->kn", self._j, self.u)
        known = [g.reshape(count, n) - prior * own]
        if p is not None:
            known.append(p.reshape(count, n) - (prior - distrust) * own)
        rows = np.array(known).reshape(len(known), count * n)
        self._priors = prior, distrust
        sizes = np.sqrt((g.reshape(count, n) ** 2).mean(axis=1))
        sizes[0] = 0.0
        self._factor = factorized(
            covariance.reshape(count * n, count * n), noise, np.repeat(rough * sizes, n)
        )
        self._halves = solve_triangular(self._factor, rows.T, trans="T").T
        self.believe(0.0 if p is None else likeliest_share(self._halves[:, : RECENT * n]))
        own, older = np.split(self._unexplained, [(count if newer is None else newer) * n])
        self.contradiction = mean_square(older) / mean_square(own) if older.size else 0.0

    def believe(self, share: float) -> None:
        """Let this share of the cheap surface count, in place of the likeliest one."""
        prior, distrust = self._priors
        self.share, self.prior = share, share * distrust + (1 - share) * prior
        self._unexplained = self._halves[0] - share * self._halves[-1]
        self.beta = self._weights(self._unexplained)

    def __call__(self, place: Places) -> Value:
        """Return the surface at a place of the features."""
        (u,), (j,) = place
        value, by_u = self._weighted(u - self.u, self.beta)
        return Value(0.5 * self.prior * float(u @ u) + value, (self.prior * u + by_u) @ j)

    def deviation(self, place: Places, origin: Places) -> Value:
        """Return the standard deviation of how far the energy at one place is above that at another.

        It is that of the process with its most probable amplitude, after all gradients that are known.
        """
        from scipy.linalg import solve_triangular

        ((u,), (j,)), start = place, origin.u[0]
        way = u - start
        fallen, first, _ = self._radial((way * way)[None])
        from_known = self._with_gradients(u) - self._with_gradients(start)
        half = solve_triangular(self._factor, from_known, trans="T")
        variance = 2 * fallen.sum() - half @ half
        if variance <= 0:
            return Value(0.0, np.zeros(j.shape[1]))
        explained = self._weighted(u - self.u, self._weights(half))[1]
        size = np.sqrt(mean_square(self._unexplained))
        root = np.sqrt(variance)
        return Value(size * root, size / root * (((first @ self.groups)[0] * way - explained) @ j))

    def _weights(self, half: np.ndarray) -> np.ndarray:
        """Return J^T alpha (K, F) for U^-T times gradients (K n,), where U^T U is their covariance."""
        from scipy.linalg import solve_triangular

        alpha = solve_triangular(self._factor, half)
        return np.asarray(np.einsum("kfn,kn->kf", self._j, alpha.reshape(len(self._j), -1)))

    def _weighted(self, apart: np.ndarray, beta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of cov(f, g_b) alpha_b and its gradient by u, for u - u_b and J^T alpha (K, F)."""
        _, first, second = self._radial(apart * apart)
        along = (apart * beta) @ self.groups.T
        slopes = (first @ self.groups) * beta - ((second * along) @ self.groups) * apart
        return float((first * along).sum()), slopes.sum(axis=0)

    def _with_gradients(self, u: np.ndarray) -> np.ndarray:
        """Return the covariance (K n,) of the energy at the features ``u`` (F,) and all gradients."""
        apart = u - self.u
        first = self._radial(apart * apart)[1] @ self.groups
        return np.asarray(np.einsum("kfn,kf->kn", self._j, first * apart).ravel())

    def _of_gradients(self, a: int, b: int) -> np.ndarray:
        """Return the covariance (n, n) of the gradients ``a`` and ``b``."""
        apart, at_a, at_b = self.u[a] - self.u[b], self._j[a], self._j[b]
        _, (first,), (second,) = self._radial((apart * apart)[None])
        found = at_a.T @ ((first @ self.groups)[:, None] * at_b)
        along = self.groups * apart
        return np.asarray(found - ((along @ at_a) * second[:, None]).T @ (along @ at_b))

    def _radial(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return k(0) - k, -2 dk/ds and 4 d^2k/ds^2 (K, G), from the squares (K, F) of which s are sums."""
        root = 5**0.5 / self.length
        t = root * np.sqrt(squares @ self.groups.T)
        e = self.variances * np.exp(-t)
        fallen = -self.variances * np.expm1(-t) - (t + t * t / 3) * e
        return fallen, root**2 / 3 * (1 + t) * e, root**4 / 3 * e
