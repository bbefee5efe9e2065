"""L-BFGS without a line search, the quasi-Newton baseline."""

from __future__ import annotations

from dataclasses import dataclass

from relax.memory import column, safe
from relax.parameters import param
from relax.rule import Point, Rule
from relax.secants import remembered, two_loops
from relax.segments import Array, array_namespace
from relax.state import State

__all__ = ["LBFGS"]


@dataclass(frozen=True, kw_only=True)
class LBFGS(Rule):
    """Limited-memory BFGS: Newton's step with the curvature that the last steps showed.

    ::

        s(i) = x(i+1) - x(i),  y(i) = G(i+1) - G(i),  rho(i) = 1 / s(i).y(i)
        q = G;     for i newest to oldest:  a(i) = rho(i) s(i).q,  q <- q - a(i) y(i)
        z = q / alpha, or gamma q with gamma = s.y / y.y of the newest pair (scaled)
        for i oldest to newest:  z <- z + s(i) (a(i) - rho(i) y(i).z)
        dx = -z

    Source: Nocedal, Math. Comput. 35, 773 (1980); scaling from Liu and Nocedal, Math. Program. 45, 503
    (1989).  With ``scaled=False, careful=False`` it is ``ase.optimize.LBFGS`` inside ``MaxStep(..., 0.2)``.
    ``careful`` leaves out pairs of no positive curvature and turns round a step that leads uphill, as
    pele's L-BFGS does.
    """

    memory: int = param(100, "[1, inf)", "steps", "pairs that are kept")
    alpha: float = param(70.0, "(0, inf)", "eV/A^2", "curvature before any pair is known")
    scaled: bool = param(True, doc="take the initial curvature from the newest pair")
    careful: bool = param(True, doc="use positive curvature only, and never step uphill")

    def init(self, x: Array) -> State:
        xp = array_namespace(x)
        history = xp.stack([x * 0.0] * self.memory, axis=1)
        return {
            "x": x * 0.0,
            "g": x * 0.0,
            "s": history,
            "y": history,
            "rho": history[:, :, 0],
            "gamma": column(x, 1 / self.alpha),
            "t": column(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot = array_namespace(point.g), point.seg.dot
        started = state["t"] > 0
        s = xp.where(started, point.x - state["x"], 0 * point.x)
        y = xp.where(started, point.g - state["g"], 0 * point.g)
        sy, yy = dot(s, y), dot(y, y)
        # Below 1e-300 the inverse of s.y overflows.
        useful = (sy > 1e-12 * yy if self.careful else sy != 0) & (xp.abs(sy) > 1e-300)
        rho = xp.where(useful, 1 / xp.where(useful, sy, xp.ones_like(sy)), 0 * sy)
        gamma = xp.where(useful & (yy > 0), xp.abs(sy) / safe(yy), state["gamma"])
        pairs = remembered(state, s, y, rho)
        # A structure with a shorter history than the oldest one meets pairs whose rho is 0.
        known = min(self.memory, int(xp.max(state["t"])))
        scale = gamma if self.scaled else 1 / self.alpha
        z = two_loops(point, pairs, known, lambda q: scale * q)
        if self.careful:
            z = xp.where(dot(z, point.g) < 0, -z, z)
        return -z, pairs | {"x": point.x, "g": point.g, "gamma": gamma, "t": state["t"] + 1}
