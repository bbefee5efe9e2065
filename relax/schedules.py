"""Step-size schedules: the step number ``t`` (R, 1) in, a factor out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relax.segments import Array, array_namespace

__all__ = ["Constant", "Cosine", "Exponential", "WarmUp"]


@dataclass(frozen=True)
class Constant:
    """The same ``factor`` always."""

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
    """Half a cosine from 1 down to ``last`` over ``steps``, then ``last`` (arXiv:1608.03983)."""

    steps: float = 500.0
    last: float = 0.01

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        phase = math.pi * xp.clip(t / self.steps, None, 1.0)
        return self.last + (1 - self.last) * 0.5 * (1 + xp.cos(phase))


@dataclass(frozen=True)
class WarmUp:
    """Rise in a line over ``steps``, then follow ``then``, whose first step is the last of the rise."""

    steps: int = 10
    then: Constant | Cosine | Exponential = Constant()

    def __call__(self, t: Array) -> Array:
        xp = array_namespace(t)
        rise = xp.clip((t + 1) / self.steps, None, 1.0)
        return rise * self.then(xp.clip(t - self.steps + 1, 0.0, None))
