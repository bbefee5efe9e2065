"""The parameters of the model Hessian of bonds, bends and torsions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from relax.core.parameters import param
from relax.core.segments import Array, array_namespace
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["InternalStiffness"]


@dataclass(frozen=True, kw_only=True)
class InternalStiffness(PairStiffness):
    """A model Hessian of the internal coordinates q: stretches, bends, planes and torsions.

    ::

        H = B^T W B  +  springs  +  floor 1,     B = dq/dx
        W of a stretch i-j        w c
        W of a bend i-j-k         bend    s1 s1 b(j)
        W of a linear bend        linear  sqrt(s s) b(j)        (near 180 degrees)
        W of j in a plane i-k-l   plane   s1 s1 s1 b(j) t(j)
        W of a torsion i-j-k-l    torsion s1 d s1 sin^2 sin^2 t(j) t(k)
        w = (1 - b(i) b(j)) f exp(-decay (r / r0 - 1))  +  b(i) b(j) exp(alpha (R^2 - r^2))
        s = min(w with f = 1, 4) exp(-max(0, |chi(i) - chi(j)| - polar)^2) (1 - shielding),     s1 = min(s, 1)
        d = s1 exp(double max(0, 1 - r / r1))

    There is no list of bonds to choose: every term counts by its weight.  alpha and R are Lindh's for the
    rows of the periodic table, chi are Pauling's electronegativities.  b(j) and t(j) are 1 for atoms with few
    neighbours and 0 for close-packed ones, see ``BENDS`` and ``TORSIONS``; b also falls with the share of
    polar bonds.  c is the larger one of b(i) and b(j).  The rest of a stretch, w (1 - c), is a spring of
    :class:`~relax.preconditioner.pair_stiffness.PairStiffness`, and so is ``tangent``: a structure without
    bends has no internal coordinates but springs only.  f is ``spring`` for the bonds of metals and salts,
    which are softer than covalent ones, and for the floor of their atoms; it is 1 for bonds of which half or
    more is covalent.  Shielding is the share of a pair that is due to a third atom to which both are bonded;
    such pairs are no ends of bends and torsions and, of atoms with torsions, ``geminal`` times as stiff.

    Bends at hydrogen, which are those of hydrogen bonds, are as stiff as linear ones.  The coordinate of an
    atom in a plane is the product u.(v x w) of the unit vectors to three neighbours; atoms with lone pairs
    have none, for they leave the plane easily.  Torsions about shortened bonds are stiff: r1 is the length of
    a single bond, the sum of the covalent radii.  d of a pair with an atom on the line between both, as in
    allene, is that of its weaker bond.

    Structures of more than 1,000 rows that are of metals alone have springs only, and step in less time.

    Atoms of few neighbours, whose neighbours have few neighbours too, have the floor ``bent_floor``.  In a
    structure without periodic directions it is ``free_floor``, and all atoms have the same, that of the
    median.

    Source: the weights are from Lindh et al., Chem. Phys. Lett. 241, 423 (1995).  Why bends fade with
    coordination and polarity, and where the constants are from, is in
    ``docs/explanation/decisions/0009-internal-coordinates.md``.
    """

    bend: float = param(0.12, "[0, inf)", "A^2", "stiffness of a bend, relative to that of a bond")
    linear: float = param(0.05, "[0, inf)", "A^2", "stiffness of a linear bend, relative to that of a bond")
    plane: float = param(0.066, "[0, inf)", "A^2", "stiffness of an atom in a plane, relative to a bond")
    torsion: float = param(
        0.0023, "[0, inf)", "A^2", "stiffness of a torsion about a single bond, relative to that of a bond"
    )
    double: float = param(26.0, "[0, inf)", "", "growth of that when the bond is shorter, per bond length")
    geminal: float = param(6.0, "[0, inf)", "", "factor of the stiffness between neighbours of one atom")
    spring: float = param(
        0.125, "(0, 1]", "", "stiffness of a bond of atoms without bends, relative to covalent bonds"
    )
    bent_floor: float = param(0.01, "(0, inf)", "", "constant added to the diagonal for atoms of molecules")
    free_floor: float = param(0.001, "(0, inf)", "", "the same without periodic directions")
    polar: float = param(1.2, "[0, inf)", "", "difference of electronegativities beyond which bends fade")
    rounds: int = param(4, "[0, inf)", "", "most Gauss-Newton rounds of a curved step; 0 for straight steps")

    BENDS: ClassVar[tuple[float, float]] = (5.0, 8.0)
    """Coordination numbers of an atom from where its bends fade, and where they are gone."""

    TORSIONS: ClassVar[tuple[float, float]] = (4.6, 6.0)
    """The same for the two middle atoms of a torsion."""

    FARTHEST: ClassVar[float] = 3.2
    """Distance (A) beyond which Lindh's weights are below a thousandth."""

    def softened(self, covalent: Array) -> Array:
        """Return the factor f of stiffnesses of which the share ``covalent`` is that of covalent bonds."""
        xp = array_namespace(covalent)
        return self.spring + (1 - self.spring) * xp.clip(2 * covalent, None, 1.0)
