"""L-BFGS on a model Hessian of bonds, bends and torsions, along curved paths."""

from __future__ import annotations

from dataclasses import dataclass

from relax.core.parameters import param
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.metric.handed_over import HandedOver

__all__ = ["InternalLBFGS"]


@dataclass(frozen=True, kw_only=True)
class InternalLBFGS(HandedOver, InternalStiffness):
    """L-BFGS in internal coordinates: bonds, bends and torsions, see :class:`HandedOver`.

    ::

        dx = - (two-loop recursion on the pairs (s, y) as seen from x(i), starting from gamma H^-1), cut
        x(i+1) = x(i) + the curved step whose change of the internal coordinates is that of dx

    H is the model Hessian of :class:`~relax.preconditioner.internal_stiffness.InternalStiffness`.  Large
    structures of metals, such as polycrystals, go on by CoRe after some steps, see
    :class:`~relax.rules.metric.handed_over.HandedOver`.

    Source: Nocedal, Math. Comput. 35, 773 (1980), for the two-loop recursion; Nocedal and Wright, Numerical
    Optimization (2006), algorithm 4.1, for the trust radius; Absil, Mahony and Sepulchre, Optimization
    Algorithms on Matrix Manifolds (2008), chapters 4 and 8, for curved steps and transported gradients.
    """

    NAME = "internal-lbfgs"
    default_maxstep = (2.0, "atom")

    hardness: float = param(40.0, "(0, inf)", "eV/A^2", "stiffness of a bond before there is any pair")
    largest: float = param(0.4, "(0, inf)", "A", "largest trust radius")

    @property
    def stiffness(self) -> PairStiffness:
        return self
