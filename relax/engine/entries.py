"""How structures enter the engine, and how they leave it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atom, Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax.calculators.base import KEYS, Potential
from relax.core.errors import UnsupportedStructure, one_line
from relax.core.hessian import GivenHessian, hessian_array
from relax.core.result import Result, Stop
from relax.core.settings import check_start
from relax.engine.arrays import Start, prepare
from relax.engine.coordinates import BatchCoordinates
from relax.engine.history import History
from relax.engine.minima.check import MinimumSearch
from relax.engine.minima.draws import Draws
from relax.engine.minima.duplicates import KnownMinima
from relax.engine.minima.motions import frequency
from relax.geometry.cell import CellFreedom, StepScale, cell_freedom
from relax.geometry.constraints import settle
from relax.geometry.perturb import rattle
from relax.geometry.sanity import Integrity, Shape, change
from relax.geometry.symmetry import SYMPREC, space_group
from relax.geometry.vacuum import log_vacuum
from relax.preconditioner.known_hessian import KnownHessian

__all__ = ["Cell", "Entry", "Intake", "Relaxed", "build_result"]

Cell = bool | str | CellFreedom
"""What may be asked of a cell."""


@dataclass(frozen=True)
class Relaxed:
    """A structure that has been relaxed.

    Parameters
    ----------
    index
        Its place among the structures given, from 0.
    atoms
        A copy of it where it ended, with energy, forces and stress if there are any.
    result
        How it ended.  ``wall_time`` is its share, by size, of the time of the rounds it took part in.
    """

    index: int
    atoms: Atoms
    result: Result


@dataclass
class Entry:
    """A structure that is being relaxed, beside its rows.

    Parameters
    ----------
    index, first
        Its place as in :class:`Relaxed`, and the structure before it was rattled.
    symprec
        Tolerance (A) of its space groups.
    start
        How it entered; None for what is no plain structure.
    sanity
        Its sanity check; None before it is first looked at.
    size
        Its size in the unit of the potential.
    search
        What is known of the curvature where it is now.
    escapes
        Times that it left a saddle point.
    told
        The number of steps at which it was last followed.
    draw, minima
        Its number among the draws of a structure, and the minima that they have found.
    """

    index: int
    first: Atoms
    symprec: float = SYMPREC
    start: Start | None = None
    sanity: Integrity | None = None
    size: float = 1.0
    search: MinimumSearch | None = None
    escapes: int = 0
    told: int = -1
    draw: int = 0
    minima: KnownMinima | None = None

    def unknown(self, last: Atoms, stop: Stop) -> Result:
        """Return what there is to say of this structure, now ``last``, before it was evaluated."""
        return build_result(self.first, last, stop, self.symprec)

    def result(self, last: Atoms, history: History, s: int, stop: Stop) -> Result:
        """Return what there is to say of this structure, now ``last`` and in place ``s``, and of its end."""
        record, at = history.record, history.last(stop[0])
        probe = self.search and self.search.probe
        curvature, mode = (probe.curvature, probe.mode) if probe else (math.nan, None)
        return build_result(
            self.first,
            last,
            stop,
            self.symprec,
            self.sanity.checked if self.sanity else None,
            force_calls=int(record.calls[s]),
            steps=int(record.steps[s]),
            fmax=float(at.fmax[s]),
            smax=float(at.smax[s]),
            energy_first=float(record.energy_initial[s]),
            energy_last=float(at.value[s]),
            wall_time=float(record.wall[s]),
            curvature=curvature,
            frequency=frequency(curvature, mode, self.first.get_masses()),
            mode=mode,
            escapes=self.escapes,
            conservative=not record.by_forces[s],
            prior_calls=self.start.surface.calls if self.start and self.start.surface else 0,
        )

    def leave(self, coordinates: BatchCoordinates, history: History, s: int, stop: Stop) -> Relaxed:
        """Return what has become of this structure, which is in place ``s`` and ended by ``stop``."""
        at, atoms = history.last(stop[0]), coordinates.atoms(s)
        if self.minima is not None:
            self.minima.end(self.draw)
        if known := at.results(coordinates, s):
            atoms.calc = SinglePointCalculator(atoms, **known)
        return Relaxed(self.index, atoms, self.result(atoms, history, s, stop))


def build_result(
    first: Atoms, last: Atoms, stop: Stop, symprec: float, known: Shape | None = None, **numbers: Any
) -> Result:
    """Return what there is to say of a structure that was ``first``, is ``last``, and ended by ``stop``.

    Parameters
    ----------
    symprec, known
        Tolerance (A) of the space groups, and a shape that may be that of ``last``.
    **numbers
        Other fields of the result.
    """
    ratio, shortest = (math.nan, math.nan) if stop[0] == "refused" else change(first, last, known)
    return Result(
        *stop,
        volume_ratio=ratio,
        shortest=shortest,
        spacegroup_first=space_group(first, symprec),
        spacegroup_last=space_group(last, symprec),
        **numbers,
    )


@dataclass
class Intake:
    """What is done to structures before they enter a batch, and which ones may.

    Parameters
    ----------
    scale
        The rule that is followed.
    cell, pressure, symmetry, symprec, stress
        As in :class:`relax.optimizers.base.RuleOptimizer`; ``cell`` may also be a function of the structure.
    draws
        How often each structure enters, one after the other.
    hessian
        A Hessian for each structure, None where there is none, or a function of the structure.

    Raises
    ------
    TypeError, ValueError
        A value is not allowed.
    """

    scale: StepScale
    cell: Cell | Callable[[Atoms], Cell] = False
    pressure: float = 0.0
    symmetry: str = "free"
    symprec: float = SYMPREC
    draws: Draws = field(default_factory=Draws)
    hessian: Sequence[GivenHessian | None] | Callable[[Atoms], Any] | None = None
    stress: bool = False

    def __post_init__(self) -> None:
        self._minima = KnownMinima()
        check_start(self.symmetry, self.draws.largest)
        by_structure = callable(self.cell) and not isinstance(self.cell, type)
        self.relaxes_cells = by_structure or cell_freedom(self.cell, self.pressure) is not None

    def accept(self, index: int, given: Atoms, potential: Potential) -> Entry | Relaxed:
        """Return draw ``index`` as it enters the batch, or its result; TypeError for what is no structure."""
        structure, draw = divmod(index, self.draws.count)
        if draw == 0:
            self._minima = KnownMinima()
        if not isinstance(given, Atoms):
            several = "; give a list of Atoms" if isinstance(given, Atom) else ""
            raise TypeError(f"structure {structure} is a {type(given).__name__}, expected ase.Atoms{several}")
        atoms: Atoms = given.copy()

        def out(stop: Stop, atoms: Atoms = atoms) -> Relaxed:
            return Relaxed(index, atoms, build_result(atoms, atoms, stop, self.symprec))

        if not np.isfinite(np.vstack([atoms.positions, atoms.cell.array])).all():
            return out(("nonfinite", "a position or the cell is not finite"))
        key = next(KEYS)
        try:
            start, first = self._start(key, atoms, draw)
            start.hessian = self._hessian(structure, atoms)
            size = potential.admit(key, atoms)
        except UnsupportedStructure as error:
            return out(("refused", str(error)), given.copy())
        except Exception as error:
            return out(("calculator_error", one_line(error)), given.copy())
        if fault := (sanity := Integrity(atoms)).at_start():
            potential.release(key)
            return out(fault)
        minima = self._minima if self.draws.count > 1 else None
        size = max(float(size), 1.0)
        return Entry(index, first, self.symprec, start, sanity, size, draw=draw, minima=minima)

    def _start(self, key: int, atoms: Atoms, draw: int) -> tuple[Start, Atoms]:
        """Return ``atoms`` as they enter, changed in place, and as they were before the rattle."""
        if len(atoms) == 0:
            raise UnsupportedStructure("there are no atoms to relax")
        try:
            freedom = cell_freedom(self.cell(atoms) if callable(self.cell) else self.cell, self.pressure)
            start = prepare(key, atoms, freedom, self.scale, self.symmetry == "keep", self.symprec)
        except (TypeError, ValueError) as error:
            raise UnsupportedStructure(" ".join(str(error).split())) from error
        if draw == 0:
            log_vacuum(atoms, freedom)
        settle(atoms, freedom is not None)
        first = atoms.copy()
        if amplitude := self.draws.amplitude(draw):
            rattle(atoms, amplitude, self.draws.seed + draw, start.freedom)
            start.reference = None if freedom is None else first.cell.array
        return start, first

    def _hessian(self, index: int, atoms: Atoms) -> KnownHessian | None:
        """Return what is known of the Hessian of structure ``index`` as it enters."""
        given = self.hessian
        if given is not None and not callable(given):
            given = given[index] if index < len(given) else None
        try:
            return None if given is None else KnownHessian(hessian_array(given, atoms))
        except ValueError as error:
            raise UnsupportedStructure(str(error)) from error
