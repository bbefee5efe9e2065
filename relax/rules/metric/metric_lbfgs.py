"""L-BFGS on a model Hessian, with a trust radius: the rules with the fewest force calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Identity, Metric
from relax.rules.adaptive_base import nonzero, per_row
from relax.rules.lbfgs import blank_history, two_loop_recursion
from relax.rules.metric.trust_region import steps_within

__all__ = ["MetricLBFGS"]

TINY = 1e-300
"""Division by smaller numbers may overflow."""


@dataclass(frozen=True, kw_only=True)
class MetricLBFGS(Rule):
    """L-BFGS with a model Hessian H as preconditioner, and with a trust radius.

    ::

        s, y  = differences of the last places and gradients, as H's geometry transports them to x(i)
        H0^-1 = gamma H^-1,   gamma = sqrt(s.H s / y.H^-1 y) of the newest pair
        dx    = - (two-loop recursion on the pairs (s, y), starting from H0), cut to the radius
        x(i+1) = the place to which H's geometry retracts dx
        rho   = (E(i+1) - E(i)) / (change predicted from the gradient), both less the noise of energies
        rho < worst:  back to x(i);   rho < poor:  radius <- shrink |dx|
        rho > fine and the step was cut:  radius <- min(grow radius, largest)

    Where the metric is a Hessian that was measured, gamma is 1, the radii are :attr:`REACH` times as long,
    and the step is that of the quadratic model within the radius: see ``steps_within`` in
    :mod:`relax.rules.metric.trust_region`.

    H is built again at every step, of a large structure only once atoms have gone some way.  The two secant
    equations give two estimates of its scale 1/gamma; their geometric mean is used, which needs no extra
    force call.  A step that is taken back costs one force call, but its pair (s, y) stays in the memory.

    Source: Nocedal, Math. Comput. 35, 773 (1980), for the two-loop recursion; Nocedal and Wright, Numerical
    Optimization (2006), algorithm 4.1, for the trust radius.
    """

    max_strain = 0.1
    strain_length = (3.0, 0.0)
    default_force_floor = 2e-3
    takes_back_steps = True

    REACH: ClassVar[float] = 2.0
    """Factor of the trust radii where the Hessian at the start is known."""

    MOST_BACK: ClassVar[int] = 2
    """How many steps on end are taken back at most where the radius is the smallest and forces say that the
    energy falls."""

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

    def init(self, x: Array) -> State:
        places = blank_history(x, self.memory + 1)
        return {
            "xs": places,
            "gs": places,
            "stayed": places[:, 1:, 0],
            "norms": places[:, 1:, 0],
            "x": x * 0.0,
            "built": x * 0.0,
            "g": x * 0.0,
            "dx": x * 0.0,
            "e": per_row(x),
            "slope": per_row(x),
            "part": per_row(x),
            "gamma": per_row(x, 1 / self.hardness),
            "radius": per_row(x, self.radius),
            "t": per_row(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot = array_namespace(point.g), point.seg.dot
        started = state["t"] > 0
        reach = self._reach(state, point)
        taken_back, radius = self._judged(state, point, started, self.largest * reach)
        here = {"x": point.x, "g": point.g, "e": point.known_e}
        x, g, e = (xp.where(taken_back, state[name], now) for name, now in here.items())
        built = xp.where(started, state["built"], x)
        metric, built = (point.metric or Identity(x)).reused(built, x)

        known = self._recalled(state, point)
        places = self._remembered(state, point, started, taken_back)
        s, y = self._pairs(places, metric, known)
        norms, gamma = places["norms"], state["gamma"]
        if known:
            newest_s, newest_y = s[:, 0, :], y[:, 0, :]
            yhy = dot(newest_y, metric.solve(newest_y, rough=True))
            shs = dot(newest_s, metric.apply(newest_s))
            scaled = started & (shs > 0) & (yhy > TINY)
            ratio = shs / xp.where(scaled, yhy, xp.ones_like(yhy))
            gamma = xp.where(scaled, xp.sqrt(ratio), gamma)
            norm = xp.sqrt(shs * yhy)
            norms = xp.concat([norm, norms[:, 1:]], axis=1)
        rho = []
        for k in range(known):
            sy = dot(s[:, k, :], y[:, k, :])
            # Other structures of the batch may have begun earlier.
            useful = (state["t"] > k) & (sy > self.straight * norms[:, k : k + 1]) & (sy > TINY)
            rho.append(xp.where(useful, 1 / xp.where(useful, sy, xp.ones_like(sy)), 0 * sy))
        pairs = {"s": s, "y": y, "rho": xp.concat(rho, axis=1) if known else norms}

        radius = xp.where(started, radius, reach * radius)
        base = point._replace(x=x, g=g, e=e, metric=metric)
        after = places | {"gamma": gamma, "radius": radius, "t": state["t"] + 1, "norms": norms}
        dx, part, slope, more = self._step(state, base, after, pairs, known)
        kept = {"x": x, "built": built, "g": g, "e": e, "dx": dx, "slope": slope, "part": part}
        return x - point.x + dx, after | kept | more

    def _reach(self, state: State, point: Point) -> float | Array:
        """Return the factor of the trust radii of each row (R, 1), or of all."""
        measured = None if point.metric is None else point.metric.measured
        return 1.0 if measured is None else array_namespace(point.g).where(measured, self.REACH, 1.0)

    def _recalled(self, state: State, point: Point) -> int:
        """Return how many of the newest pairs are transported."""
        return min(self.memory, int(array_namespace(point.g).max(state["t"])))

    def _step(
        self, state: State, base: Point, after: State, pairs: State, known: int
    ) -> tuple[Array, Array, Array, State]:
        """Return the next displacements.

        Parameters
        ----------
        state
            The state before.
        base
            Where the structures go on from, with the metric there.
        after
            The next state, as far as it is known.
        pairs, known
            The pairs ``s`` and ``y`` (R, known, 3) and ``rho`` (R, known), newest first, and how many there
            are.

        Returns
        -------
        dx
            Displacements (R, 3), A.
        part
            Which part they are of a step to the minimum of the quadratic model (R, 1).
        slope
            Change of energy (R, 1), eV, of the whole step to first order.
        more
            What else is in the next state.
        """
        xp, dot, metric, radius = array_namespace(base.g), base.seg.dot, base.metric, after["radius"]
        assert metric is not None
        z = two_loop_recursion(base, pairs, known, lambda q: after["gamma"] * metric.solve(q))
        z = xp.where(dot(z, base.g) < 0, -z, z)
        longest = base.seg.longest(z)
        part = xp.where(longest > radius, radius / nonzero(longest), xp.ones_like(longest))
        z, slope = z * part, -dot(z, base.g)
        if (measured := metric.measured) is not None:
            pairs = pairs | {"useful": after["t"] > 1 + xp.arange(known)}
            whole, promise = steps_within(base, metric, pairs, known, radius)
            z, part = xp.where(measured, whole, z), xp.where(measured, xp.ones_like(part), part)
            slope = xp.where(measured, 2 * promise, slope)
        return metric.retract(-z), part, slope, {}

    def _judged(
        self, state: State, point: Point, started: Array, largest: float | Array
    ) -> tuple[Array, Array]:
        """Return which structures go back to where they were, and the new trust radius."""
        xp, dot = array_namespace(point.g), point.seg.dot
        # The last step may have been shortened outside.
        s, full = xp.where(started, point.x - state["x"], 0 * point.x), dot(state["dx"], state["dx"])
        made = xp.where(
            full > TINY, dot(s, state["dx"]) / xp.where(full > TINY, full, xp.ones_like(full)), full
        )
        part = xp.clip(made, 0.0, 1.0) * state["part"]
        predicted = state["slope"] * part * (1 - 0.5 * part)
        # If both changes are below the noise, their ratio becomes 1.
        change, noise = point.e - state["e"], self.blur * xp.abs(point.e)
        without, work = xp.isnan(change), 0.5 * dot(s, point.g + state["g"])
        change = xp.where(without, work, change - noise)
        predicted = xp.where(without, predicted, predicted - noise)
        ratio = change / xp.where(predicted < -TINY, predicted, -xp.ones_like(predicted))
        length, radius = point.seg.longest(s), state["radius"]
        shorter = xp.clip(self.shrink * length, self.smallest, None)
        longer = xp.clip(self.grow * radius, None, largest)
        cut = length > 0.8 * radius
        radius = xp.where(started & (ratio < self.poor), shorter, radius)
        radius = xp.where(started & (ratio > self.fine) & cut, longer, radius)
        back = started & (ratio < self.worst)
        # Where forces say that the same short steps go down, again and again, the energy is what jumps.
        again = xp.all(state["stayed"][:, : min(self.MOST_BACK, self.memory)] > 0, axis=1, keepdims=True)
        back = back & ~(again & (work < 0) & (state["radius"] <= self.smallest))
        return back, xp.minimum(radius, 0 * radius + largest)

    def _remembered(self, state: State, point: Point, started: Array, taken_back: Array) -> State:
        """Return the places and gradients of the last force calls, newest first.

        ``stayed`` says after which of them the run went back to where it was before.  The oldest place is the
        one from which the oldest step began.
        """
        xp = array_namespace(point.g)
        blank = 0.0 * state["stayed"][:, :1]
        flag = xp.where(taken_back, blank + 1.0, blank)
        made: State = {}
        for name, now in self._facts(state, point).items():
            old, now = state[name], now[:, None, :]
            oldest_stayed = state["stayed"][:, -1:, None] > 0
            last = xp.where(oldest_stayed, old[:, -1:, :], old[:, -2:-1, :])
            shifted = xp.concat([now, old[:, :-2, :], last], axis=1)
            whole = xp.all(started)  # as at all but the first steps
            made[name] = shifted if whole else xp.where(started[:, :, None], shifted, 0.0 * old + now)
        made["stayed"] = xp.concat([flag, state["stayed"][:, :-1]], axis=1)
        made["norms"] = xp.concat([blank, state["norms"][:, :-1]], axis=1)
        return made

    def _facts(self, state: State, point: Point) -> State:
        """Return what is remembered of each place, (R, 3)."""
        return {"xs": point.x, "gs": point.g}

    def _pairs(self, places: State, metric: Metric, known: int) -> tuple[Array, Array]:
        """Return the ``known`` newest pairs s and y (R, known, 3), as seen from where the metric is."""
        xp = array_namespace(places["xs"])
        if not known:
            return places["xs"][:, :0, :], places["gs"][:, :0, :]
        xs, gs = (xp.permute_dims(places[k][:, : known + 1, :], (1, 0, 2)) for k in ("xs", "gs"))
        stayed, differences = places["stayed"][:, :known] > 0, []
        for a in metric.transport(xs, gs):
            if xp.any(stayed):
                base, found = a[known, ...], []
                for k in range(known - 1, -1, -1):
                    found.append(a[k, ...] - base)
                    base = xp.where(stayed[:, k : k + 1], base, a[k, ...])
                made = xp.stack(found[::-1], axis=0)
            else:
                made = a[:known, ...] - a[1:, ...]
            differences.append(xp.permute_dims(made, (1, 0, 2)))
        return differences[0], differences[1]
