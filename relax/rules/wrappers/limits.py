"""Wrappers that limit what a rule is shown and how far it steps."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import choice, param
from relax.core.rule import Point
from relax.core.segments import Array, array_namespace, row_dot
from relax.core.state import State
from relax.rules.adaptive_base import nonzero
from relax.rules.wrappers.base import Wrapper

__all__ = ["Centred", "ClipGradient", "ForceFloor", "MaxStep"]

NORMS = ("component", "atom", "structure")


@dataclass(frozen=True)
class MaxStep(Wrapper):
    """Trust radius: no step is longer than ``maxstep``, in the norm named.

    ``"component"`` cuts each Cartesian component (pele's FIRE); ``"atom"`` scales a structure's whole
    step so that its longest row is ``maxstep`` (ASE's BFGS and LBFGS); ``"structure"`` scales it so
    that its norm over all rows is ``maxstep`` (ASE's FIRE).
    """

    maxstep: float = param(0.2, "(0, inf)", "A", "longest step")
    norm: str = choice("atom", NORMS, "what the longest step is measured on")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        dx, state = self.rule.update(state, point)
        if self.norm == "component":
            return xp.clip(dx, -self.maxstep, self.maxstep), state
        length = point.seg.longest(dx) if self.norm == "atom" else xp.sqrt(point.seg.dot(dx, dx))
        return xp.where(length > self.maxstep, dx * (self.maxstep / nonzero(length)), dx), state


@dataclass(frozen=True)
class ClipGradient(Wrapper):
    """Show the rule no gradient above ``limit``, in the norm named.

    ``"component"`` cuts each Cartesian component, ``"atom"`` shortens each row of its own, and
    ``"structure"`` scales the gradient of a structure, where its norm is above ``limit``.
    """

    limit: float = param(10.0, "(0, inf)", "eV/A", "largest gradient")
    norm: str = choice("atom", NORMS, "what the largest gradient is measured on")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, g = array_namespace(point.g), point.g
        if self.norm == "component":
            g = xp.clip(g, -self.limit, self.limit)
        else:
            squared = point.seg.own_dot(g, g) if self.norm == "atom" else point.seg.dot(g, g)
            length = xp.sqrt(squared)
            g = xp.where(length > self.limit, g * (self.limit / nonzero(length)), g)
        return self.rule.update(state, point._replace(g=g))


@dataclass(frozen=True)
class ForceFloor(Wrapper):
    """Show the rule no force that is only noise, so that no normalised step amplifies it.

    An atom that symmetry holds in place feels a force of rounding size.  A rule that divides by the size
    of the forces it has seen makes a full step of it, and the crystal leaves its space group by
    accident.  A row counts as zero where it is below ``floor``, and below ``floor`` (as a plain number)
    of the longest row of its structure, so that any tolerance can still be reached.
    """

    floor: float = param(1e-4, "[0, 1)", "eV/A", "force, and share of the largest, that counts as none")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, g = array_namespace(point.g), point.g
        length = xp.sqrt(point.seg.own_dot(g, g))
        heard = length > self.floor * xp.clip(point.seg.max(length), None, 1.0)
        return self.rule.update(state, point._replace(g=xp.where(heard, g, 0 * g)))


@dataclass(frozen=True)
class Centred(Wrapper):
    """Keep the centroid where it is, wherever the forces do.

    Rules that scale atom by atom drift, although the forces on a free structure sum to zero.  Where
    they do, to ``tolerance`` of the sum of their lengths, the mean step is taken out; where they do
    not (atoms held fixed, an external field, cell rows), the step is left as it is.
    """

    tolerance: float = param(1e-6, "[0, inf)", "", "net force, as a share of all, that counts as none")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, seg = array_namespace(point.g), point.seg
        dx, state = self.rule.update(state, point)
        net, lengths = seg.sum(point.g), xp.sqrt(row_dot(point.g, point.g))
        free = xp.sqrt(row_dot(net, net)) <= self.tolerance * seg.sum(lengths)
        return xp.where(free, dx - seg.mean(dx), dx), state
