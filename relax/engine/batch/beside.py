"""What a rule may learn from beside the calculator that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from relax.calculators.potentials import as_potential
from relax.core.rule import Rule
from relax.engine.arrays import Start
from relax.engine.batch.cheap_surface import CheapPotential
from relax.engine.batch.known import KnownCalculations
from relax.io.known import known_structures
from relax.rules import Kriging

__all__ = ["Beside"]


@dataclass(frozen=True)
class Beside:
    """A cheap potential, and calculations that were made before the run; None where there are none."""

    prior: CheapPotential | None = None
    known: KnownCalculations | None = None

    @classmethod
    def of(cls, rule: Rule, prior: Any, known: Any, symprec: float) -> Self:
        """Return what was given as ``prior=`` and ``known=``, after ``relax.rules.check_beside``.

        Raises
        ------
        CalculatorError
            The prior cannot be loaded.
        TypeError, UsageError
            See :func:`relax.io.known.known_structures`.
        """
        cheap = None if prior is None else CheapPotential(as_potential(prior), symprec)
        if known is None:
            return cls(cheap)
        assert isinstance(rule, Kriging)
        return cls(cheap, KnownCalculations(known_structures(known), rule))

    def begin(self, start: Start, fmax: float, fresh: bool = True) -> None:
        """Give a structure, where it enters, what there is for it.

        Parameters
        ----------
        start
            The structure, which is put to the nearest minimum of the cheap surface in place.
        fmax
            Longest force that counts as converged in the run, eV/A.
        fresh
            Whether the run begins; one that goes on stays where it is.
        """
        if self.prior is not None and fresh:
            self.prior.begin(start, fmax)
        elif self.prior is not None:
            self.prior.attach(start)
        if self.known is not None:
            self.known.begin(start)
