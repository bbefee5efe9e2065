"""A rule whose next place is the minimum of a model that learns from all force calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relax.core.parameters import param
from relax.core.rule import Point, Surface
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Features
from relax.rules.kriging.corrected import Corrected
from relax.rules.kriging.minimum import minimum_within
from relax.rules.kriging.process import Process, Value
from relax.rules.metric.internal_lbfgs import InternalLBFGS

__all__ = ["Kriging"]


@dataclass(frozen=True, kw_only=True)
class Kriging(InternalLBFGS):
    """Kriging in internal coordinates, for force calls that take longer than a second.

    ::

        u      = features in which the model Hessian is 1/gamma J^T J = H: bonds, bends, torsions, springs
        m(x)   = prior/2 |u(x) - u(x(i))|^2 + a Gaussian process in u, such that m has the last gradients
        x(i+1) = the minimum of m within the trust radius

    The model Hessian is built again at every step, and its scale 1/gamma, the trust radius and steps that are
    taken back are those of :class:`~relax.rules.metric.metric_lbfgs.MetricLBFGS`.  Steps take up to
    :attr:`SIZE` cubed operations.  Structures with more than :attr:`LARGEST` rows, and those whose Hessian at
    the start is known, are relaxed as :class:`~relax.rules.metric.internal_lbfgs.InternalLBFGS` does it.

    Source: Denzel and Kaestner, J. Chem. Phys. 148, 094114 (2018); Raggi, Fdez. Galvan, Ritterhoff, Vacher
    and Lindh, J. Chem. Theory Comput. 16, 3989 (2020).
    """

    NAME = "kriging"

    SIZE: ClassVar[int] = 1800
    """Most numbers that a model knows, 3R for each gradient: the oldest are left out."""

    LARGEST: ClassVar[int] = 120
    """Most rows of a structure with a model."""

    PAIRS: ClassVar[int] = InternalLBFGS().memory
    """Most pairs (s, y) of a structure without a model."""

    ALIKE: ClassVar[float] = 0.7
    LEFT: ClassVar[float] = 0.8
    STRIKES: ClassVar[int] = 2
    """Where the curvature along a step and that of a cheap surface have a smaller cosine, where more of the
    gradient is left after it, or where it is taken back, the surface has misled; it is left out after so
    many times on end.  So are gradients from before the run, and after one step that is taken back."""

    memory: int = param(20, "[1, inf)", "steps", "number of pairs (s, y) that are kept")
    length: float = param(16.0, "(0, inf)", "sqrt(eV)", "length over which the process forgets")
    prior: float = param(0.6, "[0, inf)", "", "how much of the model Hessian is in the prior")
    noise: float = param(1e-3, "(0, inf)", "", "noise of gradients, relative to their deviation")
    radius: float = param(0.3, "(0, inf)", "A", "first trust radius")
    largest: float = param(0.5, "(0, inf)", "A", "largest trust radius")
    worst: float = param(0.0, "(-inf, 1)", "", "rho below which a step is taken back")
    poor: float = param(0.1, "(-inf, 1)", "", "rho below which the radius shrinks")
    fine: float = param(0.6, "(0, inf)", "", "rho above which the radius grows")
    shrink: float = param(0.4, "(0, 1)", "", "new radius after a poor step, relative to its length")

    distrust: float = param(0.03, "[0, inf)", "", "the same beside a cheap surface")

    def init(self, x: Array) -> State:
        state = super().init(x)
        flag = x[:, :1] * 0.0
        return state | {"ps": state["xs"], "misled": flag, "strikes": flag, "before": flag, "doubts": flag}

    def room(self, rows: int) -> int:
        """Return how many gradients the model of a structure of so many rows knows; 0 without a model."""
        return 0 if rows > self.LARGEST else min(self.memory + 1, max(1, self.SIZE // (3 * rows)))

    def _recalled(self, state: State, point: Point) -> int:
        known = min(self.PAIRS, super()._recalled(state, point))
        metric, largest = point.metric, max(point.seg.lengths)
        if metric is not None and metric.has_features and largest <= self.LARGEST:
            return min(known, 1)  # a model sees the places themselves
        return known

    def _facts(self, state: State, point: Point) -> State:
        of_surfaces = point.x * 0.0
        for s in range(len(point.seg.lengths)):
            if surface := self._surface(point, state, s):
                mine = point.seg.slice(s)
                of_surfaces[mine] = surface(point.x[mine])[1]
        return super()._facts(state, point) | {"ps": of_surfaces}

    def _remembered(self, state: State, point: Point, started: Array, taken_back: Array) -> State:
        """Return the places of the last force calls, newest first; those before the run are the oldest.

        ``before`` says how many these are.
        """
        made = super()._remembered(state, point, started, taken_back)
        made["before"] = state["before"]
        if not point.known:
            return made
        made["before"] = made["before"].copy()
        for s, rows in enumerate(point.seg.lengths):
            mine = point.seg.slice(s)
            if (known := point.known[s]) is None or started[mine.start, 0]:
                continue
            x, g = (a[: max(self.room(rows) - 1, 0)] for a in known)
            surface = self._surface(point, state, s)
            p = np.stack([surface(place)[1] for place in x]) if surface and len(x) else 0.0 * x
            told = np.isfinite(p).all(axis=(1, 2))
            for name, a in {"xs": x, "gs": g, "ps": p}.items():
                made[name][mine, 1 : 1 + told.sum()] = a[told].swapaxes(0, 1)
            made["before"][mine] = told.sum()
        return made

    def _step(
        self, state: State, base: Point, after: State, pairs: State, known: int
    ) -> tuple[Array, Array, Array, State]:
        dx, part, slope, _ = super()._step(state, base, after, pairs, known)
        more = self._judged_surfaces(state, base, after) | self._judged_known(state, base, after)
        metric, after = base.metric, after | more
        if metric is None or not metric.has_features:
            return dx, part, slope, more
        for s, rows in enumerate(base.seg.lengths):
            mine = base.seg.slice(s)
            scale = 1 / float(after["gamma"][mine.start, 0])
            features = metric.features(s, scale) if self.room(rows) else None
            if features is None:
                continue
            radius = float(after["radius"][mine.start, 0])
            try:
                surface = self._learned(self._surface(base, after, s), features, after, mine)
            except np.linalg.LinAlgError:
                continue
            step, change = minimum_within(surface, base.x[mine], features.hessian, radius)
            if change < 0:
                dx[mine], part[mine], slope[mine] = step, 1.0, 2 * change
        return dx, part, slope, more

    def _surface(self, point: Point, state: State, s: int) -> Surface | None:
        """Return the cheap surface of structure ``s``; None without one that is trusted."""
        if not point.surfaces or state["misled"][point.seg.starts[s], 0] > 0:
            return None
        return point.surfaces[s]

    def _learned(
        self, surface: Surface | None, features: Features, after: State, mine: slice
    ) -> Callable[[np.ndarray], Value]:
        """Return what is known of the surface that counts, of the structure with the rows ``mine``.

        Raises
        ------
        LinAlgError
            The process knows the same thing twice.
        """
        count = int(after["t"][mine.start, 0] + after["before"][mine.start, 0])
        count = min(count, self.room(mine.stop - mine.start))
        x, g, p = (after[name][mine, :count].swapaxes(0, 1) for name in ("xs", "gs", "ps"))
        if surface is None:
            return Process(features, self.prior, x, g, self.length, self.noise)
        return Corrected(surface, Process(features, self.distrust, x, g - p, self.length, self.noise))

    def _judged_surfaces(self, state: State, base: Point, after: State) -> State:
        """Return which cheap surfaces have misled, and what is known of the others."""
        if not base.surfaces or base.metric is None:
            return {name: state[name] for name in ("misled", "strikes")}
        dot, solve, seg = base.seg.dot, base.metric.solve, base.seg
        back, stuck = self._in_vain(base, after)
        failed = ~np.isfinite(seg.sum(after["ps"][:, 0])).all(axis=1, keepdims=True)
        ps = np.where(np.isfinite(after["ps"]), after["ps"], 0.0)
        y, cheap = (a[:, 0] - a[:, 1] for a in (after["gs"], ps))
        size = np.sqrt(dot(y, solve(y)) * dot(cheap, solve(cheap)))
        unlike = dot(y, solve(cheap)) < self.ALIKE * size
        strikes = np.where(back & unlike, 2.0, np.where(back | stuck, 1.0, 0.0))
        strikes = np.where((state["t"] > 0) & (strikes > 0), state["strikes"] + strikes, 0.0)
        misled = np.where((strikes >= self.STRIKES) | failed, 1.0, state["misled"])
        return {"ps": ps, "misled": misled, "strikes": strikes}

    def _judged_known(self, state: State, base: Point, after: State) -> State:
        """Return how many places from before the run count: none where they have misled."""
        if base.metric is None or not array_namespace(base.g).any(after["before"] > 0):
            return {"before": after["before"], "doubts": state["doubts"]}
        back, stuck = self._in_vain(base, after)
        doubts = np.where(back, float(self.STRIKES), np.where(stuck, 1.0, 0.0))
        doubts = np.where((state["t"] > 0) & (doubts > 0), state["doubts"] + doubts, 0.0)
        return {"before": np.where(doubts >= self.STRIKES, 0.0, after["before"]), "doubts": doubts}

    def _in_vain(self, base: Point, after: State) -> tuple[Array, Array]:
        """Return which steps are taken back, and after which most of the gradient is left (R, 1)."""
        assert base.metric is not None
        dot, solve = base.seg.dot, base.metric.solve
        new, old = after["gs"][:, 0], after["gs"][:, 1]
        return after["stayed"][:, :1] > 0, dot(new, solve(new)) > self.LEFT**2 * dot(old, solve(old))
