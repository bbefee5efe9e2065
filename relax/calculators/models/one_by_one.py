"""Any ASE calculator, one structure after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from relax.calculators.base import CallCounter, Evaluation, Geometry, energy_of, numbers, stress_matrix
from relax.calculators.registry import unsupported
from relax.calculators.splitting import finite, parts, unknown
from relax.core.errors import RelaxationStopped, UnsupportedStructure, one_line

__all__ = ["SequentialCalculator"]


class SequentialCalculator:
    """An ASE calculator as a potential that evaluates one structure after the other.

    An exception becomes the fault of its structure, and does not affect the others.

    Parameters
    ----------
    calculator
        The calculator.
    device
        Its device.
    """

    unit = "atoms"
    batched = False

    def __init__(self, calculator: Any, device: str = "cpu") -> None:
        self.calculator, self.device = calculator, device
        self._kept: dict[int, Atoms] = {}

    def admit(self, key: int, atoms: Atoms) -> float:
        if why := unsupported(self.calculator, atoms):
            raise UnsupportedStructure(why)
        self._kept[key] = atoms.copy()
        self._kept[key].set_constraint()
        return len(atoms)

    def release(self, key: int) -> None:
        del self._kept[key]

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        evaluation, usable = unknown(geometry), finite(geometry)
        for s, rows in enumerate(parts(geometry)):
            # Some calculators never return from a structure that is not finite.
            if not usable[s]:
                continue
            atoms = self._kept[geometry.keys[s]]
            atoms.set_cell(geometry.cells[s])
            atoms.positions[:] = geometry.positions[rows]
            counter = CallCounter()
            try:
                with counter.watching([self.calculator]):
                    energy, forces, tensor = self._calculate(atoms, stress)
            except RelaxationStopped:
                raise
            except Exception as error:
                evaluation.faults[s] = one_line(error)
            else:
                evaluation.energies[s], evaluation.forces[rows] = energy, forces
                evaluation.stresses[s] = tensor
            evaluation.calls[s] = counter.calls or 1  # some have no calculate to count
        return evaluation

    def _calculate(self, atoms: Atoms, stress: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy, forces (n, 3) and stress (3, 3) of one structure."""
        calculator = self.calculator
        # Otherwise a structure that equals the last one would get old results, and the call would not count.
        if hasattr(calculator, "reset"):
            calculator.reset()
        # The stress first: what can compute it gives the forces with it.
        tensor = self._stress(atoms) if stress else None
        forces = numbers("forces", calculator.get_forces(atoms), (len(atoms), 3))
        energy = float(energy_of(calculator, atoms)[0])
        if tensor is not None:
            return energy, forces, tensor
        # Some calculators compute it with the forces: what costs nothing is reported.
        known = getattr(calculator, "results", {}).get("stress") if atoms.pbc.any() else None
        return energy, forces, stress_matrix(known)

    def _stress(self, atoms: Atoms) -> np.ndarray:
        try:
            stress = np.asarray(self.calculator.get_stress(atoms))
        except PropertyNotImplementedError:
            # A structure without volume has no stress; for any other the missing stress is an error.
            if atoms.pbc.any() and atoms.cell.rank == 3:
                raise
            return np.full((3, 3), np.nan)
        if stress.shape == (6,):
            stress = voigt_6_to_full_3x3_stress(numbers("stress", stress, (6,)))
        return numbers("stress", stress, (3, 3))
