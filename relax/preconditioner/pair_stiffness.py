"""The numbers of a model Hessian of pairs: how stiff bonds are, and how fast that decays."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import choice, param
from relax.core.segments import Array, array_namespace

__all__ = ["PairStiffness"]


@dataclass(frozen=True, kw_only=True)
class PairStiffness:
    """A model Hessian in which neighbours are springs, and bonds are stiffer than angles.

    ::

        H = sum over pairs  w (u u^T + tangent (1 - u u^T))  +  floor 1
        w = exp(-decay (r / r0 - 1))

    A pair's term acts on the change of its bond vector, of length r along u: the difference of the
    displacements of its atoms and, where the cell relaxes, its strain times the vector.  The length r0
    of a bond is the sum of the covalent radii, times one number for a structure where distances are
    ``"learned"``: the mean, over its atoms, of what the nearest neighbour's distance is of that sum.

    Source: the weights are those of Packwood et al., J. Chem. Phys. 144, 164109 (2016), the springs those
    of Lindh et al., Chem. Phys. Lett. 241, 423 (1995); together as in Mones et al., Sci. Rep. 8, 13991
    (2018).
    """

    decay: float = param(12.0, "(0, inf)", "", "decay of a pair's stiffness, per bond length")
    tangent: float = param(0.01, "[0, 1]", "", "stiffness across a bond, as a share of that along it")
    floor: float = param(0.15, "(0, inf)", "", "stiffness of every row by itself")
    distances: str = choice("learned", ("learned", "covalent"), "where the lengths of bonds are from")

    NEGLIGIBLE = 0.01
    """Stiffness, as a share of that of a bond, of which there is none: it decides how far pairs reach."""

    def along(self, ratio: Array) -> Array:
        """Return the stiffness along pairs whose distances over those of bonds are ``ratio``."""
        xp = array_namespace(ratio)
        return xp.exp(-self.decay * (ratio - 1))
