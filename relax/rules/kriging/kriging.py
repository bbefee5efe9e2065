"""A rule whose next place is the minimum of a model that learns from all force calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from relax.core.parameters import param
from relax.core.rule import Point, Surface
from relax.core.segments import Array, Segments
from relax.core.state import State
from relax.preconditioner.features import Features
from relax.rules.kriging.feature_metric import FeatureMetric
from relax.rules.kriging.minimum import minimum_within
from relax.rules.kriging.process import Process
from relax.rules.kriging.upper_bound import UpperBound
from relax.rules.metric.internal_lbfgs import InternalLBFGS

__all__ = ["Kriging"]


@dataclass(frozen=True, kw_only=True)
class Kriging(InternalLBFGS):
    """Kriging in internal coordinates, for force calls that take longer than a second.

    ::

        u      = features in which the model Hessian is 1/gamma J^T J = H: bonds, bends, torsions, springs
        m(x)   = prior/2 |u(x) - u(x(i))|^2 + a Gaussian process in u, such that m has the last gradients
        x(i+1) = the minimum of m(x) + caution sd(x) within the trust radius

    where sd is the standard deviation of how far the surface is above its tangent at x(i).

    The model Hessian is built again at every step, and its scale 1/gamma, the trust radius and steps that are
    taken back are those of :class:`~relax.rules.metric.metric_lbfgs.MetricLBFGS`.  Beside a cheap surface the
    process is on what a share of that misses, see :class:`~relax.rules.kriging.process.Process`, and while it
    counts, the first radius is :attr:`REACH` times as long, and later ones are up to that after long steps.
    Without one, :attr:`ALONE` of ``caution`` counts.  Steps take up to :attr:`SIZE` cubed operations.
    Structures with more than :attr:`LARGEST` rows, and those whose Hessian at the start is known, are relaxed
    as :class:`~relax.rules.metric.internal_lbfgs.InternalLBFGS` does it.

    Source: Denzel and Kaestner, J. Chem. Phys. 148, 094114 (2018); Raggi, Fdez. Galvan, Ritterhoff, Vacher
    and Lindh, J. Chem. Theory Comput. 16, 3989 (2020).
    """

    NAME = "kriging"

    SIZE: ClassVar[int] = 900
    """Most numbers that a model knows, 3R for each gradient: the oldest are left out."""

    LARGEST: ClassVar[int] = 120
    """Most rows of a structure with a model."""

    PAIRS: ClassVar[int] = InternalLBFGS().memory
    """Most pairs (s, y) of a structure without a model."""

    REACH: ClassVar[float] = 2.0
    """Factor of the trust radii beside a cheap surface that counts, too: it knows what is soft, and another
    minimum may be angstroms away.  Radii longer than ``largest`` are at most as many times the last step: a
    long step from a plateau may lead anywhere."""

    ALONE: ClassVar[float] = 0.6
    """Part of ``caution`` in runs without a cheap surface, which knows soft directions.  Without one, short
    steps along these end on plateaus."""

    LEAST: ClassVar[float] = 0.5
    """Share of a cheap surface below which it is left out."""

    AGAIN: ClassVar[float] = 0.8
    """Share from which it counts again."""

    DOUBTS: ClassVar[int] = 2
    """At how many force calls on end the share must be too small."""

    CONTRADICTS: ClassVar[float] = 5.0
    """Contradiction above which gradients from before the run are left out from then on."""

    memory: int = param(20, "[1, inf)", "steps", "number of pairs (s, y) that are kept")
    length: float = param(12.0, "(0, inf)", "sqrt(eV)", "length over which the process forgets")
    prior: float = param(0.6, "[0, inf)", "", "how much of the model Hessian is in the prior")
    local: float = param(0.9, "[0, 1)", "", "part of the process that is of one bond or angle each")
    noise: float = param(1e-3, "(0, inf)", "", "noise of the largest gradient, relative to its deviation")
    radius: float = param(0.3, "(0, inf)", "A", "first trust radius")
    largest: float = param(0.5, "(0, inf)", "A", "largest trust radius")
    worst: float = param(0.0, "(-inf, 1)", "", "rho below which a step is taken back")
    poor: float = param(0.1, "(-inf, 1)", "", "rho below which the radius shrinks")
    fine: float = param(0.6, "(0, inf)", "", "rho above which the radius grows")
    shrink: float = param(0.4, "(0, 1)", "", "new radius after a poor step, relative to its length")

    caution: float = param(4.0, "[0, inf)", "", "standard deviations of the model that are added to it")

    distrust: float = param(0.03, "[0, inf)", "", "as prior, beside the whole of a cheap surface")
    rough: float = param(0.03, "[0, inf)", "", "noise of older gradients relative to each, beside the same")

    def init(self, x: Array) -> State:
        state = super().init(x)
        flag = x[:, :1] * 0.0
        of_surfaces = {"ps": state["xs"], "lost": flag, "share": flag + 1.0, "doubts": flag}
        return state | of_surfaces | {"before": flag}

    def room(self, rows: int) -> int:
        """Return how many gradients the model of a structure of so many rows knows; 0 without a model."""
        return 0 if rows > self.LARGEST else min(self.memory + 1, max(1, self.SIZE // (3 * rows)))

    def _reach(self, state: State, point: Point) -> float | Array:
        if not point.surfaces:
            return super()._reach(state, point)
        lengths = point.seg.lengths
        works = [
            self._surface(point, state, s) is not None and self.room(n) > 0 for s, n in enumerate(lengths)
        ]
        counts = np.repeat(works, lengths)[:, None] & (state["doubts"] < self.DOUBTS)
        earned = np.clip(self.REACH * point.seg.longest(state["dx"]) / self.largest, 1.0, self.REACH)
        reach = np.where(state["t"] < 1, self.REACH, earned)
        return np.where(counts, reach, super()._reach(state, point))

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
        made["before"] = 1.0 * state["before"]
        if not point.known:
            return made
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
        more = self._of_surfaces(state, base, after)
        after = after | more
        steps = {s: self._step_of(base, after, s) for s in range(len(base.seg.lengths))}
        made = {s: step for s, step in steps.items() if step is not None}
        if len(made) < len(steps):
            dx, part, slope, _ = super()._step(state, base, after, pairs, known)
        else:
            dx, part, slope = base.x * 0.0, base.e * 0.0 + 1.0, base.e * 0.0
        for s, (step, change) in made.items():
            mine = base.seg.slice(s)
            dx[mine], part[mine], slope[mine] = step, 1.0, 2 * change
        return dx, part, slope, more

    def _step_of(self, base: Point, after: State, s: int) -> tuple[np.ndarray, float] | None:
        """Return the step (R, 3), A, of structure ``s`` and its change of energy, eV; None without a model.

        The share of the cheap surface is put into ``after``.
        """
        mine, metric = base.seg.slice(s), base.metric
        if not self.room(mine.stop - mine.start) or metric is None or not metric.has_features:
            return None
        hardness = 1 / float(after["gamma"][mine.start, 0])
        features = metric.features(s, hardness)
        if features is None:
            return None
        surface = self._surface(base, after, s)
        try:
            process = self._process(features, after, mine, surface is not None)
            if process.contradiction > self.CONTRADICTS and after["t"][mine.start, 0] > 1:
                after["before"][mine] = 0.0
                process = self._process(features, after, mine, surface is not None)
        except np.linalg.LinAlgError:
            return None
        if surface is not None:
            if self._doubted(after, mine, process.share):
                process.believe(0.0)
                surface = None
            after["share"][mine] = process.share
        alone = not base.surfaces or base.surfaces[s] is None
        caution = self.caution * (self.ALONE if alone else 1.0)
        bound = UpperBound(features, process, base.x[mine], caution, surface)
        radius = float(after["radius"][mine.start, 0])
        one = Segments([mine.stop - mine.start], [base.seg.tensors[s]])
        step, change = minimum_within(
            bound, base.x[mine], FeatureMetric(features, base.x[mine]), 1.0, radius, one
        )
        return (step, change) if change < 0 else None

    def _doubted(self, after: State, mine: slice, share: float) -> bool:
        """Return whether the cheap surface is left out now that this share is the likeliest one."""
        doubts = float(after["doubts"][mine.start, 0])
        left_out = doubts >= self.DOUBTS
        doubts = doubts + 1 if share < (self.AGAIN if left_out else self.LEAST) else 0.0
        after["doubts"][mine] = min(doubts, self.DOUBTS)
        return doubts >= self.DOUBTS

    def _surface(self, point: Point, state: State, s: int) -> Surface | None:
        """Return the cheap surface of structure ``s``; None without one that works."""
        if not point.surfaces or state["lost"][point.seg.starts[s], 0] > 0:
            return None
        return point.surfaces[s]

    def _process(self, features: Features, after: State, mine: slice, beside: bool) -> Process:
        """Return what is known of the structure with the rows ``mine``, alone or beside a cheap surface.

        Raises
        ------
        LinAlgError
            The process knows the same thing twice.
        """
        own = int(after["t"][mine.start, 0])
        count = min(own + int(after["before"][mine.start, 0]), self.room(mine.stop - mine.start))
        x, g, p = (after[name][mine, :count].swapaxes(0, 1) for name in ("xs", "gs", "ps"))
        alone = partial(Process, features, self.prior, x, g, self.length, self.noise, local=self.local)
        own = min(own, count)
        if not beside:
            return alone(newer=own)
        rough = self.rough * float(after["share"][mine.start, 0])
        return alone(p, self.distrust, newer=own, rough=rough)

    def _of_surfaces(self, state: State, base: Point, after: State) -> State:
        """Return the gradients of cheap surfaces, zero where one fails; which have, for good; and shares."""
        if not base.surfaces:
            return {name: state[name] for name in ("lost", "share", "doubts")}
        failed = ~np.isfinite(base.seg.sum(after["ps"][:, 0])).all(axis=1, keepdims=True)
        ps = np.where(np.isfinite(after["ps"]), after["ps"], 0.0)
        return {"ps": ps, "lost": np.where(failed, 1.0, state["lost"])} | {
            name: state[name].copy() for name in ("share", "doubts")
        }
