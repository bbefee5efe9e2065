"""Any ASE calculator, one structure after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.registry import unsupported
from relax.calculators.splitting import finite, parts, unknown
from relax.core.errors import UnsupportedStructure, one_line

__all__ = ["SequentialCalculator"]


class SequentialCalculator:
    """An ASE calculator as a potential, asked of one structure after the other.

    An exception is a fault of the structure it came with, and of no other.

    Parameters
    ----------
    calculator
        The calculator.
    device
        Where it computes.
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
        answer, fine = unknown(geometry), finite(geometry)
        for s, rows in enumerate(parts(geometry)):
            # Some calculators never come back from a structure that is nowhere.
            if not fine[s]:
                continue
            atoms = self._kept[geometry.keys[s]]
            atoms.set_cell(geometry.cells[s])
            atoms.positions[:] = geometry.positions[rows]
            try:
                energy, forces, tensor = self._told(atoms, stress)
            except Exception as error:
                answer.faults[s] = one_line(error)
            else:
                answer.energies[s], answer.forces[rows], answer.stresses[s] = energy, forces, tensor
        return answer

    def _told(self, atoms: Atoms, stress: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy, forces (n, 3) and stress (3, 3) of one structure."""
        calculator = self.calculator
        # A structure that equals the one before would be answered from memory, and not be counted.
        if hasattr(calculator, "reset"):
            calculator.reset()
        forces = _numbers("forces", calculator.get_forces(atoms), (len(atoms), 3))
        energy = _numbers("energy", self._energy(atoms), ())
        return float(energy), forces, self._stress(atoms) if stress else np.full((3, 3), np.nan)

    def _energy(self, atoms: Atoms) -> Any:
        try:  # what the forces are the slope of, where that is another energy
            return self.calculator.get_potential_energy(atoms, force_consistent=True)
        except PropertyNotImplementedError:
            return self.calculator.get_potential_energy(atoms)

    def _stress(self, atoms: Atoms) -> np.ndarray:
        try:
            told = np.array(self.calculator.get_stress(atoms), float)
        except PropertyNotImplementedError:
            # Nothing that has a volume may go without.
            if atoms.pbc.any() and atoms.cell.rank == 3:
                raise
            return np.full((3, 3), np.nan)
        return _numbers("stress", voigt_6_to_full_3x3_stress(told) if told.shape == (6,) else told, (3, 3))


def _numbers(what: str, told: Any, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.array(told, float)
    if numbers.shape != shape:
        raise ValueError(f"the calculator's {what} are of shape {numbers.shape}, not {shape}")
    return numbers
