"""Any ASE calculator, one structure after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from relax.calculators.base import Evaluation, Geometry, stress_matrix
from relax.calculators.registry import unsupported
from relax.calculators.splitting import finite, parts, unknown
from relax.core.errors import UnsupportedStructure, one_line

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
            try:
                energy, forces, tensor = self._calculate(atoms, stress)
            except Exception as error:
                evaluation.faults[s] = one_line(error)
            else:
                evaluation.energies[s], evaluation.forces[rows] = energy, forces
                evaluation.stresses[s] = tensor
        return evaluation

    def _calculate(self, atoms: Atoms, stress: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy, forces (n, 3) and stress (3, 3) of one structure."""
        calculator = self.calculator
        # Otherwise a structure that equals the last one would get old results, and the call would not count.
        if hasattr(calculator, "reset"):
            calculator.reset()
        forces = _checked_array("forces", calculator.get_forces(atoms), (len(atoms), 3))
        energy = _checked_array("energy", self._energy(atoms), ())
        if stress:
            return float(energy), forces, self._stress(atoms)
        # Some calculators compute it with the forces: what costs nothing is reported.
        known = getattr(calculator, "results", {}).get("stress") if atoms.pbc.any() else None
        return float(energy), forces, stress_matrix(known)

    def _energy(self, atoms: Atoms) -> Any:
        try:  # the energy whose derivatives are the forces, if the calculator has several
            return self.calculator.get_potential_energy(atoms, force_consistent=True)
        except PropertyNotImplementedError:
            return self.calculator.get_potential_energy(atoms)

    def _stress(self, atoms: Atoms) -> np.ndarray:
        try:
            stress = np.array(self.calculator.get_stress(atoms), float)
        except PropertyNotImplementedError:
            # A structure without volume has no stress; for any other the missing stress is an error.
            if atoms.pbc.any() and atoms.cell.rank == 3:
                raise
            return np.full((3, 3), np.nan)
        tensor = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress
        return _checked_array("stress", tensor, (3, 3))


def _checked_array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``value`` as an array; raise ValueError if it does not have this ``shape``."""
    array = np.array(value, float)
    if array.shape != shape:
        raise ValueError(f"the calculator's {name} has shape {array.shape}, not {shape}")
    return array
