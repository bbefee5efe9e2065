"""A Gaussian process on gradients, in the features of a model Hessian."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relax.preconditioner.base import Features

__all__ = ["Process", "Value"]

RAISED, MOST = 3.0, 0.3
"""Factor by which the noise is raised until the covariance is positive definite, and its limit."""

DOUBT, HIGHEST, TURNS, RECENT = 0.5, 1.5, 5, 4
"""Standard deviation of the share of a cheap surface before anything is known, its limit, how often it is
computed again, and from how many of the newest gradients: those of a rough start say little of the rest."""


class Value(NamedTuple):
    """A function of n coordinates at one place."""

    value: float  # eV
    gradient: np.ndarray  # (n,) eV/A
    hessian: np.ndarray  # (n, n) eV/A^2, but for the curvature of the features


class Process:
    """A surface that has given gradients: a quadratic prior, and a Gaussian process on what that misses.

    ::

        m(x) = prior/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b,    u = u(x) from the features' origin
        cov(f, f') = k(|u - u'|),    k(r) = (1 + t + t^2/3) exp(-t),    t = sqrt(5) r / length
        (cov(g_a, g_b) + noise) alpha = g - prior J^T u

    Beside a cheap surface with the gradients p it is what is missing to a share of that::

        m(x) = share cheap(x) + rest/2 |u|^2 + sum over b of cov(f(x), g_b) alpha_b
        rest = share distrust + (1 - share) prior
        (cov(g_a, g_b) + noise) alpha = g - share p - rest J^T u

    The share is the most probable one, for an amplitude of the process that is the most probable as well;
    before anything is known it is 1 with a standard deviation of :data:`DOUBT`.  Where the cheap gradients
    say nothing of those that count, it goes to zero.  :meth:`believe` puts another in its place.

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
    coordinates; Kennedy and O'Hagan, Biometrika 87, 1 (2000), equation 2, for the share of a cheap function.
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
    ) -> None:
        from scipy.linalg import solve_triangular

        self.features, self.length = features, length
        self.u, j = features.at(x)
        count, f, n = j.shape
        flat = np.ascontiguousarray(j.transpose(1, 0, 2)).reshape(f, count * n)
        back = (flat.T @ self.u.T).reshape(count, n, count).transpose(0, 2, 1)  # J_a^T u_b
        own = np.einsum("aan->an", back)
        apart = own[:, None] - back  # J_a^T (u_a - u_b)
        first, second, _ = self._radial(((self.u[:, None] - self.u[None]) ** 2).sum(axis=2))
        covariance = (flat.T @ flat).reshape(count, n, count, n)
        for a in range(count):
            for b in range(a + 1):  # the lower triangle is enough
                block = covariance[a, :, b]
                block *= first[a, b]
                block += np.outer(second[a, b] * apart[a, b], apart[b, a])
        known = [g.reshape(count, n) - prior * own]
        if p is not None:
            known.append(p.reshape(count, n) - (prior - distrust) * own)
        rows = np.array(known).reshape(len(known), count * n)
        self._priors, self._j = (prior, distrust), j
        sizes = np.sqrt((g.reshape(count, n) ** 2).mean(axis=1))
        sizes[0] = 0.0
        self._factor = factorized(
            covariance.reshape(count * n, count * n), noise, np.repeat(rough * sizes, n)
        )
        self._halves = solve_triangular(self._factor, rows.T, trans="T").T
        self.believe(0.0 if p is None else likeliest_share(self._halves[:, : RECENT * n]))
        half = self._halves[0] - self.share * self._halves[-1]
        own, older = np.split(half, [(count if newer is None else newer) * n])
        self.contradiction = mean_square(older) / mean_square(own) if older.size else 0.0

    def believe(self, share: float) -> None:
        """Let this share of the cheap surface count, in place of the likeliest one."""
        from scipy.linalg import solve_triangular

        prior, distrust = self._priors
        self.share, self.prior = share, share * distrust + (1 - share) * prior
        alpha = solve_triangular(self._factor, self._halves[0] - share * self._halves[-1])
        self.beta = np.einsum("kfn,kn->kf", self._j, alpha.reshape(len(self._j), -1))

    def __call__(self, x: np.ndarray) -> Value:
        """Return the surface at the rows ``x`` (R, 3), A."""
        place = self.features.at(x[None])
        u, j = place.u[0], place.j[0]
        d = u - self.u
        first, second, third = self._radial((d * d).sum(axis=1))
        along = (d * self.beta).sum(axis=1)
        by_u = self.prior * u + first @ self.beta - (second * along) @ d
        of_d, of_beta = d @ j, self.beta @ j
        cross = (of_d * second[:, None]).T @ of_beta
        hessian = (self.prior - second @ along) * (j.T @ j) - cross - cross.T
        hessian += (of_d * (third * along)[:, None]).T @ of_d
        return Value(0.5 * self.prior * float(u @ u) + float(first @ along), by_u @ j, hessian)

    def _radial(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (-2 d/ds)^i k of the ``squares`` s of distances, for i from 1 to 3."""
        root = 5**0.5 / self.length
        r = np.sqrt(np.maximum(squares, 1e-16))
        e = np.exp(-root * r)
        return root**2 / 3 * (1 + root * r) * e, root**4 / 3 * e, root**5 / (3 * r) * e


def mean_square(numbers: np.ndarray) -> float:
    """Return the mean square of ``numbers`` (n,)."""
    return float(numbers @ numbers) / len(numbers)


def likeliest_share(halves: np.ndarray) -> float:
    """Return the share of a cheap surface.

    Parameters
    ----------
    halves
        What is known without it, and what its whole would take from that (2, n), both in coordinates in which
        the covariance is the unit matrix.
    """
    (aa, ad), (_, dd) = halves @ halves.T
    share = 1.0
    for _ in range(TURNS):
        amplitude = max((aa - 2 * share * ad + share**2 * dd) / halves.shape[1], 1e-12 * aa)
        share = (ad / amplitude + DOUBT**-2) / (dd / amplitude + DOUBT**-2)
    return float(min(max(share, 0.0), HIGHEST))


def factorized(covariance: np.ndarray, noise: float, own: np.ndarray) -> np.ndarray:
    """Return U of the covariance (n, n) with its noise, U^T U, of which the lower triangle counts.

    The noise is the same for all, relative to their deviation, and ``own`` (n,), eV/A.
    """
    from scipy.linalg import cholesky

    size, diagonal = np.trace(covariance) / len(covariance), np.arange(len(covariance))
    while True:
        noisy = covariance.copy()
        noisy[diagonal, diagonal] += noise * noise * size + own * own
        try:
            return np.asarray(cholesky(noisy.T, overwrite_a=True))
        except np.linalg.LinAlgError:
            if (noise := RAISED * noise) > MOST:
                raise
