"""L-BFGS preconditioned by the pair-stiffness Hessian: the rule with the fewest force calls."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Identity
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.adaptive_base import nonzero, per_row
from relax.rules.lbfgs import empty_pairs, push_pair, two_loop_recursion

__all__ = ["PairLBFGS"]

TINY = 1e-300
"""Division by smaller numbers may overflow."""


@dataclass(frozen=True, kw_only=True)
class PairLBFGS(PairStiffness, Rule):
    """L-BFGS with a pair-stiffness Hessian as preconditioner, and with a trust radius.

    ::

        H0^-1 = gamma H^-1,   gamma = sqrt(s.H s / y.H^-1 y) of the newest pair
        dx    = - (two-loop recursion on the last pairs (s, y), starting from H0), cut to the radius
        rho   = (E(i+1) - E(i)) / (change predicted from the gradient), both less the noise of energies
        rho < worst:  back to x(i);   rho < poor:  radius <- shrink |dx|
        rho > fine and the step was cut:  radius <- min(grow radius, largest)

    H is the model Hessian of :class:`~relax.preconditioner.pair_stiffness.PairStiffness`, built again at
    every step.  The two secant equations give two estimates of its scale 1/gamma; their geometric mean is
    used, which needs no extra force call.  A step that is taken back costs one force call, but its pair
    (s, y) stays in the memory.

    Source: Nocedal, Math. Comput. 35, 773 (1980), for the two-loop recursion; Nocedal and Wright, Numerical
    Optimization (2006), algorithm 4.1, for the trust radius.
    """

    NAME = "pair-lbfgs"
    default_maxstep = (0.6, "atom")  # a step may take one back and make another, each up to ``largest``
    max_strain = 0.1
    strain_length = (3.0, 0.0)
    default_force_floor = 2e-3
    takes_back_steps = True

    memory: int = param(10, "[1, inf)", "steps", "number of pairs (s, y) that are kept")
    hardness: float = param(5.0, "(0, inf)", "eV/A^2", "stiffness of a bond before there is any pair")
    straight: float = param(0.05, "[0, 1)", "", "smallest cosine of s and y, in the metric H")
    blur: float = param(1e-7, "[0, 1)", "", "noise of the energy, relative to the energy")
    radius: float = param(0.2, "(0, inf)", "A", "first trust radius")
    largest: float = param(0.3, "(0, inf)", "A", "largest trust radius")
    smallest: float = param(0.01, "(0, inf)", "A", "smallest trust radius")
    worst: float = param(-0.5, "(-inf, 1)", "", "rho below which a step is taken back")
    poor: float = param(-0.25, "(-inf, 1)", "", "rho below which the radius shrinks")
    fine: float = param(0.9, "(0, inf)", "", "rho above which the radius grows")
    shrink: float = param(0.3, "(0, 1)", "", "new radius after a poor step, relative to its length")
    grow: float = param(1.5, "[1, inf)", "", "growth factor of the radius")

    @property
    def stiffness(self) -> PairStiffness:
        return self

    def init(self, x: Array) -> State:
        return empty_pairs(x, self.memory) | {
            "e": per_row(x),
            "slope": per_row(x),
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
        predicted = slope * (1 - 0.5 * xp.clip(part, 0.0, 1.0))
        # If both changes are below the noise, their ratio becomes 1.
        noise = self.blur * xp.abs(point.e)
        change, predicted = point.e - state["e"] - noise, predicted - noise
        ratio = change / xp.where(predicted < -TINY, predicted, -xp.ones_like(slope))
        length, radius = point.seg.longest(s), state["radius"]
        shorter = xp.clip(self.shrink * length, self.smallest, None)
        longer = xp.clip(self.grow * radius, None, self.largest)
        cut = length > 0.8 * radius
        radius = xp.where(started & (ratio < self.poor), shorter, radius)
        radius = xp.where(started & (ratio > self.fine) & cut, longer, radius)
        taken_back = started & (ratio < self.worst)
        x, g, e = (xp.where(taken_back, state[k], now) for k, now in zip("xge", point[:3], strict=True))
        base = point._replace(x=x, g=g, e=e)

        known = min(self.memory, int(xp.max(state["t"])))
        z = two_loop_recursion(base, pairs, known, lambda q: gamma * metric.solve(q))
        z = xp.where(dot(z, base.g) < 0, -z, z)
        longest = point.seg.longest(z)
        dx = -z * xp.where(longest > radius, radius / nonzero(longest), xp.ones_like(longest))
        kept = {"x": base.x, "g": base.g, "e": base.e, "slope": -dot(z, base.g)}
        after = {"gamma": gamma, "radius": radius, "t": state["t"] + 1}
        return base.x - point.x + dx, pairs | kept | after
