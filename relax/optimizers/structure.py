"""What an ASE optimizer moves in place: plain atoms, or any other ASE object."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError

from relax.calculators.base import Evaluation, stress_matrix
from relax.core.result import Stop
from relax.engine.arrays import Start
from relax.engine.coordinates import BatchCoordinates
from relax.engine.entries import prepare
from relax.engine.history import BatchSanity, Sanity, Snapshot
from relax.geometry.cell import CellFreedom, StepScale
from relax.geometry.constraints import settle
from relax.geometry.sanity import Integrity
from relax.optimizers.ase_rows import AseRows, ImageSanity, images_of

__all__ = ["AseStructure", "AtomsStructure", "check_images", "evaluated", "in_place"]


class AtomsStructure:
    """Plain atoms, whose coordinates are a batch of one.

    Parameters
    ----------
    start
        How the atoms enter; they are moved in place.
    """

    plain = conservative = True

    def __init__(self, start: Start) -> None:
        self.start, self.atoms, self.freedom = start, start.atoms, start.freedom
        self.coordinates = BatchCoordinates([start])
        self._constraints = start.atoms.constraints
        self._note()

    @property
    def images(self) -> list[Atoms]:
        return [self.atoms]

    def sanity(self) -> tuple[Sanity, Integrity]:
        check = Integrity(self.atoms)
        return BatchSanity(self.coordinates, [check]), check

    def evaluate(self) -> Evaluation:
        """Return energy, forces and stress, constraints left aside; see :func:`evaluated`."""
        return evaluated(self.atoms, bool(self.coordinates.relaxes[0]))

    def again(self, good: Snapshot) -> Evaluation:
        """Return what was computed for the place where this still is."""
        energies = self.coordinates.energies(good.value)
        return Evaluation(energies.copy(), good.forces.copy(), good.stresses.copy())

    def changed(self) -> bool:
        moved = not self._is_noted()
        if self.atoms.constraints is not self._constraints:
            self._constraints = self.atoms.constraints
            self.coordinates.constrain(0, self.atoms)
        elif not moved:
            return False
        if moved:
            self.coordinates.read_from(self.atoms, 0)
            self._note()
        return True

    def settle(self) -> None:
        """Put the atoms on their constraints."""
        settle(self.atoms, self.freedom is not None)
        self.changed()

    def write(self) -> None:
        self.coordinates.write_to(self.atoms, 0)
        self._note()

    def _note(self) -> None:
        self._positions, self._cell = self.atoms.positions.copy(), self.atoms.cell.array.copy()

    def _is_noted(self) -> bool:
        same = np.array_equal(self.atoms.positions, self._positions)
        return same and np.array_equal(self.atoms.cell.array, self._cell)

    def to_plain(self) -> dict[str, np.ndarray]:
        """Return what a restart needs to see the same coordinates, to the last bit."""
        place = self.coordinates.place
        return {"x": place.x, "strain": place.strain[0], "reference": place.reference[0]}

    def from_plain(self, plain: dict[str, Any]) -> None:
        """Take up what :meth:`to_plain` wrote; of atoms that are elsewhere, only the reference cell."""
        c = self.coordinates
        place = c.place.copy()
        place.x, place.strain[0] = np.asarray(plain["x"], float), np.asarray(plain["strain"], float)
        place.reference[0] = np.asarray(plain["reference"], float)
        c.put_back(place, np.ones(1, bool))
        there = c.atoms(0)
        same = np.allclose(there.positions, self.atoms.positions, rtol=0, atol=1e-9)
        if not (same and np.allclose(there.cell.array, self.atoms.cell.array, rtol=0, atol=1e-9)):
            c.read_from(self.atoms, 0)
        self._note()


class AseStructure:
    """A filter, a band or any other ASE object.

    Parameters
    ----------
    target
        The object.
    """

    freedom = None

    def __init__(self, target: Any) -> None:
        self.coordinates = AseRows(target.__ase_optimizable__(), target)
        self.plain, self.conservative = self.coordinates.plain, self.coordinates.conservative
        self._note()

    @property
    def images(self) -> list[Atoms]:
        return self.coordinates.images

    def sanity(self) -> tuple[Sanity | None, Integrity | None]:
        if not self.images:
            return None, None
        sanity = ImageSanity(self.coordinates)
        return sanity, sanity.checks[0]

    def evaluate(self) -> Evaluation:
        evaluation = self.coordinates.evaluate()
        self._note()  # a band may turn its images when it is asked for forces
        return evaluation

    def again(self, good: Snapshot) -> Evaluation:
        """Return what was computed for the place where this still is."""
        return Evaluation(good.value.copy(), good.forces.copy(), good.stresses.copy())

    def to_plain(self) -> dict[str, np.ndarray]:
        """Return what a restart needs to see the same coordinates: the reference cell of a filter."""
        cell = getattr(self.coordinates.target, "orig_cell", None)
        return {} if cell is None else {"orig_cell": np.asarray(cell)}

    def from_plain(self, plain: dict[str, Any]) -> None:
        """Take up what :meth:`to_plain` wrote."""
        if "orig_cell" in plain and hasattr(self.coordinates.target, "orig_cell"):
            self.coordinates.target.orig_cell = np.asarray(plain["orig_cell"])

    def settle(self) -> None:
        """Take note of where the images are; the object itself sees to constraints."""
        self._note()

    def changed(self) -> bool:
        before = self._noted
        self._note()
        return any(
            not np.array_equal(a, b) for one, other in zip(before, self._noted, strict=True)
            for a, b in zip(one, other, strict=True)
        )  # fmt: skip

    def write(self) -> None:
        self._note()

    def _note(self) -> None:
        self._noted = self._state()

    def _state(self) -> list[tuple[np.ndarray, np.ndarray]]:
        if not self.images:
            return [(self.coordinates.x, np.zeros((3, 3)))]
        return [(atoms.positions.copy(), atoms.cell.array.copy()) for atoms in self.images]


def in_place(
    atoms: Any, freedom: CellFreedom | None, scale: StepScale, keep_symmetry: bool, symprec: float
) -> AtomsStructure | AseStructure:
    """Return what is relaxed in place; see :func:`~relax.engine.entries.prepare` for the parameters.

    Raises
    ------
    ValueError
        There are no atoms; a cell or a symmetry is asked for that the structure does not have.
    """
    plain = isinstance(atoms, Atoms)
    if not plain and (freedom is not None or keep_symmetry):
        kind = type(atoms).__name__
        raise ValueError(f"cell= and symmetry='keep' are for plain Atoms, not for a {kind}")
    images = [atoms] if plain else images_of(atoms.__ase_optimizable__())
    if (images and len(images[0]) == 0) or (not plain and atoms.__ase_optimizable__().ndofs() == 0):
        raise ValueError("there are no atoms to relax")
    if plain:
        return AtomsStructure(prepare(0, atoms, freedom, scale, keep_symmetry, symprec))
    return AseStructure(atoms)


def evaluated(atoms: Atoms, cell_relaxes: bool) -> Evaluation:
    """Return energy, forces and stress of ``atoms``, constraints left aside.

    Raises
    ------
    ValueError
        They are not the numbers they should be.
    """
    stress = None
    if cell_relaxes:
        # The stress first: what can compute it gives the forces with it.
        stress = numbers("stress", atoms.get_stress(voigt=False, apply_constraint=False), (3, 3))
    forces = numbers("forces", atoms.get_forces(apply_constraint=False), (len(atoms), 3))
    energy = energy_of(atoms)
    if stress is None:
        stress = stress_matrix(getattr(atoms.calc, "results", {}).get("stress"))
    return Evaluation(numbers("energy", energy, (1,)), forces, stress[None])


def energy_of(atoms: Atoms) -> Any:
    """Return the energy that the forces are the slope of, once the forces have been computed."""
    calculator = atoms.calc
    if getattr(type(calculator), "get_potential_energy", None) is BaseCalculator.get_potential_energy:
        # What has just been computed: asking for it costs three comparisons of all atoms.
        name = "free_energy" if "free_energy" in calculator.implemented_properties else "energy"
        if name in calculator.results:
            return calculator.results[name]
    try:
        return atoms.get_potential_energy(force_consistent=True, apply_constraint=False)
    except PropertyNotImplementedError:
        return atoms.get_potential_energy(apply_constraint=False)


def check_images(images: list[Atoms]) -> Stop | None:
    """Return what is wrong with structures before anything has moved."""
    for i, atoms in enumerate(images):
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            return "nonfinite", f"a position or the cell of image {i} is not finite"
        if fault := Integrity(atoms).at_start():
            return fault
    return None


def numbers(what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return what a calculator gives for ``what``, if that is numbers of the ``shape`` they should have."""
    found = np.asarray(given)
    if (
        found.dtype.kind not in "iuf"
        or found.size != np.prod(shape)
        or (len(shape) > 1 and found.shape != shape)
    ):
        kind = f"{found.dtype} of shape {found.shape}"
        raise ValueError(f"the calculator gives {kind} for the {what}, not float of shape {shape}")
    return found.astype(float).reshape(shape)
