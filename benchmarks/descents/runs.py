"""One run, with the energy and the largest force at each force call."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks.descents.systems import Case
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.runs.call_counter import CapReached
from relax.analysis.comparison.runs.ends import largest_row
from relax.analysis.comparison.runs.run import TOLERANCE, relax_counted

DIGITS = 7
"""Significant digits of forces in the file; energies, of which differences are plotted, have three more."""


class RecordingCalculator:
    """A calculator that calls another one, and records energy and largest force of each new geometry."""

    def __init__(self, inner: Any, start: Atoms, cell: bool) -> None:
        self.inner, self.start, self.cell = inner, start, cell
        self.implemented_properties = inner.implemented_properties
        self.results: Json = {}
        self.energies: list[float] = []
        self.forces: list[float] = []

    def calculate(self, atoms: Atoms, properties: Any, system_changes: Any) -> None:
        """Calculate the properties, with all that is recorded."""
        recorded = ["energy", "forces", *(["stress"] if self.cell else [])]
        self.inner.calculate(atoms, list(dict.fromkeys([*(properties or []), *recorded])), system_changes)
        self.results = self.inner.results
        if not system_changes:
            return
        self.energies.append(round_to(self.results["energy"] / len(atoms), DIGITS + 3))
        self.forces.append(round_to(self.largest_force(atoms), DIGITS))

    def largest_force(self, atoms: Atoms) -> float:
        """Return the largest row of forces, and of the cell gradient if the cell relaxes, eV/A."""
        if not self.cell:
            return float(np.linalg.norm(self.results["forces"], axis=1).max())
        copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        results = {key: self.results[key] for key in ("energy", "forces", "stress")}
        copy.calc = SinglePointCalculator(copy, **results)
        return largest_row(copy, self.start)


def round_to(number: float, digits: int) -> float:
    """Return a number with so many significant digits."""
    return float(f"{number:.{digits}g}")


def run(case: Case, name: str, start: Atoms, calculator: Any) -> Json:
    """Relax a copy of ``start``; return the status, the force calls, and the records of each."""
    spec = case.spec
    recorder = RecordingCalculator(calculator, start, spec.cell)
    made = relax_counted(
        lambda atoms: make_optimizer(case.registered_name(name), atoms, case.system),
        start,
        recorder,
        spec.fmax,
        spec.cap,
    )
    fault = made.fault
    if isinstance(fault, CapReached):
        status = "cap"
    elif fault is not None:
        status = f"error: {type(fault).__name__}: {' '.join(str(fault).split())}"
    elif recorder.forces and recorder.forces[-1] <= spec.fmax * (1 + TOLERANCE):
        status = "converged"
    else:
        status = f"gave up: {made.reported[1]}" if made.reported[1] else "gave up"
    return {"status": status, "calls": made.calls, "energy": recorder.energies, "force": recorder.forces}
