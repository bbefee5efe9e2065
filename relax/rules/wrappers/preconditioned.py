"""A wrapper that preconditions a rule."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import check_parameters
from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.preconditioner.base import Identity
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.adaptive_base import nonzero
from relax.rules.wrappers.base import Wrapper

__all__ = ["InMetric"]


@dataclass(frozen=True)
class InMetric(Wrapper):
    """Precondition the rule with a model Hessian H: run it in coordinates q in which H is the unit matrix.

    ::

        dE/dq = W^T dE/dx,    dx = the curved step that begins as W dq,    W = (H / size)^-1/2

    The size of H is the mean of its diagonal.  Divided by it, H leaves steps along stiff directions about as
    they are, and makes steps along soft directions longer.  The root is the symmetric one, which rotates
    with the structure.  Of a large structure of springs W is a factor near that, which takes a third of the
    time.  H is built again at every step, of a large structure only once an atom has gone some way, while q
    continues from its last value.

    H is that of ``model``.  No pair of the default is stiffer than a bond: of two atoms that overlap at the
    start the stiffness would be thousands of that, and so would be the steps of all others.
    """

    model: PairStiffness = InternalStiffness(strongest=1.0)  # noqa: RUF009 - it is frozen

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self.model)

    @property
    def stiffness(self) -> PairStiffness:
        return self.model

    def init(self, x: Array) -> State:
        blank = {name: x * 0.0 for name in ("x", "built", "dx", "q", "dq")}
        return {"rule": self.rule.init(x)} | blank

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot = array_namespace(point.g), point.seg.dot
        metric, built = (point.metric or Identity(point.x)).reused(state["built"], point.x)
        stretch = xp.sqrt(metric.size)
        # The last step may have been shortened outside.
        part = dot(point.x - state["x"], state["dx"]) / nonzero(dot(state["dx"], state["dx"]))
        q = state["q"] + part * state["dq"]
        g = stretch * metric.half_inverse(point.g, transposed=True)
        inner_point = point._replace(x=q, g=g, metric=None)
        dq, inner = self.rule.update(state["rule"], inner_point)
        dx = metric.retract(stretch * metric.half_inverse(dq))
        return dx, {"rule": inner, "x": point.x, "built": built, "dx": dx, "q": q, "dq": dq}
