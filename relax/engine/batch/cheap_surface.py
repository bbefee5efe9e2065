"""The surface of a cheap potential, beside the one that counts, for one structure."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms

from relax.calculators.base import Potential
from relax.core.errors import one_line
from relax.core.settings import Criteria
from relax.engine.arrays import Start
from relax.engine.coordinates import BatchCoordinates
from relax.geometry.sanity import changed_bonds
from relax.rules import DEFAULT_RULE, RULES, for_atoms

__all__ = ["STAGES", "CheapPotential", "CheapSurface"]

LOG = logging.getLogger(__name__)

STAGES = (0.5, 500), (0.1, 50)
"""How the cheap surface is relaxed, one after the other: ``fmax``, relative to that of the run, and most
steps.  A start nearer to its minimum saves calls, but forces in single precision may not get there."""


@dataclass
class CheapPotential:
    """A cheap potential, on whose surface structures are relaxed before they enter.

    Parameters
    ----------
    potential
        The potential.
    symprec
        Tolerance (A) of space groups that are kept.
    """

    potential: Potential
    symprec: float

    def begin(self, start: Start, fmax: float) -> None:
        """Put a structure to the nearest minimum of the cheap surface, in place, and give it the surface.

        Where that fails, for whatever reason, it is left as it was, without a surface.  Where bonds break or
        form, it is left as it was with the surface: what breaks only there must not break in the run.

        Parameters
        ----------
        start
            The structure.
        fmax
            Longest force that counts as converged in the run itself, eV/A.
        """
        end, calls, why = self._relaxed(start, fmax)
        if why:
            LOG.warning("the prior is left out: %s", why)
            return
        self.attach(start, calls)
        if bonds := changed_bonds(start.atoms, end):
            i, j = bonds[0]
            LOG.warning("the prior changes the bond of atoms %d and %d: the structure begins as given", i, j)
        elif start.surface is not None:
            start.atoms.set_cell(end.cell, apply_constraint=False)
            start.atoms.set_positions(end.positions, apply_constraint=False)

    def attach(self, start: Start, calls: int = 0) -> None:
        """Give a structure the surface, after some force calls, if the potential knows the structure."""
        try:
            start.surface = CheapSurface.of(self.potential, start, calls)
        except Exception as error:
            LOG.warning("the prior is left out: %s", one_line(error))

    def _relaxed(self, start: Start, fmax: float) -> tuple[Atoms, int, str]:
        """Return where the structure ends on the cheap surface, in how many calls, and what went wrong."""
        from relax.engine.batch.run import BatchRun
        from relax.engine.entries import Intake
        from relax.engine.relaxation import Policy

        rule = for_atoms(RULES[DEFAULT_RULE]())
        symmetry = "free" if start.group is None else "keep"
        intake = Intake(RULES[DEFAULT_RULE](), start.freedom or False, 0.0, symmetry, self.symprec)
        atoms, calls = start.atoms, 0
        for part, steps in STAGES:
            criteria = Criteria(part * fmax, steps)
            (done,) = BatchRun(self.potential, rule, criteria, Policy(), intake, math.inf).run([atoms])
            atoms, result, calls = done.atoms, done.result, calls + done.result.force_calls
            if result.status not in ("converged", "max_steps"):
                return atoms, calls, f"{result.status}: {result.reason}"
        return atoms, calls, ""


class CheapSurface:
    """The surface of a cheap potential for one structure.

    Parameters
    ----------
    potential
        The potential, which has admitted the structure.
    coordinates
        The structure, as a batch of one of its own.

    Attributes
    ----------
    calls
        Force calls of the potential for this structure.
    """

    def __init__(self, potential: Potential, coordinates: BatchCoordinates, calls: int) -> None:
        self.potential, self.coordinates, self.calls = potential, coordinates, calls
        self._place, self._there = b"", (math.nan, np.zeros(0))

    @classmethod
    def of(cls, potential: Potential, start: Start, calls: int) -> Self:
        """Return the surface of a structure after some force calls.

        Raises
        ------
        UnsupportedStructure
            The potential does not know it.
        """
        own = start.alone()
        potential.admit(own.key, own.atoms)
        return cls(potential, BatchCoordinates([own]), calls)

    def release(self) -> None:
        """Let the potential forget the structure."""
        self.potential.release(self.coordinates.starts[0].key)

    def seen_from(self, reference: np.ndarray) -> Self:
        """Return this surface, for rows in the frame of a ``reference`` cell (3, 3), A."""
        self.coordinates.place.reference[0] = reference
        return self

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy (eV) and the gradient (R, 3), eV/A, at the rows ``x`` (R, 3), A.

        They are NaN where the potential fails.  A place that is asked for again at once takes no call: each
        step begins where its gradient was just asked for.
        """
        c = self.coordinates
        if (place := x.tobytes() + c.place.reference[0].tobytes()) == self._place:
            return self._there
        c.put(x)
        self.calls += 1
        try:
            evaluation = self.potential.evaluate(c.geometry(), bool(c.relaxes[0]))
            fault = evaluation.faults.get(0) or evaluation.timeouts.get(0)
        except Exception as error:
            fault = one_line(error)
        if fault:
            LOG.warning("the prior fails: %s", fault)
            return math.nan, np.full_like(x, math.nan)
        g = c.gradients(evaluation.forces, evaluation.stresses).g
        self._place, self._there = place, (float(c.values(evaluation)[0]), g)
        return self._there
