"""The structures of a batch as they enter and as they leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax.calculators.base import Potential
from relax.core.errors import UnsupportedStructure
from relax.core.result import Result, Status
from relax.core.settings import check_start
from relax.engine.coordinates import Batch, Start
from relax.engine.history import History
from relax.engine.saddle.lowest_mode import Probe
from relax.geometry.cell import CellFreedom, StepScale, cell_freedom
from relax.geometry.perturb import rattle as rattled
from relax.geometry.sanity import Integrity, Shape, change
from relax.geometry.symmetry import SYMPREC, SpaceGroup, space_group

__all__ = ["Cell", "Entrance", "Look", "Member", "Relaxed"]

Cell = bool | CellFreedom
"""What may be asked of a cell."""


@dataclass(frozen=True)
class Relaxed:
    """A structure that has left the batch.

    Parameters
    ----------
    index
        Its place among the structures given, from 0.
    atoms
        A copy of it where it ended, with energy, forces and stress if there are any.
    result
        The verdict.  ``wall_time`` is its share, by size, of the time of the rounds it took part in.
    """

    index: int
    atoms: Atoms
    result: Result


@dataclass
class Look:
    """The look around a place where a structure has converged."""

    probe: Probe
    g: np.ndarray  # (R, 3) eV/A, the gradient there
    reason: str  # in words, how it has converged


@dataclass
class Member:
    """A structure in the batch, beside its rows."""

    index: int
    start: Start
    first: Atoms  # before the rattle
    integrity: Integrity
    size: float  # in the unit of the potential
    symprec: float  # A
    look: Look | None = None  # where it is now
    escapes: int = 0

    def leave(self, batch: Batch, history: History, s: int, verdict: tuple[Status, str]) -> Relaxed:
        """Return what has become of this structure, which is in place ``s`` of the batch."""
        record, last, atoms = history.record, history.last(verdict[0]), batch.atoms(s)
        if np.isfinite(last.value[s]):
            pressure = batch.fixed.pressure[s]
            energy = last.value[s] - pressure * batch.volumes[s] if pressure else last.value[s]
            answers = {"energy": float(energy), "forces": last.forces[batch.slice(s)].copy()}
            if np.isfinite(last.stresses[s]).all():
                answers["stress"] = last.stresses[s][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            atoms.calc = SinglePointCalculator(atoms, **answers)
        result = told(
            self.first,
            atoms,
            verdict,
            symprec=self.symprec,
            known=self.integrity.checked,
            force_calls=int(record.calls[s]),
            steps=int(record.steps[s]),
            fmax=float(last.fmax[s]),
            smax=float(last.smax[s]),
            energy_first=float(record.first[s]),
            energy_last=float(last.value[s]),
            wall_time=float(record.wall[s]),
            curvature=self.look.probe.curvature if self.look else math.nan,
            mode=self.look.probe.mode if self.look else None,
            escapes=self.escapes,
        )
        return Relaxed(self.index, atoms, result)


def told(
    first: Atoms,
    last: Atoms,
    verdict: tuple[Status, str],
    *,
    symprec: float,
    known: Shape | None = None,
    force_calls: int = 0,
    steps: int = 0,
    fmax: float = math.nan,
    smax: float = math.nan,
    energy_first: float = math.nan,
    energy_last: float = math.nan,
    wall_time: float = 0.0,
    curvature: float = math.nan,
    mode: np.ndarray | None = None,
    escapes: int = 0,
) -> Result:
    """Return what there is to say of a structure that was ``first`` and is ``last``."""
    status, reason = verdict
    ratio, shortest = (math.nan, math.nan) if status == "refused" else change(first, last, known)
    return Result(
        status=status,
        reason=reason,
        force_calls=force_calls,
        steps=steps,
        fmax=fmax,
        smax=smax,
        energy_first=energy_first,
        energy_last=energy_last,
        volume_ratio=ratio,
        shortest=shortest,
        spacegroup_first=space_group(first, symprec),
        spacegroup_last=space_group(last, symprec),
        wall_time=wall_time,
        curvature=curvature,
        mode=mode,
        escapes=escapes,
    )


@dataclass
class Entrance:
    """What is done to structures before they enter, and which ones may.

    Parameters
    ----------
    cell, pressure, symmetry, symprec, rattle, seed
        As in :class:`relax.optimizers.base.RuleOptimizer`; ``cell`` may also be a function of the structure.
    strider
        The rule that is followed.

    Raises
    ------
    ValueError
        A value is not allowed.
    """

    strider: StepScale
    cell: Cell | Callable[[Atoms], Cell] = False
    pressure: float = 0.0
    symmetry: str = "free"
    symprec: float = SYMPREC
    rattle: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_start(self.symmetry, self.rattle)
        if not callable(self.cell):
            cell_freedom(self.cell, self.pressure)
        self.keys = 0

    def admit(self, index: int, given: Atoms, potential: Potential) -> Member | Relaxed:
        """Return what a structure is in the batch, or the verdict that keeps it out.

        Raises
        ------
        TypeError
            It is no structure.
        """
        if not isinstance(given, Atoms):
            raise TypeError(f"structure {index} is no Atoms but a {type(given).__name__}")
        atoms: Atoms = given.copy()

        def out(status: Status, reason: str, atoms: Atoms = atoms) -> Relaxed:
            result = told(atoms, atoms, (status, reason), symprec=self.symprec)
            return Relaxed(index, atoms, result)

        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            return out("nonfinite", "a position or the cell is not finite")
        key, self.keys = self.keys, self.keys + 1
        try:
            start, first = self._start(key, atoms)
            size = potential.admit(key, atoms)
        except UnsupportedStructure as refusal:
            return out("refused", str(refusal), given.copy())
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            return out("calculator_error", f"{type(error).__name__}: {words}", given.copy())
        integrity = Integrity(atoms)
        if fault := integrity.at_start():
            potential.release(key)
            return out(*fault)
        return Member(index, start, first, integrity, max(float(size), 1.0), self.symprec)

    def _start(self, key: int, atoms: Atoms) -> tuple[Start, Atoms]:
        """Return ``atoms`` as they enter, changed in place, and as they were before the rattle."""
        if len(atoms) == 0:
            raise UnsupportedStructure("there are no atoms to relax")
        try:
            freedom = cell_freedom(self.cell(atoms) if callable(self.cell) else self.cell, self.pressure)
            if freedom is not None:
                freedom = freedom.with_defaults(self.strider, len(atoms))
            group = None
            if self.symmetry == "keep":
                group = SpaceGroup.of(atoms, self.symprec)
                group.snap(atoms)
        except ValueError as error:
            raise UnsupportedStructure(" ".join(str(error).split())) from error
        start, first = Start(key, atoms, freedom, group), atoms.copy()
        if self.rattle:
            rattled(atoms, self.rattle, self.seed, freedom)
            if freedom is not None:
                start.reference = first.cell.array
        return start, first
