"""RPROP and CoRe: rules with a step size for each component or atom, adapted to changes of direction.

CoRe combines the step sizes of RPROP with the direction of Adam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relax.core.parameters import param
from relax.core.rule import Point
from relax.core.segments import Array, Segments, array_namespace
from relax.core.state import State
from relax.rules.adaptive_base import Adaptive, GradientMemory

__all__ = ["RPROP", "CoRe"]


@dataclass(frozen=True, kw_only=True)
class Resilient(Adaptive):
    """The step sizes of RPROP and CoRe.

    ::

        s <- min(eta_plus s, s_max)     if the gradient keeps its direction
        s <- max(eta_minus s, s_min)    if it has reversed
        s <- s                          if the present or the last one is zero

    Source: equation 6 of arXiv:2307.15663.
    """

    s_0: float = param(0.05, "(0, inf)", "A", "first step size")
    s_min: float = param(1e-6, "(0, inf)", "A", "smallest step size")
    s_max: float = param(0.2, "(0, inf)", "A", "largest step size")
    eta_minus: float = param(0.5, "(0, 1]", "", "factor of the step size when the gradient reverses")
    eta_plus: float = param(1.2, "[1, inf)", "", "factor of the step size when it does not")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.s_min > self.s_max:
            raise ValueError(f"{type(self).__name__}: s_min = {self.s_min} is above s_max = {self.s_max}")

    def resized(self, s: Array, turn: Array) -> Array:
        """Return the step sizes after a gradient whose product with the last one is ``turn`` (equation 6)."""
        xp = array_namespace(s)
        s = xp.where(turn > 0, self.eta_plus * s, xp.where(turn < 0, self.eta_minus * s, s))
        return xp.clip(s, self.s_min, self.s_max)


@dataclass(frozen=True, kw_only=True)
class RPROP(Resilient):
    """Resilient backpropagation: only the direction of the gradient counts.

    ::

        s  <- equation 6 with G(t-1) G(t)
        G  <- 0 where G(t-1) G(t) < 0          (backtracking: no step after a reversal)
        dx  = -s sgn(G)

    Source: section 2.10 of arXiv:2307.15663 (Riedmiller and Braun, 1993), as ``torch.optim.Rprop``.
    """

    backtracking: bool = param(True, doc="make no step where the gradient has just reversed")

    def init(self, x: Array) -> State:
        return {"G": x * 0.0, "s": self.scales(x, self.s_0)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        turn = self.product(point.seg, state["G"], point.g)
        s = self.resized(state["s"], turn)
        still = (turn < 0) if self.backtracking else (turn != turn)
        G = xp.where(still, xp.zeros_like(point.g), point.g)
        return -s * self.direction(point.seg, G), {"G": G, "s": s}


@dataclass(frozen=True, kw_only=True)
class CoRe(Resilient):
    """Continual resilient optimizer: RPROP's step sizes along Adam's direction.

    ::

        beta1  = beta1b + (beta1a - beta1b) exp(-((t - 1) / beta1c)**2)            (3)
        g     <- beta1 g + (1 - beta1) G                                           (1)
        h     <- beta2 h + (1 - beta2) G**2                                        (2)
        u      = g / (1 - beta1**t) / (sqrt(h / (1 - beta2**t)) + eps)             (4)
        P      = 0 for the top frozen share of S once t > t_hist, else 1           (5)
        s     <- min(eta_plus s, s_max)   where g(t-1) g(t) P > 0
                 max(eta_minus s, s_min)  where g(t-1) g(t) P < 0, else s          (6)
        dx     = -(weight_decay |u P s|) x - u P s                                 (7)
        S     <- S + g u P s / t_hist                          while t <= t_hist
                 (1 - 1/t_hist) S + g u P s / t_hist           afterwards          (8)

    :meth:`paper` returns the values recommended in the paper; the defaults are for atoms.  ``beta2 < 0``
    leaves out the second moment, ``u = sgn(g)``, as the authors' package does.  With
    ``granularity="atom"`` there is one importance per atom, and whole atoms are frozen; ``frozen`` is a
    fraction of each structure.

    Weight decay and freezing serve the training of models, and are off by default.  Weight decay would pull
    the atoms towards the origin, and the result would depend on the position of the structure in space.
    A frozen atom would not reach its minimum.

    Source: equations 1-8 of arXiv:2307.15663.
    """

    default_metric = True

    s_0: float = param(0.06, "(0, inf)", "A", "first step size")
    s_max: float = param(0.25, "(0, inf)", "A", "largest step size")
    eta_minus: float = param(0.72, "(0, 1]", "", "factor of the step size when the gradient reverses")
    eta_plus: float = param(1.06, "[1, inf)", "", "factor of the step size when it does not")
    beta1a: float = param(0.6, "[0, 1)", "", "decay of the first moment at the start")
    beta1b: float = param(0.8, "[0, 1)", "", "decay of the first moment at the end")
    beta1c: float = param(50.0, "(0, inf)", "steps", "length of the start")
    beta2: float = param(0.8, "(-inf, 1)", "", "decay of the second moment; below 0: none, u = sgn(g)")
    eps: float = param(0.05, "[0, inf)", "eV/A", "force below which steps shrink; paper: 1e-8")
    weight_decay: float = param(0.0, "[0, inf)", "1/A", "pull towards the origin")
    t_hist: int = param(0, "[0, inf)", "steps", "length of the importance history; 0: none; paper: 250")
    frozen: float = param(0.0, "[0, 1]", "", "fraction of the most important that is frozen")

    @classmethod
    def paper(cls, learning: Literal["batch", "intermediate", "mini-batch"] = "batch") -> CoRe:
        """Return CoRe with the values recommended in section 4.1 of the paper, by component.

        ``learning="batch"`` is for exact gradients, such as forces.  Weight decay and freezing stay off (in
        the paper 0.1, and 0 to 0.1), see the class.
        """
        s_max = {"batch": 1.0, "intermediate": 1e-2, "mini-batch": 1e-3}[learning]
        return cls(
            granularity="component", s_0=1e-3, s_min=1e-6, s_max=s_max, eta_minus=0.7375, eta_plus=1.2,
            beta1a=0.7375, beta1b=0.8125, beta1c=250.0, beta2=0.99, eps=1e-8, t_hist=250,
        )  # fmt: skip

    @property
    def memory(self) -> GradientMemory:
        return GradientMemory(self, max(self.beta2, 0.0))

    def init(self, x: Array) -> State:
        return self.memory.init(x) | {"s": self.scales(x, self.s_0), "S": self.scales(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        beta1 = self.beta1b + (self.beta1a - self.beta1b) * xp.exp(-((state["t"] / self.beta1c) ** 2))
        memory = self.memory.update(state, point, beta1)
        g = memory["g"]
        if self.beta2 >= 0:
            u = self.memory.normalised(memory, beta1, self.eps)
        else:
            u = self.direction(point.seg, g)
        P = self.plasticity(state["S"], memory["t"], point.seg)
        s = self.resized(state["s"], self.product(point.seg, state["g"], g) * P)
        step = u * P * s
        S = self.importance(state["S"], memory["t"], self.product(point.seg, g, step))
        dx = -self.weight_decay * self.size(point.seg, step) * point.x - step
        return dx, memory | {"s": s, "S": S}

    def plasticity(self, S: Array, t: Array, seg: Segments) -> Array:
        """Return P: 0 where the importance ``S`` is among the structure's highest, else 1 (equation 5)."""
        xp = array_namespace(S)
        ones = xp.ones_like(S)
        if self.frozen == 0 or self.t_hist == 0:
            return ones

        def top(scores: Array) -> Array:
            flat = xp.reshape(scores, (-1,))
            n = int(self.frozen * flat.shape[0])
            if n == 0:
                return xp.zeros_like(scores)
            least = xp.sort(flat)[flat.shape[0] - n]
            # The margin is that of the authors' package.  Without it rounding would decide between equal
            # atoms, and freezing would break the symmetry of a crystal.
            return xp.astype(scores >= 0.999999 * least, scores.dtype)

        return xp.where(t > self.t_hist, ones - seg.each(top, S), ones)

    def importance(self, S: Array, t: Array, gain: Array) -> Array:
        """Return the importance S (eV) after a step with ``gain`` = g u P s (equation 8)."""
        if self.t_hist == 0:
            return S
        xp = array_namespace(S)
        return xp.where(t > self.t_hist, (1 - 1 / self.t_hist) * S, S) + gain / self.t_hist
