"""L-BFGS on a model Hessian that hands large structures of metals over to CoRe, and takes them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from relax.core import state as states
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import per_row
from relax.rules.metric.metric_lbfgs import MetricLBFGS
from relax.rules.rprop_core import CoRe
from relax.rules.wrappers import for_atoms

__all__ = ["HandedOver"]


@dataclass(frozen=True, kw_only=True)
class HandedOver(MetricLBFGS):
    """L-BFGS in a metric; large structures of metals go on by CoRe if the trust radius cuts steps.

    ::

        L-BFGS until CUT steps were cut  ->  CoRe until no energy was the lowest for PATIENCE steps
        ->  L-BFGS until 2 CUT steps were cut  ->  CoRe  ->  L-BFGS until 4 CUT ...

    Near a minimum hardly any step is cut.  In a large polycrystal atoms rearrange at many places, for each of
    which another step would be right.  L-BFGS has one trust radius and one set of pairs (s, y) for all of
    them.  CoRe has a step size for each atom, but may swing about a minimum without end.  Where only forces
    count it is not taken back.

    CoRe is that of :class:`~relax.optimizers.named.CoReRelax`, in a rougher form of the same model Hessian.
    In that no pair is stiffer than a bond: of two atoms that nearly overlap the stiffness, and with it the
    steps of all others, would be many times as large.
    """

    CUT: ClassVar[int] = 5
    """Steps of L-BFGS that are cut in its first turn.  Each later turn has twice as many as the last one."""

    PATIENCE: ClassVar[int] = 15
    """Steps of CoRe without a new lowest energy after which L-BFGS goes on."""

    THEN: ClassVar[Rule] = for_atoms(CoRe(), metric=True)
    """CoRe as it is followed."""

    def init(self, x: Array) -> State:
        turn = per_row(x, float(self.CUT))
        blank = {"on": per_row(x), "left": turn, "turn": turn, "lowest": per_row(x)}
        return super().init(x) | {"then": {"rule": self.THEN.init(x)} | blank}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        then, own = state["then"], {name: leaf for name, leaf in state.items() if name != "then"}
        metric = point.metric
        large = None if metric is None else metric.large_metals
        if metric is None or large is None:
            dx, own = super().update(own, point)
            return dx, own | {"then": then}
        xp, was = array_namespace(point.g), then["on"] > 0
        lower = ~was | (point.e < then["lowest"]) | xp.isnan(point.e)
        left = xp.where(was & lower, 0 * then["left"] + self.PATIENCE, then["left"])
        over = left <= 0
        ahead, back = over & ~was & large, over & was
        on = (was & ~back) | ahead
        turn = xp.where(back, 2 * then["turn"], then["turn"])
        left = xp.where(over, xp.where(on, 0 * left + self.PATIENCE, turn), left)
        lowest = xp.where(lower, point.known_e, then["lowest"])

        other = states.where(ahead, self.THEN.init(point.x), then["rule"]) if xp.any(ahead) else then["rule"]
        own = states.where(back, super().init(point.x), own) if xp.any(back) else own
        dx = point.g
        if not xp.all(on):
            dx, own = super().update(own, point)
        if xp.any(on):
            step, other = self.THEN.update(other, point._replace(metric=metric.roughened()))
            dx = xp.where(on, step, dx)
        left = xp.where(on | (own["part"] < 1), left - 1, left)
        after = {"on": xp.astype(on, left.dtype), "left": left, "turn": turn, "lowest": lowest}
        return dx, own | {"then": {"rule": other} | after}
