"""Gradient descent with one step size for all rows, with and without momentum."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.core.rule import Point, Rule
from relax.core.segments import Array
from relax.core.state import State

__all__ = ["NAG", "SGD", "Momentum"]


@dataclass(frozen=True, kw_only=True)
class SGD(Rule):
    """Steepest descent, optionally with heavy-ball or Nesterov momentum.

    ::

        m  <- mu m + G
        dx  = -lr m                   (plain, heavy ball)
        dx  = -lr (mu m + G)          (nesterov)

    Source: equations 9-12 of arXiv:2307.15663, in the form of ``torch.optim.SGD``.  Nesterov's step takes
    the gradient at the current point, and needs one force call per step.
    """

    default_clip = 20.0

    lr: float = param(0.003, "(0, inf)", "A^2/eV", "step for a gradient of one")
    momentum: float = param(0.0, "[0, 1)", "", "factor of the last step")
    nesterov: bool = param(False, doc="use Nesterov momentum")

    def init(self, x: Array) -> State:
        return {"m": x * 0.0}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        m = self.momentum * state["m"] + point.g
        ahead = self.momentum * m + point.g if self.nesterov else m
        return -self.lr * ahead, {"m": m}


@dataclass(frozen=True, kw_only=True)
class Momentum(SGD):
    """Steepest descent with heavy-ball momentum.

    ::

        m  <- mu m + G
        dx  = -lr m

    Source: equations 9 and 11 of arXiv:2307.15663.
    """

    lr: float = param(0.002, "(0, inf)", "A^2/eV", "step for a gradient of one")
    momentum: float = param(0.9, "[0, 1)", "", "factor of the last step")


@dataclass(frozen=True, kw_only=True)
class NAG(SGD):
    """Steepest descent with Nesterov's accelerated gradient.

    ::

        m  <- mu m + G
        dx  = -lr (mu m + G)

    Source: equations 9, 11 and 12 of arXiv:2307.15663.
    """

    lr: float = param(0.001, "(0, inf)", "A^2/eV", "step for a gradient of one")
    momentum: float = param(0.9, "[0, 1)", "", "factor of the last step")
    nesterov: bool = param(True, doc="use Nesterov momentum")
