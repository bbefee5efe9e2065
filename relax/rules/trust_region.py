"""Steps of a quasi-Newton method within a trust radius, where the Hessian is known well enough for it."""

from __future__ import annotations

from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Metric
from relax.rules.lbfgs import two_loop_recursion

__all__ = ["steps_within"]

SMALLEST, LARGEST, HALVINGS = 1e-4, 1e4, 20
"""Bounds of mu, and how often the range of its logarithm is halved."""

TINY = 1e-300


def steps_within(
    point: Point, metric: Metric, pairs: State, known: int, radius: Array, straight: float
) -> tuple[Array, Array]:
    """Return the steps of L-BFGS whose longest row is at most ``radius``, and the energy that they promise.

    ::

        dx = - (B + mu M)^-1 g,   the smallest mu >= 0 with |dx| <= radius
        promise = g.dx + 1/2 dx.B dx

    B is the Hessian of L-BFGS, which begins as that of the metric, and M the model to which ``shifted`` adds.
    For B + mu M the pairs are (s, y + mu M s), so that the recursion gives its inverse at once.  Unlike a
    step that is scaled down, this one is cut in soft directions, and is whole in stiff ones.

    Parameters
    ----------
    point, metric
        Where the structures are, and their metric.
    pairs, known
        ``s`` and ``y`` (R, K, 3), newest first, ``useful`` (R, K), and how many of them count.
    radius
        Longest row of a step (R, 1), A.
    straight
        Smallest curvature along a pair, relative to that of the metric.

    Returns
    -------
    step
        Minus the displacements (R, 3), A.
    promise
        The change of energy that the quadratic model predicts (R, 1), eV; at most zero.

    Source: Nocedal and Wright, Numerical Optimization (2006), section 4.3; Tankaria, Sugimoto and Yamashita,
    Comput. Optim. Appl. 82, 61 (2022), for the pairs.
    """
    xp, dot = array_namespace(point.g), point.seg.dot
    ones = xp.ones_like(radius)
    s = [pairs["s"][:, k, :] for k in range(known)]
    y = [pairs["y"][:, k, :] for k in range(known)]
    hs = [metric.apply(v) for v in s]
    with_model = metric.shifted(ones)
    ms = [with_model.apply(v) - hv for v, hv in zip(s, hs, strict=True)]

    def step(mu: Array) -> Array:
        shifted = metric.shifted(mu)
        made, rho = [], []
        for k in range(known):
            yk = y[k] + mu * ms[k]
            sy, shs = dot(s[k], yk), dot(s[k], hs[k] + mu * ms[k])
            useful = pairs["useful"][:, k : k + 1] & (sy > straight * shs) & (sy > TINY)
            made.append(yk)
            rho.append(xp.where(useful, 1 / xp.where(useful, sy, ones), 0 * sy))
        stacked = {
            "s": pairs["s"],
            "y": xp.stack(made, axis=1) if known else pairs["y"],
            "rho": xp.concat(rho, axis=1) if known else pairs["useful"],
        }
        return two_loop_recursion(point, stacked, known, shifted.solve)

    def too_long(z: Array) -> Array:
        return point.seg.longest(z) > radius

    mu = 0 * radius
    z = step(mu)
    over = too_long(z)
    if xp.any(over):
        low, high = SMALLEST * ones, LARGEST * ones
        for _ in range(HALVINGS):
            middle = xp.sqrt(low * high)
            longer = too_long(step(middle))
            low, high = xp.where(longer, middle, low), xp.where(longer, high, middle)
        mu = xp.where(over, high, mu)
        z = step(mu)
    shifted = metric.shifted(ones)
    model = dot(z, shifted.apply(z) - metric.apply(z))
    return z, -0.5 * dot(z, point.g) - 0.5 * mu * model
