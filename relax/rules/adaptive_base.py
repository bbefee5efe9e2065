"""The pieces adaptive rules share: what counts as one number, and the memory of gradients."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import choice
from relax.core.rule import Point, Rule
from relax.core.segments import Array, Segments, array_namespace
from relax.core.state import State

__all__ = ["Adaptive", "GradientMemory", "nonzero", "per_row"]


def per_row(x: Array, value: float = 0.0) -> Array:
    """Return one number for each row of ``x`` (R, 3) -> (R, 1)."""
    return x[:, 0:1] * 0.0 + value


def nonzero(denominator: Array) -> Array:
    """Return ``denominator`` with zeros replaced by ones, for quotients whose numerator is zero there."""
    xp = array_namespace(denominator)
    return xp.where(denominator == 0, xp.ones_like(denominator), denominator)


@dataclass(frozen=True, kw_only=True)
class Adaptive(Rule):
    """A rule that scales its step by what it has seen, number by number or atom by atom.

    ``granularity="component"`` treats each Cartesian component on its own, as the papers on machine
    learning do; the path then depends on how the structure is turned in space.  ``"atom"`` replaces
    each product of components by the inner product of the atom's rows, so that the scale is one
    number for an atom, a step is parallel to its own gradient and momentum, and the path of a
    rotated structure is the rotated path.
    """

    default_clip = 20.0
    strain_length = (2.5, 0.0)
    default_force_floor = 1e-4

    granularity: str = choice("atom", ("atom", "component"), "what shares one adaptive scale")

    def product(self, seg: Segments, a: Array, b: Array) -> Array:
        """``a b`` by component (R, 3), or by atom (R, 1)."""
        return seg.own_dot(a, b) if self.granularity == "atom" else a * b

    def size(self, seg: Segments, a: Array) -> Array:
        """``|a|`` by component (R, 3), or by atom (R, 1)."""
        xp = array_namespace(a)
        return xp.sqrt(seg.own_dot(a, a)) if self.granularity == "atom" else xp.abs(a)

    def direction(self, seg: Segments, a: Array) -> Array:
        """The sign of each component, or the unit vector along each atom's row; zero stays zero."""
        return a / nonzero(self.size(seg, a))

    def scales(self, x: Array, value: float = 0.0) -> Array:
        """One number of ``value`` for each component (R, 3) or each atom (R, 1)."""
        return per_row(x, value) if self.granularity == "atom" else x * 0.0 + value


@dataclass(frozen=True)
class GradientMemory:
    """Running means of a gradient and of its square, and the gradient they normalise.

    ::

        t <- t + 1
        g <- beta1 g + (1 - beta1) G                           first moment
        h <- beta2 h + (1 - beta2) G**2                        second moment
        u  = g / (1 - beta1**t) / (sqrt(h / (1 - beta2**t)) + eps)

    Equations 1, 2 and 4 of the CoRe paper (arXiv:2307.15663); Adam's moments (arXiv:1412.6980).
    What ``G**2`` means, by component or by atom, is the granularity of the rule that owns the memory.

    Parameters
    ----------
    owner
        The rule whose granularity counts.
    beta2
        Decay of the second moment, in [0, 1).
    """

    owner: Adaptive
    beta2: float

    def init(self, x: Array) -> State:
        """Return empty moments for rows ``x`` (R, 3)."""
        return {"g": x * 0.0, "h": self.owner.scales(x), "t": per_row(x)}

    def update(self, memory: State, point: Point, beta1: Array | float) -> State:
        """Take in a gradient (R, 3), eV/A; ``beta1`` may differ from row to row, (R, 1)."""
        square = self.owner.product(point.seg, point.g, point.g)
        return {
            "g": beta1 * memory["g"] + (1 - beta1) * point.g,
            "h": self.beta2 * memory["h"] + (1 - self.beta2) * square,
            "t": memory["t"] + 1,
        }

    def magnitude(self, memory: State, unbiased: bool) -> Array:
        """Root of the second moment, eV/A; ``unbiased`` corrects for the start from zero."""
        xp = array_namespace(memory["h"])
        h = memory["h"] / (1 - self.beta2 ** memory["t"]) if unbiased else memory["h"]
        return xp.sqrt(h)

    def normalised(self, memory: State, beta1: Array | float, eps: float) -> Array:
        """Return ``u`` (R, 3): the unbiased mean gradient over its unbiased magnitude."""
        mean = memory["g"] / (1 - beta1 ** memory["t"])
        return mean / nonzero(self.magnitude(memory, unbiased=True) + eps)
