"""What is most probable, given numbers of a Gaussian process."""

from __future__ import annotations

import numpy as np

__all__ = ["factorized", "likeliest_share", "mean_square", "noises_of"]

RAISED, MOST = 3.0, 300.0
"""Factor by which the noise is raised until the covariance is positive definite, and its limit."""

DOUBT, HIGHEST, TURNS = 0.5, 1.5, 5
"""Standard deviation of the share of a cheap surface before anything is known, its limit, and how often it is
computed again."""

LEAST = 1e-3
"""Least noise of a small gradient, relative to that of the largest one."""


def mean_square(numbers: np.ndarray) -> float:
    """Return the mean square of ``numbers`` (n,)."""
    return float(numbers @ numbers) / len(numbers)


def likeliest_share(known: np.ndarray, cheap: np.ndarray) -> float:
    """Return the share of a cheap surface; before anything is known it is 1 with the deviation :data:`DOUBT`.

    Parameters
    ----------
    known, cheap
        What is known without it, and what its whole would take from that (n,), in coordinates in which the
        covariance is the unit matrix.
    """
    aa, ad, dd = known @ known, known @ cheap, cheap @ cheap
    share = 1.0
    for _ in range(TURNS):
        amplitude = max((aa - 2 * share * ad + share**2 * dd) / len(known), 1e-12 * aa)
        share = (ad / amplitude + DOUBT**-2) / (dd / amplitude + DOUBT**-2)
    return float(min(max(share, 0.0), HIGHEST))


def factorized(covariance: np.ndarray, noise: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return L of the covariance (n, n) with its noise, L L^T, of which the upper triangle counts.

    The noises (n,), eV/A, are two: the first is raised until the covariance is positive definite.
    Above the diagonal of L is anything.
    """
    from scipy.linalg import cho_factor

    diagonal, factor = np.arange(len(covariance)), 1.0
    while True:
        noisy = covariance.copy()
        noisy[diagonal, diagonal] += (factor * noise) ** 2 + own * own
        try:
            return np.asarray(cho_factor(noisy.T, lower=True, overwrite_a=True, check_finite=False)[0])
        except np.linalg.LinAlgError:
            if (factor := RAISED * factor) > MOST:
                raise


def noises_of(g: np.ndarray, noise: float, rough: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the noises (K n,), eV/A, of the gradients (K, n): that of all, and more of all but the first."""
    sizes = np.sqrt((g**2).mean(axis=1))
    relative = np.maximum(sizes / (sizes.max() or 1.0), LEAST)
    older = rough * sizes.max() * relative * (np.arange(len(g)) > 0)
    return np.repeat(noise * relative, g.shape[1]), np.repeat(older, g.shape[1])
