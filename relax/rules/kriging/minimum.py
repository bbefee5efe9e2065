"""The minimum of a model of the surface within a trust radius."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from relax.core.segments import Segments
from relax.rules.kriging.process import Value

__all__ = ["ALONE", "BESIDE", "Effort", "minimum_within"]


class Effort(NamedTuple):
    """How long the minimum is looked for.

    Attributes
    ----------
    rounds
        Most steps of Newton's method.
    enough
        It ends when two steps on end gain less than this part of what was gained.
    """

    rounds: int
    enough: float


ALONE, BESIDE = Effort(20, 1e-2), Effort(60, 1e-3)
"""For a process alone, and for one beside a cheap surface, whose Hessian is not known: in a soft valley its
steps gain little each."""

TRIALS = 30
"""Most penalties that are tried in one step."""

LOOSE = 0.05
"""How much shorter than the radius a displacement may be that the radius limits, relative to it."""

FLAT = 1e-3
"""It ends when no gradient is above this (eV/A)."""

DAMPED = (0.25, 4.0, 1e4)
"""Multiple of the metric that is added after a step uphill, the factor by which it changes, and its limit."""

AS_PROMISED, LESS = 0.75, 0.25
"""Parts of the promised gain above which the damping becomes weaker, and below which stronger."""


def minimum_within(
    model: Callable[[np.ndarray], Value],
    x: np.ndarray,
    metric: np.ndarray,
    radius: float,
    seg: Segments,
    effort: Effort = ALONE,
) -> tuple[np.ndarray, float]:
    """Return the way to the minimum of a model near a place, and the change of energy.

    Newton's method; each step goes to the minimum of the quadratic model among all displacements from ``x``
    whose rows, or strain, are not longer than the radius.

    Parameters
    ----------
    model
        Returns the surface at rows (R, 3), A.
    x
        Where to begin (R, 3), A.
    metric
        Positive definite matrix (3R, 3R), eV/A^2, by which displacements are limited.
    radius
        Length of the longest row or strain, A.
    seg
        That the rows are of one structure, perhaps with a strain.
    effort
        How long it is looked for.

    Returns
    -------
    tuple
        The displacement (R, 3), A, and the change of energy, eV, at most zero.
    """

    def longest(rows: np.ndarray) -> float:
        return float(seg.longest(rows.reshape(x.shape))[0, 0])

    begin = here = model(x)
    z, damp, small = np.zeros(x.size), 0.0, 0
    least, factor, limit = DAMPED
    for _ in range(effort.rounds):
        inside = longest(z) < (1 - LOOSE) * radius
        if inside and longest(here.gradient) < FLAT:
            break
        there = limited(here, z, metric, damp, radius, longest)
        new = model(x + there.reshape(x.shape))
        if not new.value <= here.value:
            damp = max(factor * damp, least)
            if damp > limit:
                break
            continue
        d, gain = there - z, here.value - new.value
        promised = -(here.gradient + 0.5 * here.hessian @ d) @ d
        if gain < LESS * promised:
            damp = max(factor * damp, least)
        elif gain > AS_PROMISED * promised:
            damp = damp / factor if damp > least else 0.0
        z, here = there, new
        small = small + 1 if gain <= effort.enough * (begin.value - here.value) else 0
        if small == 2 or (small and damp == 0.0):
            break
    return z.reshape(x.shape), here.value - begin.value


def limited(
    here: Value,
    z: np.ndarray,
    metric: np.ndarray,
    damp: float,
    radius: float,
    longest: Callable[[np.ndarray], float],
) -> np.ndarray:
    """Return the minimum (n,) of the quadratic model at the displacement ``z`` (n,), within the radius.

    ::

        (H + damp M + penalty M) z' = (H + damp M) z - g,    the smallest penalty >= 0 with |z'| <= radius
    """
    from scipy.linalg import cho_factor, cho_solve

    h = here.hessian + damp * metric
    target = h @ z - here.gradient

    def found(penalty: float) -> np.ndarray | None:
        try:
            return np.asarray(cho_solve(cho_factor(h + penalty * metric), target))
        except np.linalg.LinAlgError:
            return None

    free = found(0.0)
    if free is not None and longest(free) <= radius:
        return free
    low, high, penalty, nearest = 0.0, np.inf, 0.2, z
    for _ in range(TRIALS):
        trial = found(penalty)
        if trial is None or longest(trial) > radius:
            low = penalty
        else:
            high, nearest = penalty, trial
            if longest(trial) > (1 - LOOSE) * radius:
                break
        penalty = 4 * low if np.isinf(high) else np.sqrt(max(low, 1e-3 * high) * high)
    return nearest
