"""Calculations that were made before the run: which of them fit a structure, and its rows there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, stress_matrix
from relax.core.rule import Known
from relax.engine.arrays import Start
from relax.engine.coordinates import BatchCoordinates
from relax.engine.projection import projected
from relax.io.known import has_forces
from relax.rules import Kriging

__all__ = ["KnownCalculations", "KnownPlaces"]

LOG = logging.getLogger(__name__)

FARTHEST = 2.0
"""Longest row (A) between a structure and a calculation from which it may learn."""

FARTHEST_CELL = 0.5
"""The same of its cell, without unit; the logarithm of such a deformation is a real strain."""

SAME_CELL, ALLOWED, APART = 1e-6, 1e-3, 1e-3
"""How far (A) cell vectors that are the same may differ, how far a row may be from where constraints, the
freedom of the cell and symmetry let it go, and the smallest distance of two calculations."""


class Misfit(Exception):
    """A calculation is of no use for a structure, and why."""


@dataclass
class Calculation:
    """An earlier calculation, moved to where it is nearest to the structure."""

    atoms: Atoms
    forces: np.ndarray  # (n, 3) eV/A
    stress: np.ndarray  # (3, 3) eV/A^3; NaN if it is not known
    x: np.ndarray  # (R, 3) A, its rows
    value: float  # energy or enthalpy, eV
    distance: float  # A, of the row that is farthest from the structure


@dataclass
class KnownCalculations:
    """What was computed before the run, for any structure.

    Parameters
    ----------
    structures
        See :func:`relax.io.known.known_structures`.
    rule
        The rule that learns from them.
    """

    structures: Sequence[Atoms]
    rule: Kriging

    def begin(self, start: Start) -> None:
        """Give a structure, where it enters, those of the calculations that fit it and are nearest to it."""
        symbols, c = start.atoms.symbols, own_coordinates(start)
        here, room, why = c.x, self.rule.room(c.seg.rows), ""
        if start.hessian is not None or room == 0:
            why = "it is too large for a model" if room == 0 else "its Hessian is given"
        elif c.by_ase[0] is not None:
            why = "it has constraints that ASE itself applies"
        if why:
            LOG.warning("known calculations are left out for %s: %s", symbols, why)
            return
        found: list[Calculation] = []
        misfits: Counter[str] = Counter()
        for structure in self.structures:
            try:
                found.append(fitted(structure, c, here))
            except Misfit as misfit:
                misfits[str(misfit)] += 1
        used: list[Calculation] = []
        for one in sorted(found, key=lambda one: one.distance):
            if any(longest(one.x - other) < APART for other in (here, *(other.x for other in used))):
                misfits["of a place that is known already"] += 1
            elif len(used) == room - 1:
                misfits["farther than those for which there is room"] += 1
            else:
                used.append(one)
        LOG.log(
            logging.INFO if used else logging.WARNING,
            "%d of %d known calculations are used for %s%s",
            *(len(used), len(self.structures), symbols),
            "".join(f"; {count} left out: {words}" for words, count in misfits.items()),
        )
        if used:
            start.known = KnownPlaces(start, used)
            lowest = min(found, key=lambda one: one.value)
            LOG.info(
                "the lowest of them has %.6f eV, %.2f A away: begin there if the start is higher",
                *(lowest.value, lowest.distance),
            )


class KnownPlaces:
    """Earlier calculations of a structure.

    Parameters
    ----------
    start
        The structure.
    calculations
        The calculations, nearest first.
    """

    def __init__(self, start: Start, calculations: Sequence[Calculation]) -> None:
        self.start, self.calculations = start, calculations
        self._seen: tuple[np.ndarray, Known] | None = None

    def seen_from(self, reference: np.ndarray) -> Known:
        """Return places and gradients (K, R, 3) in the frame of a ``reference`` cell (3, 3), A."""
        if self._seen is None or not np.array_equal(self._seen[0], reference):
            c = own_coordinates(self.start, reference.copy())
            x, g = np.empty((2, len(self.calculations), c.seg.rows, 3))
            for k, one in enumerate(self.calculations):
                c.read_from(one.atoms, 0)
                x[k], g[k] = c.x, c.gradients(one.forces, one.stress[None]).g
            self._seen = reference.copy(), (x, g)
        return self._seen[1]


def own_coordinates(start: Start, reference: np.ndarray | None = None) -> BatchCoordinates:
    """Return a structure as a batch of one, in the frame of a ``reference`` cell (3, 3), A, or in its own."""
    own = start.alone()
    if reference is not None and start.freedom is not None:
        own.reference = reference
    return BatchCoordinates([own])


def longest(rows: np.ndarray) -> float:
    """Return the length of the longest of the ``rows`` (R, 3)."""
    return float(np.sqrt((rows * rows).sum(axis=1).max()))


def fitted(known: Atoms, c: BatchCoordinates, here: np.ndarray) -> Calculation:
    """Return a calculation as it is nearest to a structure.

    Parameters
    ----------
    known
        The calculation.
    c, here
        The structure as a batch of one, which is moved, and its rows (R, 3) where it starts, A.

    Raises
    ------
    Misfit
        It is none of this structure.
    """
    start, relaxes = c.starts[0], bool(c.relaxes[0])
    pbc = start.atoms.pbc
    if not np.array_equal(known.numbers, start.atoms.numbers):
        raise Misfit("of other atoms, or of these in another order")
    if not np.array_equal(known.pbc, pbc):
        raise Misfit("of another periodicity")
    if not has_forces(known):
        raise Misfit("without an energy and forces")
    energy, forces = known.calc.results["energy"], known.calc.results["forces"]
    stress = stress_matrix(known.calc.results.get("stress"))
    if relaxes and np.isnan(stress).any():
        raise Misfit("without a stress")
    whole = forces.shape == known.positions.shape and np.isfinite(energy)
    if not whole or not np.isfinite(np.concatenate([known.positions, known.cell[pbc], forces])).all():
        raise Misfit("with numbers that are not finite")
    if not relaxes and (np.abs(known.cell[pbc] - start.atoms.cell[pbc]) > SAME_CELL).any():
        raise Misfit("in another cell")
    atoms = Atoms(known.numbers, known.positions, cell=start.atoms.cell, pbc=pbc)
    atoms.cell[pbc] = known.cell[pbc]
    forces = forces @ moved_near(atoms, start.atoms, free=not c.projects and start.group is None)
    if relaxes and deformed(start.atoms, atoms) > FARTHEST_CELL:
        raise Misfit("in a cell that is far")
    c.read_from(atoms, 0)
    x = c.x
    left = projected(c, x - here)
    left[c.rows[0]] = (left[c.rows[0]][:, None] @ c.constants.step_projector)[:, 0]
    if (distance := longest(x - here)) > FARTHEST:
        raise Misfit("far away")
    if longest(x - here - left) > ALLOWED:
        raise Misfit("where constraints, the freedom of the cell or symmetry do not let it go")
    value = float(c.values(Evaluation(np.array([energy]), forces, stress[None]))[0])
    return Calculation(atoms, forces, stress, x, value, distance)


def deformed(start: Atoms, atoms: Atoms) -> float:
    """Return how far the deformation of the cell of ``start`` to that of ``atoms`` is from none."""
    return float(np.linalg.norm(np.linalg.solve(start.cell.array, atoms.cell.array) - np.eye(3), 2))


def moved_near(atoms: Atoms, start: Atoms, free: bool) -> np.ndarray:
    """Move ``atoms``, in place, to the periodic images that are nearest to ``start``.

    Where they are ``free``, they are moved as a whole too and, if they are not periodic, turned.  The matrix
    (3, 3) that has turned them is returned.
    """
    cell, first = (one.cell.array * one.pbc[:, None] for one in (atoms, start))
    apart = atoms.positions @ np.linalg.pinv(cell) - start.positions @ np.linalg.pinv(first)
    whole = apart[0] if free else np.zeros(3)
    positions = atoms.positions - (np.round(apart - whole) + np.round(whole)) @ cell
    turn = np.eye(3)
    if free:
        strained = start.positions @ (np.eye(3) + np.linalg.pinv(first) @ (cell - first))
        middle = strained.mean(axis=0)
        positions = positions - positions.mean(axis=0)
        if not atoms.pbc.any():
            u, _, vt = np.linalg.svd(positions.T @ (strained - middle))
            turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        positions = positions @ turn + middle
    atoms.positions = positions
    return turn
