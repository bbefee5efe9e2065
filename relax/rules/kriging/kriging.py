"""A rule whose next place is the minimum of a model that learns from all force calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relax.core.parameters import param
from relax.core.rule import Point
from relax.core.segments import Array
from relax.core.state import State
from relax.preconditioner.dense import Dense
from relax.preconditioner.internal.features import Features
from relax.preconditioner.model_hessian import ModelHessian
from relax.rules.kriging.minimum import minimum_within
from relax.rules.kriging.process import Process
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

    def _recalled(self, state: State, point: Point) -> int:
        known = super()._recalled(state, point)
        modelled = isinstance(point.metric, ModelHessian) and max(point.seg.lengths) <= self.LARGEST
        return min(known, 1) if modelled else known  # a model sees the places themselves

    def _step(self, base: Point, after: State, pairs: State, known: int) -> tuple[Array, Array, Array]:
        dx, part, slope = super()._step(base, after, pairs, known)
        if not isinstance(base.metric, ModelHessian):
            return dx, part, slope
        for s, (first, rows) in enumerate(zip(base.seg.starts, base.seg.lengths, strict=True)):
            if rows > self.LARGEST:
                continue
            mine, count = slice(first, first + rows), min(int(after["t"][first, 0]), self.memory + 1)
            count = max(1, min(count, self.SIZE // (3 * rows)))
            x, g = (after[name][mine, :count].swapaxes(0, 1) for name in ("xs", "gs"))
            model = ModelHessian([base.metric.networks[s]], base.metric.stiffness)
            if not isinstance(model.parts[0][1], Dense):
                continue
            features = Features(model, 1 / float(after["gamma"][first, 0]))
            try:
                process = Process(features, self.prior, x, g, self.length, self.noise)
            except np.linalg.LinAlgError:
                continue
            radius = float(after["radius"][first, 0])
            step, change = minimum_within(process, base.x[mine], features.hessian, radius)
            if change < 0:
                dx[mine], part[mine], slope[mine] = step, 1.0, 2 * change
        return dx, part, slope
