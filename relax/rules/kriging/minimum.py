"""The minimum of a model of the surface within a trust radius."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relax.core.rule import Point
from relax.core.segments import Segments
from relax.preconditioner.base import Metric
from relax.rules.kriging.process import Value
from relax.rules.metric.internal_lbfgs import InternalLBFGS

__all__ = ["minimum_within"]

ROUNDS = 60
"""Most places at which the model is asked for."""

FLAT, PART, ENOUGH = 1e-3, 0.05, 1e-3
"""The search ends when no gradient is above ``FLAT`` (eV/A) nor above ``PART`` of the longest one at the
beginning, or when two steps on end gain less than ``ENOUGH`` of what was gained."""

HALVINGS = 20
"""How often the way to the radius is halved."""


def minimum_within(
    model: Callable[[np.ndarray], Value],
    x: np.ndarray,
    metric: Metric,
    hardness: float,
    radius: float,
    seg: Segments,
) -> tuple[np.ndarray, float]:
    """Return the way to the minimum of a model near a place, and the change of energy.

    The default rule goes there from ``x``.  A step of it that leaves the trust radius is shortened, and it is
    the last one.

    Parameters
    ----------
    model
        Returns the surface at rows (R, 3), A.
    x
        Where to begin (R, 3), A.
    metric
        The model Hessian at ``x``.
    hardness
        What a stiffness of one in that is, eV/A^2.
    radius
        Length of the longest row or strain of the displacement, A.
    seg
        That the rows are of one structure, perhaps with a strain.

    Returns
    -------
    tuple
        The displacement (R, 3), A, and the change of energy, eV, at most zero.
    """

    def longest(rows: np.ndarray) -> float:
        return float(seg.longest(rows)[0, 0])

    rule = InternalLBFGS(hardness=hardness)
    state, place = rule.init(x), x
    begin, flat, step, change, small, last = 0.0, FLAT, 0 * x, 0.0, 0, False
    for k in range(ROUNDS):
        value, gradient = model(place)
        g = without_turns(gradient.reshape(x.shape), seg)
        if k == 0:
            begin, flat = value, min(FLAT, PART * longest(g))
        above = value - begin
        if not np.isfinite(above) or not np.isfinite(g).all():
            break
        if above < change:
            gained = change - above
            step, change = place - x, above
            small = small + 1 if gained <= -ENOUGH * change else 0
        if last or small == 2 or longest(g) < flat:
            break
        dx, state = rule.update(state, Point(place, g, np.full((len(x), 1), above), seg, metric))
        last = longest(place + dx - x) > radius
        place = place + (within(place - x, dx, radius, longest) if last else 1.0) * dx
    return step, change


def without_turns(g: np.ndarray, seg: Segments) -> np.ndarray:
    """Return a gradient (R, 3) without the part by which a strain turns the cell.

    It is small, the model Hessian is soft there, and the derivatives of features are without it.
    """
    if not seg.tensors[0]:
        return g
    return np.concatenate([g[:-3], 0.5 * (g[-3:] + g[-3:].T)])


def within(way: np.ndarray, dx: np.ndarray, radius: float, longest: Callable[[np.ndarray], float]) -> float:
    """Return the largest part of a step ``dx`` (R, 3), A, with which ``way`` (R, 3) is within the radius."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        part = 0.5 * (low + high)
        low, high = (low, part) if longest(way + part * dx) > radius else (part, high)
    return low
