"""Wrappers that limit the gradient that a rule gets, and the step that it makes."""

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

BELOW = 1 - 1e-12
"""Part of the longest step that is made, so that it is not exceeded by the rounding of positions."""


@dataclass(frozen=True)
class MaxStep(Wrapper):
    """A fixed trust radius: no step is longer than ``maxstep``.

    ``norm="component"`` clips each Cartesian component, as pele's FIRE does.  ``"atom"`` scales the whole
    step of a structure such that its longest row is at most ``maxstep``, as ASE's BFGS and LBFGS do.
    ``"structure"`` scales it such that its norm over all rows is at most ``maxstep``, as ASE's FIRE does.
    """

    maxstep: float = param(0.2, "(0, inf)", "A", "longest step")
    norm: str = choice("atom", NORMS, "norm of the longest step")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        dx, state = self.rule.update(state, point)
        limit = BELOW * self.maxstep
        if self.norm == "component":
            return xp.clip(dx, -limit, limit), state
        length = point.seg.longest(dx) if self.norm == "atom" else xp.sqrt(point.seg.dot(dx, dx))
        return xp.where(length > limit, dx * (limit / nonzero(length)), dx), state


@dataclass(frozen=True)
class ClipGradient(Wrapper):
    """Limit the gradient that the rule gets to ``limit``.

    ``norm="component"`` clips each Cartesian component, ``"atom"`` shortens each row that is longer, and
    ``"structure"`` scales the gradient of a structure if its norm over all rows is larger.
    """

    limit: float = param(10.0, "(0, inf)", "eV/A", "largest gradient")
    norm: str = choice("atom", NORMS, "norm of the largest gradient")

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
    """Set gradients to zero that are only noise, so that a normalised step does not amplify them.

    An atom on a symmetric position has a force of the size of rounding.  A rule that divides by the size of
    past forces makes a full step of it, and the crystal loses its space group by accident.  A row is set
    to zero if it is shorter than ``floor`` and also shorter than ``floor`` (as a plain number) times the
    longest row of its structure.  The second condition lets a run converge to any tolerance.
    """

    floor: float = param(1e-4, "[0, 1)", "eV/A", "force, and fraction of the longest, that counts as zero")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, g = array_namespace(point.g), point.g
        length = xp.sqrt(point.seg.own_dot(g, g))
        above = length > self.floor * xp.clip(point.seg.max(length), None, 1.0)
        return self.rule.update(state, point._replace(g=xp.where(above, g, 0 * g)))


@dataclass(frozen=True)
class Centred(Wrapper):
    """Keep the centroid of a structure in place if there is no net force.

    With a separate scale for each atom the steps do not sum to zero, although the forces on a free structure
    do.  If the net force is at most ``tolerance`` times the sum of the lengths of the forces, the mean
    step is subtracted.  Otherwise (fixed atoms, an external field, cell rows) the step stays unchanged.
    """

    tolerance: float = param(1e-6, "[0, inf)", "", "net force that counts as zero, relative to all forces")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, seg = array_namespace(point.g), point.seg
        dx, state = self.rule.update(state, point)
        net, lengths = seg.sum(point.g), xp.sqrt(row_dot(point.g, point.g))
        free = xp.sqrt(row_dot(net, net)) <= self.tolerance * seg.sum(lengths)
        return xp.where(free, dx - seg.mean(dx), dx), state
