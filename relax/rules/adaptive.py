"""Adaptive rules, which divide the step by the size of past gradients."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import Adaptive, GradientMemory, nonzero, per_row

__all__ = ["AdaDelta", "AdaGrad", "AdaMax", "Adam", "RMSprop"]


@dataclass(frozen=True, kw_only=True)
class AdaGrad(Adaptive):
    """Adaptive gradient: the step shrinks with the sum of all squared gradients.

    ::

        b  <- b + G**2
        dx  = -lr G / (sqrt(b) + eps)

    Source: equations 14 and 15 of arXiv:2307.15663 (Duchi et al., JMLR 12, 2121 (2011)).
    """

    lr: float = param(0.2, "(0, inf)", "A", "length of the first step")
    eps: float = param(1e-10, "[0, inf)", "eV/A", "added to the denominator")

    def init(self, x: Array) -> State:
        return {"b": self.scales(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        b = state["b"] + self.product(point.seg, point.g, point.g)
        return -self.lr * point.g / nonzero(xp.sqrt(b) + self.eps), {"b": b}


@dataclass(frozen=True, kw_only=True)
class AdaDelta(Adaptive):
    """Adaptive delta: the step scales with recent steps, so that it has the right unit.

    ::

        h  <- beta2 h + (1 - beta2) G**2
        u   = sqrt((l + eps) / (h + eps)) G
        l  <- beta2 l + (1 - beta2) u**2
        dx  = -lr u

    Source: equations 16 and 17 of arXiv:2307.15663 (Zeiler, arXiv:1212.5701).
    """

    lr: float = param(1.0, "(0, inf)", "", "factor of the step")
    beta2: float = param(0.9, "[0, 1)", "", "decay of both squared means")
    eps: float = param(1e-6, "(0, inf)", "(eV/A)^2 and A^2", "sets the first step")

    def init(self, x: Array) -> State:
        return {"h": self.scales(x), "l": self.scales(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        h = self.beta2 * state["h"] + (1 - self.beta2) * self.product(point.seg, point.g, point.g)
        u = xp.sqrt((state["l"] + self.eps) / (h + self.eps)) * point.g
        squares = self.beta2 * state["l"] + (1 - self.beta2) * self.product(point.seg, u, u)
        return -self.lr * u, {"h": h, "l": squares}


@dataclass(frozen=True, kw_only=True)
class RMSprop(Adaptive):
    """The gradient divided by its running root mean square.

    ::

        h  <- beta2 h + (1 - beta2) G**2
        dx  = -lr G / (sqrt(h) + eps)

    Source: equation 14 of arXiv:2307.15663 (Tieleman and Hinton, 2012).
    """

    lr: float = param(0.005, "(0, inf)", "A", "length of a step along a steady gradient")
    beta2: float = param(0.99, "[0, 1)", "", "decay of the second moment")
    eps: float = param(1e-8, "[0, inf)", "eV/A", "added to the denominator")

    @property
    def memory(self) -> GradientMemory:
        return GradientMemory(self, self.beta2)

    def init(self, x: Array) -> State:
        return self.memory.init(x)

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        state = self.memory.update(state, point, beta1=0.0)
        rms = self.memory.magnitude(state, unbiased=False)
        return -self.lr * state["g"] / nonzero(rms + self.eps), state


@dataclass(frozen=True, kw_only=True)
class Adam(Adaptive):
    """Adaptive moment estimation.

    ::

        g  <- beta1 g + (1 - beta1) G
        h  <- beta2 h + (1 - beta2) G**2
        dx  = -lr g / (1 - beta1**t) / (sqrt(h / (1 - beta2**t)) + eps)

    Source: section 2.5 of arXiv:2307.15663 (Kingma and Ba, arXiv:1412.6980).
    """

    lr: float = param(0.1, "(0, inf)", "A", "length of a step along a steady gradient")
    beta1: float = param(0.9, "[0, 1)", "", "decay of the first moment")
    beta2: float = param(0.999, "[0, 1)", "", "decay of the second moment")
    eps: float = param(1e-8, "[0, inf)", "eV/A", "added to the denominator")

    @property
    def memory(self) -> GradientMemory:
        return GradientMemory(self, self.beta2)

    def init(self, x: Array) -> State:
        return self.memory.init(x)

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        state = self.memory.update(state, point, self.beta1)
        return -self.lr * self.memory.normalised(state, self.beta1, self.eps), state


@dataclass(frozen=True, kw_only=True)
class AdaMax(Adaptive):
    """Adam with the largest recent gradient in place of the second moment.

    ::

        g  <- beta1 g + (1 - beta1) G
        k  <- max(beta2 k, |G| + eps)
        dx  = -lr g / (1 - beta1**t) / k

    Source: section 2.6, equation 13 of arXiv:2307.15663 (Kingma and Ba, arXiv:1412.6980).
    """

    lr: float = param(0.1, "(0, inf)", "A", "length of a step along a steady gradient")
    beta1: float = param(0.9, "[0, 1)", "", "decay of the first moment")
    beta2: float = param(0.999, "[0, 1)", "", "decay of the largest gradient")
    eps: float = param(1e-8, "[0, inf)", "eV/A", "added to each gradient")

    def init(self, x: Array) -> State:
        return {"g": x * 0.0, "k": self.scales(x), "t": per_row(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        t = state["t"] + 1
        g = self.beta1 * state["g"] + (1 - self.beta1) * point.g
        k = xp.maximum(self.beta2 * state["k"], self.size(point.seg, point.g) + self.eps)
        return -self.lr * g / (1 - self.beta1**t) / nonzero(k), {"g": g, "k": k, "t": t}
