"""L-BFGS without a line search, the quasi-Newton baseline, and its two-loop recursion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import nonzero, per_row

__all__ = ["LBFGS", "blank_history", "empty_pairs", "push_pair", "two_loop_recursion"]


@dataclass(frozen=True, kw_only=True)
class LBFGS(Rule):
    """Limited-memory BFGS: a Newton step with a Hessian estimated from the last steps.

    ::

        s(i) = x(i+1) - x(i),  y(i) = G(i+1) - G(i),  rho(i) = 1 / s(i).y(i)
        q = G;     for i newest to oldest:  a(i) = rho(i) s(i).q,  q <- q - a(i) y(i)
        z = q / alpha, or gamma q with gamma = s.y / y.y of the newest pair (scaled)
        for i oldest to newest:  z <- z + s(i) (a(i) - rho(i) y(i).z)
        dx = -z

    ``careful`` leaves out pairs without positive curvature and reverses a step that leads uphill, as pele's
    L-BFGS does.  With ``scaled=False, careful=False`` the rule inside ``MaxStep(..., 0.2)`` is
    ``ase.optimize.LBFGS``.

    Source: Nocedal, Math. Comput. 35, 773 (1980); scaling from Liu and Nocedal, Math. Program. 45, 503
    (1989).
    """

    memory: int = param(100, "[1, inf)", "steps", "number of pairs (s, y) that are kept")
    alpha: float = param(70.0, "(0, inf)", "eV/A^2", "initial curvature, before there is any pair")
    scaled: bool = param(True, doc="estimate the initial curvature from the newest pair")
    careful: bool = param(True, doc="use positive curvature only, and never step uphill")

    def init(self, x: Array) -> State:
        return empty_pairs(x, self.memory) | {"gamma": per_row(x, 1 / self.alpha), "t": per_row(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot = array_namespace(point.g), point.seg.dot
        started = state["t"] > 0
        s = xp.where(started, point.x - state["x"], 0 * point.x)
        y = xp.where(started, point.g - state["g"], 0 * point.g)
        sy, yy = dot(s, y), dot(y, y)
        # Below 1e-300 the inverse of s.y may overflow.
        useful = (sy > 1e-12 * yy if self.careful else sy != 0) & (xp.abs(sy) > 1e-300)
        rho = xp.where(useful, 1 / xp.where(useful, sy, xp.ones_like(sy)), 0 * sy)
        gamma = xp.where(useful & (yy > 0), xp.abs(sy) / nonzero(yy), state["gamma"])
        pairs = push_pair(state, s, y, rho)
        # For a structure with a shorter history than the longest, rho is 0 in the remaining pairs.
        known = min(self.memory, int(xp.max(state["t"])))
        scale = gamma if self.scaled else 1 / self.alpha
        z = two_loop_recursion(point, pairs, known, lambda q: scale * q)
        if self.careful:
            z = xp.where(dot(z, point.g) < 0, -z, z)
        return -z, pairs | {"x": point.x, "g": point.g, "gamma": gamma, "t": state["t"] + 1}


def two_loop_recursion(point: Point, pairs: State, known: int, first: Callable[[Array], Array]) -> Array:
    """Return the L-BFGS inverse Hessian times the gradient (R, 3), A.

    Parameters
    ----------
    point
        The gradient, and the segments for its products.
    pairs
        ``s`` and ``y`` (R, memory, 3) with the newest pair first, and ``rho`` (R, memory), which is 0 for
        pairs that do not count.
    known
        How many of the pairs to use.
    first
        Function that multiplies rows (R, 3) by the initial inverse Hessian.
    """
    xp, dot = array_namespace(point.g), point.seg.dot
    s, y = (xp.permute_dims(pairs[k][:, :known, :], (1, 0, 2)) for k in "sy")
    rho = [pairs["rho"][:, i : i + 1] for i in range(known)]
    q, a = point.g, []
    for i in range(known):
        a.append(rho[i] * dot(s[i, ...], q))
        q = q - a[i] * y[i, ...]
    z = first(q)
    for i in reversed(range(known)):
        z = z + s[i, ...] * (a[i] - rho[i] * dot(y[i, ...], z))
    return z


def empty_pairs(x: Array, memory: int) -> State:
    """Return the last ``x`` and ``g`` (R, 3) and ``memory`` pairs ``s``, ``y`` and ``rho``, all zero."""
    history = blank_history(x, memory)
    return {"x": x * 0.0, "g": x * 0.0, "s": history, "y": history, "rho": history[:, :, 0]}


def blank_history(x: Array, memory: int) -> Array:
    """Return zeros (R, memory, 3) for rows ``x`` (R, 3).

    The rows of each step lie together in memory, since strided reads cost more; numpy keeps that order.
    """
    xp = array_namespace(x)
    return xp.permute_dims(xp.stack([x * 0.0] * memory, axis=0), (1, 0, 2))


def push_pair(state: State, s: Array, y: Array, rho: Array) -> State:
    """Return the pairs of ``state`` with one more in front, and without the oldest."""
    xp = array_namespace(s)
    return {
        "s": xp.concat([s[:, None, :], state["s"][:, :-1, :]], axis=1),
        "y": xp.concat([y[:, None, :], state["y"][:, :-1, :]], axis=1),
        "rho": xp.concat([rho, state["rho"][:, :-1]], axis=1),
    }
