"""The parameters of the pair-stiffness model Hessian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from relax.core.parameters import choice, param
from relax.core.segments import Array, array_namespace

__all__ = ["PairStiffness"]


@dataclass(frozen=True, kw_only=True)
class PairStiffness:
    """A model Hessian in which springs connect neighbours, so that bonds are stiffer than angles.

    ::

        H = sum over pairs  w (u u^T + tangent (1 - u u^T))  +  floor 1
        w = min(exp(-decay (r / r0 - 1)), strongest)

    The term of a pair acts on the change of its bond vector, which has length r and direction u.  This change
    is the difference of the atoms' displacements plus, if the cell relaxes, the strain times the vector.
    The bond length r0 is the sum of the covalent radii.  With ``distances="learned"`` it is multiplied by
    one number per structure: the mean over the atoms of the distance to the nearest neighbour, divided
    by the sum of the radii.

    H has no unit; see :class:`~relax.preconditioner.base.Metric`.

    Source: the weights are from Packwood et al., J. Chem. Phys. 144, 164109 (2016), and the springs from
    Lindh et al., Chem. Phys. Lett. 241, 423 (1995); Mones et al., Sci. Rep. 8, 13991 (2018), combine them.
    """

    decay: float = param(12.0, "(0, inf)", "", "decay of a pair's stiffness, per bond length")
    tangent: float = param(0.01, "[0, 1]", "", "stiffness across a bond, relative to that along it")
    floor: float = param(0.15, "(0, inf)", "", "constant added to the diagonal")
    strongest: float = param(
        math.inf, "(0, inf]", "", "largest stiffness of a pair, of atoms that are too close"
    )
    distances: str = choice("learned", ("learned", "covalent"), "source of the bond lengths")

    NEGLIGIBLE: ClassVar[float] = 0.01
    """Stiffness, relative to that of a bond, below which pairs are left out.  It sets their cutoff."""

    FARTHEST: ClassVar[float] = 0.0
    """Distance (A) up to which pairs are listed in any case."""

    def along(self, ratio: Array) -> Array:
        """Return the stiffness w along pairs, for their distances over the bond lengths, ``ratio``."""
        xp = array_namespace(ratio)
        return xp.clip(xp.exp(-self.decay * (ratio - 1)), None, self.strongest)

    def softened(self, covalent: Array) -> Array:
        """Return the factor of stiffnesses of which the share ``covalent`` is that of covalent bonds: one."""
        return array_namespace(covalent).ones_like(covalent)
