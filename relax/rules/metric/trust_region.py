"""Steps of a quasi-Newton method within a trust radius, where the Hessian is known well enough for it."""

from __future__ import annotations

from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Metric
from relax.rules.lbfgs import two_loop_recursion

__all__ = ["steps_within"]

SMALLEST, LARGEST, HALVINGS = 1e-4, 1e4, 16
"""Bounds of mu, and how often the range of its logarithm is halved."""

FLATTEST = 0.3
"""Smallest curvature of a pair, relative to that of the model."""

TINY = 1e-300
"""Division by smaller numbers may overflow."""


def steps_within(
    point: Point, metric: Metric, pairs: State, known: int, radius: Array
) -> tuple[Array, Array]:
    """Return the steps of L-BFGS whose longest row is at most ``radius``, and the energy that they promise.

    ::

        dx = - (B + mu M)^-1 g,   the smallest mu >= 0 with |dx| <= radius
        promise = g.dx + 1/2 dx.B dx

    B is the Hessian of L-BFGS, which begins as that of the metric, and M the model to which ``shifted`` adds.
    For B + mu M the pairs are (s, y + mu M s), so that the recursion gives its inverse at once.  Unlike a
    step that is scaled down, this one is cut in soft directions, and is whole in stiff ones.  A pair whose
    curvature s.y is below :data:`FLATTEST` s.M s gets its absolute value, or that, by a multiple of M s: if
    the energy has negative curvature, the radius limits the step.

    Parameters
    ----------
    point, metric
        Where the structures are, and their metric.
    pairs, known
        ``s`` and ``y`` (R, K, 3), newest first, whether they are ``useful`` (R, K), and how many there are.
    radius
        Longest row of a step (R, 1), A.

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
    with_model = metric.shifted(ones)

    def model_times(v: Array) -> Array:
        return with_model.apply(v) - metric.apply(v)

    s, y, ms, sy, sms = [], [], [], [], []
    for k in range(known):
        s.append(pairs["s"][:, k, :])
        ms.append(model_times(s[k]))
        sms.append(dot(s[k], ms[k]))
        curvature = dot(s[k], pairs["y"][:, k, :]) / xp.where(sms[k] > TINY, sms[k], ones)
        wanted = xp.where(curvature < FLATTEST, xp.clip(xp.abs(curvature), FLATTEST, None), curvature)
        y.append(pairs["y"][:, k, :] + (wanted - curvature) * ms[k])
        sy.append(dot(s[k], y[k]))

    def step(mu: Array) -> Array:
        shifted, made = metric.shifted(mu), dict(pairs)
        if known:
            lifted = [a + mu * b for a, b in zip(sy, sms, strict=True)]
            useful = [pairs["useful"][:, k : k + 1] & (lifted[k] > TINY) for k in range(known)]
            rho = [xp.where(u, 1 / xp.where(u, a, ones), 0 * a) for u, a in zip(useful, lifted, strict=True)]
            made["y"] = xp.stack([a + mu * b for a, b in zip(y, ms, strict=True)], axis=1)
            made["rho"] = xp.concat(rho, axis=1)
        return two_loop_recursion(point, made, known, shifted.solve)

    mu = 0 * radius
    z = step(mu)
    over = point.seg.longest(z) > radius
    if xp.any(over):
        low, high = SMALLEST * ones, LARGEST * ones
        for _ in range(HALVINGS):
            middle = xp.sqrt(low * high)
            longer = point.seg.longest(step(middle)) > radius
            low, high = xp.where(longer, middle, low), xp.where(longer, high, middle)
        mu = xp.where(over, high, mu)
        z = step(mu)
    return z, -0.5 * dot(z, point.g) - 0.5 * mu * dot(z, model_times(z))
