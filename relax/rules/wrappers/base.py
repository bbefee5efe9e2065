"""The base class of wrappers around rules."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from relax.core.rule import Point, Rule
from relax.core.segments import Array
from relax.core.state import State
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Wrapper", "innermost"]


@dataclass(frozen=True)
class Wrapper(Rule):
    """A rule that contains a rule.  Unless a subclass changes that, its state is that of the inner rule."""

    rule: Rule

    @property
    def stiffness(self) -> PairStiffness | None:
        return self.rule.stiffness

    @property
    def uses_energies(self) -> bool:
        return self.rule.uses_energies

    def init(self, x: Array) -> State:
        return self.rule.init(x)

    @abstractmethod
    def update(self, state: State, point: Point) -> tuple[Array, State]: ...


def innermost(rule: Rule) -> Rule:
    """Return the rule inside all wrappers."""
    while isinstance(rule, Wrapper):
        rule = rule.rule
    return rule
