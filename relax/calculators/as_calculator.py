"""A potential as an ASE calculator, so that a single relaxation is as fast as a batch of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes, compare_atoms
from ase.stress import full_3x3_to_voigt_6_stress

from relax.calculators.base import KEYS, Geometry, Potential

__all__ = ["PotentialCalculator"]


class PotentialCalculator(Calculator):
    """An ASE calculator that evaluates a potential, for one structure at a time.

    The structure stays admitted while only its positions and its cell change, so that the potential can
    keep its neighbour list.  Once a stress has been requested, every evaluation includes it: a cell
    relaxation that requests stress, forces and energy then needs one evaluation per geometry.

    Parameters
    ----------
    potential
        The potential, see :func:`relax.calculators.as_potential`.

    Raises
    ------
    UnsupportedStructure
        From ``calculate``: the potential does not support the structure.
    RuntimeError
        From ``calculate``: the evaluation has a fault.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  (a list in ASE)

    def __init__(self, potential: Potential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential = potential
        self._key: int | None = None
        self._admitted: Atoms | None = None
        self._stress = False

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate ``atoms``, and keep energy (eV), forces (eV/A) and, if there is one, stress (eV/A^3)."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = {}
        self._stress |= "stress" in properties
        evaluation = self.potential.evaluate(self._geometry(self.atoms), self._stress)
        if evaluation.faults:
            raise RuntimeError(evaluation.faults[0])
        energy, stress = float(evaluation.energies[0]), evaluation.stresses[0]
        self.results = {"energy": energy, "free_energy": energy, "forces": evaluation.forces}
        # A stress that is NaN although the energy is finite means that the structure has none.
        if self._stress and (np.isfinite(stress).all() or not np.isfinite(energy)):
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def release(self) -> None:
        """Let the potential forget the structure."""
        if self._key is not None:
            self.potential.release(self._key)
            self._key = None

    def _geometry(self, atoms: Any) -> Geometry:
        """Return the geometry of ``atoms``, which are admitted if they are another structure."""
        if self._key is None or compare_atoms(
            self._admitted, atoms, excluded_properties={"positions", "cell"}
        ):
            self.release()
            key = next(KEYS)
            self.potential.admit(key, atoms)
            self._key, self._admitted = key, atoms.copy()
        lengths, cells, pbc = np.array([len(atoms)]), atoms.cell.array[None], atoms.pbc[None]
        return Geometry((self._key,), lengths, atoms.numbers, atoms.positions, cells, pbc)
