"""L-BFGS on a metric of pair stiffnesses: the fastest of the rules here."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Identity
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.adaptive_base import nonzero, per_row
from relax.rules.lbfgs import push_pair, two_loop_recursion

__all__ = ["PairLBFGS"]

TINY = 1e-300
"""Quotients by numbers below this may overflow."""


@dataclass(frozen=True, kw_only=True)
class PairLBFGS(PairStiffness, Rule):
    """L-BFGS whose first guess of the Hessian knows that bonds are stiff and angles soft.

    ::

        H0^-1 = gamma H^-1,   gamma = sqrt(s.H s / y.H^-1 y) of the newest pair
        dx    = - two loops of L-BFGS on the last pairs (s, y) from H0, cut to the radius
        rho   = (E(i+1) - E(i)) / (change that the gradient foretold), both less the noise of energies
        rho < worst:  back to x(i);   rho < poor:  radius <- shrink |dx|
        rho > fine and the step was cut:  radius <- min(grow radius, largest)

    H is the model Hessian of :class:`~relax.preconditioner.pair_stiffness.PairStiffness`, made anew at
    every step.  Its scale, 1/gamma, is the geometric mean of the two that a secant gives, and needs no extra
    force call.  A step that is taken back costs its one force call, and what that says of the curvature stays
    in the memory.

    Source: Nocedal, Math. Comput. 35, 773 (1980), for the two loops; the trust radius is that of Nocedal
    and Wright, Numerical Optimization (2006), algorithm 4.1.
    """

    NAME = "pair-lbfgs"
    default_maxstep = (0.6, "atom")  # the way back from a step that is undone, and another one
    max_strain = 0.1
    strain_length = (3.0, 0.0)
    default_force_floor = 2e-3
    undoes = True

    memory: int = param(10, "[1, inf)", "steps", "pairs that are kept")
    hardness: float = param(5.0, "(0, inf)", "eV/A^2", "stiffness of a bond before any pair is known")
    straight: float = param(0.05, "[0, 1)", "", "smallest cosine of s and y, by H, that counts")
    blur: float = param(1e-7, "[0, 1)", "", "noise of the energy, as a share of it")
    radius: float = param(0.2, "(0, inf)", "A", "first trust radius")
    largest: float = param(0.3, "(0, inf)", "A", "largest trust radius")
    smallest: float = param(0.01, "(0, inf)", "A", "smallest trust radius")
    worst: float = param(-0.5, "(-inf, 1)", "", "share of the foretold change below which a step is undone")
    poor: float = param(-0.25, "(-inf, 1)", "", "share below which the radius shrinks")
    fine: float = param(0.9, "(0, inf)", "", "share above which the radius grows")
    shrink: float = param(0.3, "(0, 1)", "", "new radius, as a share of the length of a poor step")
    grow: float = param(1.5, "[1, inf)", "", "growth of the radius")

    @property
    def stiffness(self) -> PairStiffness:
        return self

    def init(self, x: Array) -> State:
        xp = array_namespace(x)
        history = xp.stack([x * 0.0] * self.memory, axis=1)
        return {
            "x": x * 0.0,
            "g": x * 0.0,
            "e": per_row(x),
            "slope": per_row(x),
            "s": history,
            "y": history,
            "rho": history[:, :, 0],
            "gamma": per_row(x, 1 / self.hardness),
            "radius": per_row(x, self.radius),
            "t": per_row(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot, metric = array_namespace(point.g), point.seg.dot, point.metric or Identity(point.x)
        started = state["t"] > 0
        s = xp.where(started, point.x - state["x"], 0 * point.x)
        y = xp.where(started, point.g - state["g"], 0 * point.g)
        sy, yhy, shs = dot(s, y), dot(y, metric.solve(y)), dot(s, metric.apply(s))
        useful = (sy > self.straight * xp.sqrt(shs * yhy)) & (sy > TINY)
        rho = xp.where(useful, 1 / xp.where(useful, sy, xp.ones_like(sy)), 0 * sy)
        measured = (shs > 0) & (yhy > TINY)
        gamma = xp.where(measured, xp.sqrt(shs / xp.where(measured, yhy, xp.ones_like(yhy))), state["gamma"])
        pairs = push_pair(state, s, y, rho)

        slope = dot(state["g"], s)
        part = slope / xp.where(state["slope"] < -TINY, state["slope"], -xp.ones_like(slope))
        foretold = slope * (1 - 0.5 * xp.clip(part, 0.0, 1.0))
        # Where both changes are noise, the step went as foretold.
        least = self.blur * xp.abs(point.e)
        rise, foretold = point.e - state["e"] - least, foretold - least
        share = rise / xp.where(foretold < -TINY, foretold, -xp.ones_like(slope))
        length, radius = point.seg.longest(s), state["radius"]
        shorter = xp.clip(self.shrink * length, self.smallest, None)
        longer = xp.clip(self.grow * radius, None, self.largest)
        cut = length > 0.8 * radius
        radius = xp.where(started & (share < self.poor), shorter, radius)
        radius = xp.where(started & (share > self.fine) & cut, longer, radius)
        undone = started & (share < self.worst)
        x, g, e = (xp.where(undone, state[k], now) for k, now in zip("xge", point[:3], strict=True))
        base = point._replace(x=x, g=g, e=e)

        known = min(self.memory, int(xp.max(state["t"])))
        z = two_loop_recursion(base, pairs, known, lambda q: gamma * metric.solve(q))
        z = xp.where(dot(z, base.g) < 0, -z, z)
        longest = point.seg.longest(z)
        dx = -z * xp.where(longest > radius, radius / nonzero(longest), xp.ones_like(longest))
        kept = {"x": base.x, "g": base.g, "e": base.e, "slope": -dot(z, base.g)}
        after = {"gamma": gamma, "radius": radius, "t": state["t"] + 1}
        return base.x - point.x + dx, pairs | kept | after
