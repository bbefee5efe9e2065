"""L-BFGS on a model Hessian of springs."""

from __future__ import annotations

from dataclasses import dataclass

from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.metric.metric_lbfgs import MetricLBFGS

__all__ = ["PairLBFGS"]


@dataclass(frozen=True, kw_only=True)
class PairLBFGS(MetricLBFGS, PairStiffness):
    """L-BFGS with a pair-stiffness Hessian as preconditioner, see :class:`MetricLBFGS`.

    ::

        dx = - (two-loop recursion on the last pairs (s, y), starting from gamma H^-1), cut to the radius

    H is the model Hessian of :class:`~relax.preconditioner.pair_stiffness.PairStiffness`: springs, for which
    paths are straight.

    Source: Nocedal, Math. Comput. 35, 773 (1980), for the two-loop recursion; Nocedal and Wright, Numerical
    Optimization (2006), algorithm 4.1, for the trust radius.
    """

    NAME = "pair-lbfgs"
    default_maxstep = (0.6, "atom")  # a step may take one back and make another, each up to ``largest``

    @property
    def stiffness(self) -> PairStiffness:
        return self
