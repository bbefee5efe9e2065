"""Parts that adaptive rules share: the granularity, and running moments of the gradient."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import choice
from relax.core.rule import Point, Rule
from relax.core.segments import Array, Segments, array_namespace
from relax.core.state import State

__all__ = ["Adaptive", "GradientMemory", "nonzero", "per_row"]


def per_row(x: Array, value: float = 0.0) -> Array:
    """Return a column with ``value`` for each row of ``x`` (R, 3) -> (R, 1)."""
    return x[:, 0:1] * 0.0 + value


def nonzero(denominator: Array) -> Array:
    """Return ``denominator`` with zeros replaced by ones.

    For quotients whose numerator is zero wherever the denominator is.
    """
    xp = array_namespace(denominator)
    return xp.where(denominator == 0, xp.ones_like(denominator), denominator)


@dataclass(frozen=True, kw_only=True)
class Adaptive(Rule):
    """A rule that scales its step by past gradients, for each component or for each atom.

    ``granularity="component"`` treats each Cartesian component on its own, as in the machine-learning papers.
    The path then depends on the orientation of the structure.  ``granularity="atom"`` replaces each
    product of components by the inner product of the atom's rows.  Each atom then has one scale, its
    step is in the plane of its gradient and its momentum, and the path of a rotated structure is the rotated
    path.
    """

    default_clip = 20.0
    strain_length = (2.5, 0.0)
    default_force_floor = 1e-4

    granularity: str = choice("atom", ("atom", "component"), "what shares one adaptive scale")

    def product(self, seg: Segments, a: Array, b: Array) -> Array:
        """Return ``a b`` by component (R, 3), or by atom (R, 1)."""
        return seg.own_dot(a, b) if self.granularity == "atom" else a * b

    def size(self, seg: Segments, a: Array) -> Array:
        """Return ``|a|`` by component (R, 3), or by atom (R, 1)."""
        xp = array_namespace(a)
        return xp.sqrt(seg.own_dot(a, a)) if self.granularity == "atom" else xp.abs(a)

    def direction(self, seg: Segments, a: Array) -> Array:
        """Return the signs of the components, or the unit vectors of the rows (R, 3); zero stays zero."""
        return a / nonzero(self.size(seg, a))

    def scales(self, x: Array, value: float = 0.0) -> Array:
        """Return an array filled with ``value``, for each component (R, 3) or each atom (R, 1)."""
        return per_row(x, value) if self.granularity == "atom" else x * 0.0 + value


@dataclass(frozen=True)
class GradientMemory:
    """Running means of the gradient and of its square, and the normalised gradient u.

    ::

        t <- t + 1
        g <- beta1 g + (1 - beta1) G                           first moment
        h <- beta2 h + (1 - beta2) G**2                        second moment
        u  = g / (1 - beta1**t) / (sqrt(h / (1 - beta2**t)) + eps)

    ``G**2`` is by component or by atom, according to the granularity of the rule.

    Source: equations 1, 2 and 4 of the CoRe paper (arXiv:2307.15663); these are the moments of Adam
    (arXiv:1412.6980).

    Parameters
    ----------
    owner
        The rule that uses the memory; its granularity counts.
    beta2
        Decay of the second moment, in [0, 1).
    """

    owner: Adaptive
    beta2: float

    def init(self, x: Array) -> State:
        """Return zero moments for rows ``x`` (R, 3)."""
        return {"g": x * 0.0, "h": self.owner.scales(x), "t": per_row(x)}

    def update(self, memory: State, point: Point, beta1: Array | float) -> State:
        """Return the moments after one more gradient; ``beta1`` is a number or one per row (R, 1)."""
        square = self.owner.product(point.seg, point.g, point.g)
        return {
            "g": beta1 * memory["g"] + (1 - beta1) * point.g,
            "h": self.beta2 * memory["h"] + (1 - self.beta2) * square,
            "t": memory["t"] + 1,
        }

    def magnitude(self, memory: State, unbiased: bool) -> Array:
        """Return the root of the second moment, eV/A; ``unbiased`` corrects for the start from zero."""
        xp = array_namespace(memory["h"])
        h = memory["h"] / (1 - self.beta2 ** memory["t"]) if unbiased else memory["h"]
        return xp.sqrt(h)

    def normalised(self, memory: State, beta1: Array | float, eps: float) -> Array:
        """Return u (R, 3): the unbiased first moment over the unbiased magnitude."""
        mean = memory["g"] / (1 - beta1 ** memory["t"])
        return mean / nonzero(self.magnitude(memory, unbiased=True) + eps)
