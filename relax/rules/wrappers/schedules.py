"""Step-size schedules: functions of the step number ``t`` (R, 1) that return a factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import per_row
from relax.rules.wrappers.base import Wrapper

__all__ = ["Constant", "Cosine", "Exponential", "Scheduled", "WarmUp"]


@dataclass(frozen=True)
class Constant:
    """A constant ``factor``."""

    factor: float = 1.0

    def __call__(self, t: Array) -> Array:
        return 0 * t + self.factor


@dataclass(frozen=True)
class Exponential:
    """``decay ** (t / steps)``."""

    decay: float = 0.5
    steps: float = 100.0

    def __call__(self, t: Array) -> Array:
        return self.decay ** (t / self.steps)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``last`` in ``steps`` steps, then ``last`` (arXiv:1608.03983)."""

    steps: float = 500.0
    last: float = 0.01

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        phase = math.pi * xp.clip(t / self.steps, None, 1.0)
        return self.last + (1 - self.last) * 0.5 * (1 + xp.cos(phase))


@dataclass(frozen=True)
class WarmUp:
    """A linear rise over ``steps`` steps, then the schedule ``then``, which starts at the last of them."""

    steps: int = 10
    then: Constant | Cosine | Exponential = Constant()

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        rise = xp.clip((t + 1) / self.steps, None, 1.0)
        return rise * self.then(xp.clip(t - self.steps + 1, 0.0, None))


@dataclass(frozen=True)
class Scheduled(Wrapper):
    """Multiply the step by ``schedule(t)``, any function of the step number ``t`` = 0, 1, ...

    ``t`` is a column (R, 1), since structures may enter a batch at different times.  The schedule returns a
    column or a number.  :mod:`relax.rules.wrappers.schedules` has the usual ones.
    """

    schedule: Callable[[Array], Array | float]

    def init(self, x: Array) -> State:
        return {"rule": self.rule.init(x), "t": per_row(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        dx, inner = self.rule.update(state["rule"], point)
        return dx * self.schedule(state["t"]), {"rule": inner, "t": state["t"] + 1}
