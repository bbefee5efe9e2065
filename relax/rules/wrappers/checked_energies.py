"""A wrapper for forces that are no gradient of an energy: it takes the energies away from the rule."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import per_row
from relax.rules.wrappers.base import Wrapper

__all__ = ["CheckedEnergies", "by_forces_alone"]


@dataclass(frozen=True)
class CheckedEnergies(Wrapper):
    """Compare energies with forces, and judge steps by the forces alone where they contradict each other.

    ::

        W = s . (G(i) + G(i+1)) / 2,   s = x(i+1) - x(i)
        strike:     E(i+1) - E(i) and W have different signs, and both are above the noise of the energy
        no strike:  they differ by less than half of W; one strike is taken off

    After ``strikes`` strikes of a structure the rule gets NaN in place of its energy, from there on, and
    takes W for the change of the energy.  Forces that are the gradient of the energy do not contradict it in
    several short steps, since the error of W is of third order in s.  Those of models that predict forces
    directly do, and those of a band of images.

    With ``energies=False`` the rule never gets an energy.
    """

    energies: bool = param(True, doc="judge steps by energies, too, until these contradict the forces")
    strikes: int = param(3, "[1, inf)", "steps", "contradictions after which only forces count")
    blur: float = param(1e-7, "[0, 1)", "", "noise of the energy, relative to the energy")

    def init(self, x: Array) -> State:
        return {
            "rule": self.rule.init(x),
            "x": x * 0.0,
            "g": x * 0.0,
            "e": per_row(x),
            "struck": per_row(x),
            "by_forces": per_row(x, 0.0 if self.energies else 1.0),
            "t": per_row(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, started = array_namespace(point.g), state["t"] > 0
        s = xp.where(started, point.x - state["x"], 0 * point.x)
        work, rise = 0.5 * point.seg.dot(s, state["g"] + point.g), point.e - state["e"]
        noise = self.blur * xp.abs(point.e)
        strike = started & (rise * work < 0) & (xp.abs(rise) > noise) & (xp.abs(work) > noise)
        agrees = started & ~strike & (xp.abs(rise - work) < 0.5 * xp.abs(work))
        struck = state["struck"]
        struck = xp.where(strike, struck + 1, xp.where(agrees, xp.clip(struck - 1, 0.0, None), struck))
        by_forces = xp.where(struck >= self.strikes, xp.ones_like(struck), state["by_forces"])
        e = xp.where(by_forces > 0, xp.nan * point.e, point.e)
        dx, inner = self.rule.update(state["rule"], point._replace(e=e))
        now = {"x": point.x, "g": point.g, "e": point.e, "t": state["t"] + 1}
        return dx, {"rule": inner, "struck": struck, "by_forces": by_forces} | now


def by_forces_alone(rule: Rule) -> Rule:
    """Return ``rule`` without energies, wherever it would have compared them with forces."""
    if isinstance(rule, CheckedEnergies):
        return replace(rule, energies=False)
    if isinstance(rule, Wrapper):
        return replace(rule, rule=by_forces_alone(rule.rule))
    return rule
