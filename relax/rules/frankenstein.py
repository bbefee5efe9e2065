"""Frankenstein, in both published forms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relax.core.parameters import choice, param
from relax.core.rule import Point
from relax.core.segments import Array, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import Adaptive, per_row

__all__ = ["Frankenstein"]

E = math.e
DIGITS = 11  # with which the authors' package writes its constants; visible at 1e-12


@dataclass(frozen=True, kw_only=True)
class Frankenstein(Adaptive):
    """Momentum and second moment whose coefficients follow the state of the descent.

    ::

        beta1  = 1 - clip((1 - beta) sqrt(lr / 1e-3), 0.05, 0.99)              (3)
        P      = arccos(tanh(m G)) / pi                                        (4)
        x      = G**2 + eps,   v <- max(v, x)
        rho    = log(clip(e + sqrt(x) + 1/2 - P, e**0.8, e**1.05))             (5)
        xi     = (1 + e**-0.5) / (1 + exp(-|x(t-1) - P|))                      (13)
        m     <- rho beta1 m - lr xi G / sqrt(v)
        dx     = beta1 m - lr xi G / sqrt(v)
        beta2  = 1 - x(t) / x(t-1) |1/2 - P|                                   (10)
        v     <- beta2 v + (1 - beta2) x                                       (11)

    with m = v = 0 and x = lr before the first step.  The authors' PyTorch package (``form="package"``)
    differs from the paper in that

    - rho takes sqrt(v), the root of the running maximum, in place of sqrt(x);
    - rho's argument is clipped to [e**-0.2, e**1.03] in place of [e**0.8, e**1.05];
    - x(t) / x(t-1) in beta2 is clipped to at most 1, so that beta2 is never below 1/2;
    - beta may be held fixed, whatever the step (``beta_fixed``);
    - there is weight decay, added to the gradient or (``decoupled``) applied to x;
    - its constants are written with eleven decimals.

    What follows is ours, and is off in :meth:`paper` and :meth:`package`: v forgets by ``forget`` a step
    before the maximum, and each structure has a step ``lr`` of its own, between ``lr_min`` and
    ``lr_max``: times ``lr_up`` while its energy falls, and when it rises times ``lr_down``, with the
    momentum cut to ``brake`` of itself.  Section 2.1 asks for a step that follows a schedule and for a
    momentum that is reset where the step was too long; this is FIRE's way to both.  Since normalised
    steps do not shrink by themselves, a memory that forgets needs it.  tanh and the exponentials take
    gradients in eV/A as plain numbers: in other units the path is another.

    Source: Algorithm 1 of arXiv:2503.02147, and the PyTorch package of its authors.
    """

    form: str = choice("paper", ("paper", "package"), "which published form")
    lr: float = param(0.06, "(0, inf)", "A", "first step along a steady gradient")
    beta: float = param(0.97, "[0, 1)", "", "momentum at lr = 1e-3 A, or always if fixed")
    beta_fixed: bool = param(False, doc="hold the momentum whatever the step")
    eps: float = param(1e-3, "(0, inf)", "(eV/A)^2", "added to each squared gradient; paper: 1e-8")
    weight_decay: float = param(0.0, "[0, inf)", "1/A", "pull towards the origin")
    decoupled: bool = param(False, doc="apply the weight decay to x instead of the gradient")
    forget: float = param(0.75, "(0, 1]", "", "what is kept of v before the maximum")
    judge: str = choice("energy", ("energy", "power"), "what tells a fall from a rise")
    lr_up: float = param(1.1, "[1, inf)", "", "growth of lr while the energy falls")
    lr_down: float = param(0.5, "(0, 1]", "", "cut of lr when it rises")
    brake: float = param(0.45, "[0, 1]", "", "what is kept of the momentum when the energy rises")
    lr_min: float = param(1e-5, "(0, inf)", "A", "smallest lr")
    lr_max: float = param(0.06, "(0, inf)", "A", "largest lr")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lr_min <= self.lr <= self.lr_max:
            bounds = f"lr_min = {self.lr_min} and lr_max = {self.lr_max}"
            raise ValueError(f"Frankenstein: lr = {self.lr} is not between {bounds}")

    @classmethod
    def paper(cls, lr: float = 1e-3) -> Frankenstein:
        """Return Algorithm 1 as printed, by component."""
        return cls(
            form="paper", granularity="component", lr=lr, beta=0.9, beta_fixed=False, eps=1e-8,
            forget=1.0, lr_up=1.0, lr_down=1.0, brake=1.0, lr_min=lr, lr_max=lr,
        )  # fmt: skip

    @classmethod
    def package(cls, lr: float = 1e-3, fixed_beta: float = 0.0, weight_decay: float = 0.0) -> Frankenstein:
        """Return the authors' PyTorch package; ``fixed_beta`` of 0 lets beta follow ``lr``, as there."""
        return cls(
            form="package", granularity="component", lr=lr, beta=fixed_beta or 0.9,
            beta_fixed=fixed_beta > 0, eps=1e-8, weight_decay=weight_decay, decoupled=True,
            forget=1.0, lr_up=1.0, lr_down=1.0, brake=1.0, lr_min=lr, lr_max=lr,
        )  # fmt: skip

    def init(self, x: Array) -> State:
        return {
            "m": x * 0.0,
            "dx": x * 0.0,
            "v": self.scales(x),
            "x": self.scales(x, self.lr),
            "lr": per_row(x, self.lr),
            "e": per_row(x),
            "t": per_row(x),
        }

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        rises = self.rises(state, point)
        lr = xp.where(rises, self.lr_down * state["lr"], self.lr_up * state["lr"])
        lr = xp.where(state["t"] > 0, xp.clip(lr, self.lr_min, self.lr_max), state["lr"])
        m = xp.where(rises, self.brake * state["m"], state["m"])
        G = point.g
        if not self.decoupled:
            G = G + self.weight_decay * point.x

        beta1 = self.beta + 0 * lr
        if not self.beta_fixed:
            beta1 = 1 - xp.clip((1 - self.beta) * xp.sqrt(lr / 1e-3), 0.05, 0.99)
        P = xp.acos(xp.tanh(self.product(point.seg, m, G))) / math.pi
        x = self.product(point.seg, G, G) + self.eps
        v = xp.maximum(self.forget * state["v"], x)
        if self.form == "paper":
            rho = xp.log(xp.clip(E + 0.5 - P + xp.sqrt(x), E**0.8, E**1.05))
            ratio, top = x / state["x"], 1 + E**-0.5
        else:
            rho = xp.log(xp.clip(round(E + 0.5, DIGITS) - P + xp.sqrt(v), E**-0.2, E**1.03))
            ratio, top = xp.clip(x / state["x"], None, 1.0), round(1 + E**-0.5, DIGITS)
        xi = top / (1 + xp.exp(-xp.abs(state["x"] - P)))
        step = lr * xi * G / xp.sqrt(v)
        m = rho * beta1 * m - step
        dx = beta1 * m - step
        if self.decoupled:
            dx = dx - lr * self.weight_decay * point.x
        beta2 = 1 - ratio * xp.abs(0.5 - P)
        v = beta2 * v + (1 - beta2) * x
        return dx, {"m": m, "dx": dx, "v": v, "x": x, "lr": lr, "e": point.e, "t": state["t"] + 1}

    def rises(self, state: State, point: Point) -> Array:
        """Whether the last step of each structure led uphill (R, 1)."""
        if self.judge == "power":
            return point.seg.dot(point.g, state["dx"]) > 0
        return (state["t"] > 0) & (point.e > state["e"])
