"""A wrapper that runs a rule in the coordinates of a metric."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Identity
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.adaptive_base import nonzero
from relax.rules.wrappers.base import Wrapper

__all__ = ["InMetric"]


@dataclass(frozen=True)
class InMetric(Wrapper, PairStiffness):
    """Let the rule walk in coordinates in which bonds and angles are alike: q = (H / size)^1/2 x.

    ::

        dE/dq = (H / size)^-1/2 dE/dx,    dx = (H / size)^-1/2 dq

    With the size of H, the mean of its diagonal, taken out, stiff directions stay what they are, and soft
    ones become longer steps.  The root is the symmetric one, which mixes rows no more than it must and
    turns with the structure.  H is made anew at every step, and q goes on from where it was.
    """

    @property
    def stiffness(self) -> PairStiffness:
        return self

    def init(self, x: Array) -> State:
        blank = {name: x * 0.0 for name in ("x", "dx", "q", "dq")}
        return {"rule": self.rule.init(x)} | blank

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot, metric = array_namespace(point.g), point.seg.dot, point.metric or Identity(point.x)
        stretch = xp.sqrt(metric.size)
        # Whoever carries out a step may have shortened it.
        part = dot(point.x - state["x"], state["dx"]) / nonzero(dot(state["dx"], state["dx"]))
        q = state["q"] + part * state["dq"]
        seen = point._replace(x=q, g=stretch * metric.root(point.g), metric=None)
        dq, inner = self.rule.update(state["rule"], seen)
        dx = stretch * metric.root(dq)
        return dx, {"rule": inner, "x": point.x, "dx": dx, "q": q, "dq": dq}
