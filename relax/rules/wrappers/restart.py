"""Wrappers that restart a rule, or let it maximize."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core import state as states
from relax.core.parameters import choice, param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import per_row
from relax.rules.wrappers.base import Wrapper

__all__ = ["Ascent", "Restart", "is_ascent"]


@dataclass(frozen=True)
class Restart(Wrapper):
    """Reset the state of the rule, for each structure on its own, after a bad step.

    ``when="energy"``: the energy rose.  ``"power"``: the last step ended uphill, G.dx > 0; this is not
    affected by the noise in the energies of float32 models.  ``"stall"``: no lower energy for
    ``patience`` steps.

    The wrapper is meant for rules with a velocity.  For rules that adapt step sizes use only ``"stall"``:
    they restart from the first step size, which may be too long near a minimum, each time again.
    """

    when: str = choice("power", ("energy", "power", "stall"), "condition for a restart")
    patience: int = param(20, "[1, inf)", "steps", "steps without a lower energy before a restart")

    @property
    def uses_energies(self) -> bool:
        return self.when != "power" or self.rule.uses_energies

    def init(self, x: Array) -> State:
        blank = {"dx": x * 0.0, "e": per_row(x), "t": per_row(x)}
        return {"rule": self.rule.init(x)} | blank

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        e, t = state["e"], state["t"]  # with "stall": the lowest energy, and the steps since then
        without = xp.isnan(point.e)
        lower = (t == 0) | (point.e < e) | without
        uphill = point.seg.dot(point.g, state["dx"]) > 0
        if self.when == "power":
            again = uphill
        elif self.when == "energy":
            again = xp.where(without, uphill, (t > 0) & (point.e > e))
        else:
            again = ~lower & (t >= self.patience)
        inner = states.where(again, self.rule.init(point.x), state["rule"])
        dx, inner = self.rule.update(inner, point)
        if self.when == "stall":
            e = xp.where(lower | again, point.known_e, e)
            t = xp.where(lower | again, xp.ones_like(t), t + 1)
        else:
            e, t = point.known_e, t + 1
        return dx, {"rule": inner, "dx": dx, "e": e, "t": t}


@dataclass(frozen=True)
class Ascent(Wrapper):
    """Maximize the energy: the rule gets the negative energy and gradient."""

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        return self.rule.update(state, point._replace(g=-point.g, e=-point.e))


def is_ascent(rule: Rule) -> bool:
    """Whether one of the wrappers of ``rule`` is :class:`Ascent`."""
    while isinstance(rule, Wrapper):
        if isinstance(rule, Ascent):
            return True
        rule = rule.rule
    return False
