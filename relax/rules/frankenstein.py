"""Frankenstein, in both of its published forms."""

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
DIGITS = 11  # decimals of the constants in the authors' package; the difference shows at 1e-12


@dataclass(frozen=True, kw_only=True)
class Frankenstein(Adaptive):
    """Gradient descent with adaptive coefficients of the momentum and of the second moment.

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
    differs from the paper in the following points:

    - rho contains sqrt(v), the root of the running maximum, instead of sqrt(x);
    - the argument of rho is clipped to [e**-0.2, e**1.03] instead of [e**0.8, e**1.05];
    - x(t) / x(t-1) in beta2 is clipped to at most 1, so that beta2 is never below 1/2;
    - beta may be fixed, independent of the step (``beta_fixed``);
    - there is weight decay, added to the gradient or (``decoupled``) applied to x;
    - the constants have eleven decimals.

    Two additions are made here; :meth:`paper` and :meth:`package` turn them off.  First, v is multiplied by
    ``forget`` before the maximum.  Second, each structure has its own step ``lr`` between ``lr_min`` and
    ``lr_max``, as in FIRE: it is multiplied by ``lr_up`` while the energy falls and by ``lr_down``
    when the energy rises, and then the momentum is multiplied by ``brake``.  Section 2.1 of the paper
    suggests both a schedule of the step and a reset of the momentum after a step that was too long.
    The second addition is needed for the first, because normalised steps do not shrink by themselves.

    tanh and the exponentials take gradients in eV/A as plain numbers, so the path depends on the unit.

    Source: Algorithm 1 of arXiv:2503.02147, and the PyTorch package of its authors.
    """

    form: str = choice("paper", ("paper", "package"), "which published form")
    lr: float = param(0.06, "(0, inf)", "A", "first step along a steady gradient")
    beta: float = param(0.97, "[0, 1)", "", "momentum at lr = 1e-3 A, or always if fixed")
    beta_fixed: bool = param(False, doc="keep beta fixed, independent of the step")
    eps: float = param(1e-3, "(0, inf)", "(eV/A)^2", "added to each squared gradient; paper: 1e-8")
    weight_decay: float = param(0.0, "[0, inf)", "1/A", "pull towards the origin")
    decoupled: bool = param(False, doc="apply the weight decay to x instead of the gradient")
    forget: float = param(0.75, "(0, 1]", "", "factor of v before the maximum")
    judge: str = choice("energy", ("energy", "power"), "how a rise is detected: E rose, or G.dx > 0")
    lr_up: float = param(1.1, "[1, inf)", "", "factor of lr while the energy falls")
    lr_down: float = param(0.5, "(0, 1]", "", "factor of lr when it rises")
    brake: float = param(0.45, "[0, 1]", "", "factor of the momentum when the energy rises")
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
        """Return the authors' PyTorch package; with ``fixed_beta=0`` beta depends on ``lr``, as there."""
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
        return dx, {"m": m, "dx": dx, "v": v, "x": x, "lr": lr, "e": point.known_e, "t": state["t"] + 1}

    @property
    def uses_energies(self) -> bool:
        return self.judge == "energy"

    def rises(self, state: State, point: Point) -> Array:
        """Return whether the last step of each structure went uphill (R, 1)."""
        uphill = point.seg.dot(point.g, state["dx"]) > 0
        if self.judge == "power":
            return uphill
        rise, xp = point.e - state["e"], array_namespace(point.g)
        return xp.where(xp.isnan(rise), uphill, (state["t"] > 0) & (rise > 0))
