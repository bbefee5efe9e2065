"""FIRE, the usual baseline for atomistic structures."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import nonzero, per_row

__all__ = ["FIRE"]


@dataclass(frozen=True, kw_only=True)
class FIRE(Rule):
    """Fast inertial relaxation engine: molecular dynamics that is stopped whenever it goes uphill.

    ::

        downhill (F.v > 0):  v <- (1 - a) v + a F |v| / |F|
                             after n_min such steps: dt <- min(f_inc dt, dt_max), a <- f_a a
        else:                v <- 0, a <- a_start, dt <- f_dec dt
        v <- v + dt F,  dx = dt v

    Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006).  Order and defaults are those of
    ``ase.optimize.FIRE``, and ``MaxStep(FIRE(), 0.2, norm="structure")`` makes the same steps.
    """

    default_maxstep = (0.2, "structure")
    strain_length = (1.0, 0.5)

    dt: float = param(0.1, "(0, inf)", "A/sqrt(eV)", "first time step")
    dt_max: float = param(1.0, "(0, inf)", "A/sqrt(eV)", "largest time step")
    n_min: int = param(5, "[0, inf)", "steps", "downhill steps before the time step grows")
    f_inc: float = param(1.1, "[1, inf)", "", "growth factor of the time step")
    f_dec: float = param(0.5, "(0, 1]", "", "factor of the time step after an uphill step")
    a_start: float = param(0.1, "[0, 1]", "", "mixing of velocity and force at the start")
    f_a: float = param(0.99, "(0, 1]", "", "decay of the mixing")

    def init(self, x: Array) -> State:
        return {
            "v": x * 0.0,
            "dt": per_row(x, self.dt),
            "a": per_row(x, self.a_start),
            "n": per_row(x),
            "t": per_row(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot, f = array_namespace(point.g), point.seg.dot, -point.g
        v, dt, a, n = state["v"], state["dt"], state["a"], state["n"]
        downhill = dot(f, v) > 0
        uphill = ~downhill & (state["t"] > 0)
        longer = downhill & (n > self.n_min)
        mixed = (1 - a) * v + a * f / nonzero(xp.sqrt(dot(f, f))) * xp.sqrt(dot(v, v))
        v = xp.where(downhill, mixed, xp.zeros_like(v))
        dt = xp.where(longer, xp.clip(dt * self.f_inc, None, self.dt_max), dt)
        dt = xp.where(uphill, dt * self.f_dec, dt)
        a = xp.where(uphill, xp.ones_like(a) * self.a_start, xp.where(longer, a * self.f_a, a))
        n = xp.where(downhill, n + 1, xp.zeros_like(n))
        v = v + dt * f
        return dt * v, {"v": v, "dt": dt, "a": a, "n": n, "t": state["t"] + 1}
