"""What an ASE optimizer moves in place: plain atoms, or any other ASE object."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, numbers
from relax.core.hessian import GivenHessian, hessian_array
from relax.engine.arrays import Start, prepare
from relax.engine.batch.beside import Beside
from relax.engine.batch.calls import with_stress
from relax.engine.coordinates import BatchCoordinates
from relax.engine.evaluation import evaluated
from relax.engine.history import BatchSanity, Sanity, Snapshot
from relax.geometry.cell import CellFreedom, StepScale
from relax.geometry.constraints import settle
from relax.geometry.sanity import Integrity
from relax.geometry.vacuum import log_vacuum
from relax.optimizers.ase_rows import AseRows, ImageSanity, images_of
from relax.preconditioner.known_hessian import KnownHessian

__all__ = ["AseStructure", "AtomsStructure", "check_relaxable", "in_place"]


class AtomsStructure:
    """Plain atoms, whose coordinates are a batch of one.

    Parameters
    ----------
    start
        How the atoms enter; they are moved in place.
    """

    plain = plain_atoms = conservative = True
    given: GivenHessian | None = None
    stress = False  # whether it is computed although the cell is held
    beside = Beside()

    def __init__(self, start: Start) -> None:
        self.start, self.atoms, self.freedom = start, start.atoms, start.freedom
        self.coordinates = BatchCoordinates([start])
        self._constraints = start.atoms.constraints
        self._note()

    @property
    def images(self) -> list[Atoms]:
        return [self.atoms]

    @property
    def prior_calls(self) -> int:
        """Force calls on the cheap surface."""
        surface = self.coordinates.starts[0].surface
        return 0 if surface is None else surface.calls

    def sanity(self) -> tuple[Sanity, Integrity]:
        check = Integrity(self.atoms)
        return BatchSanity(self.coordinates, [check]), check

    def evaluate(self) -> Evaluation:
        """Return energy, forces and stress, constraints left aside; see :func:`evaluated`."""
        return evaluated(self.atoms, self.with_stress)

    @property
    def with_stress(self) -> bool:
        """Whether the stress is computed."""
        return bool(with_stress(self.coordinates, self.stress)[0])

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

    def know(self) -> None:
        """Take up the Hessian that is given, as that of the atoms where they are."""
        if self.given is not None:
            self.coordinates.starts[0].hessian = KnownHessian(hessian_array(self.given, self.atoms))

    def begin(self, fmax: float, fresh: bool) -> None:
        """Take up what there is beside the calculator; a ``fresh`` run goes to the cheap minimum (eV/A)."""
        beside, self.beside = self.beside, Beside()
        beside.begin(self.coordinates.starts[0], fmax, fresh)
        if beside.prior is not None and self.changed() and self.freedom is not None:
            # On top of the first cell, the present one may be a strain and a rotation, no symmetric matrix.
            self._put(self.atoms.positions.copy(), np.zeros((3, 3)), self.atoms.cell.array.copy())

    def to_plain(self) -> dict[str, Any]:
        """Return what a restart needs to see the same coordinates, to the last bit."""
        place, known = self.coordinates.place, self.coordinates.starts[0].hessian
        plain: dict[str, Any] = {"x": place.x, "strain": place.strain[0], "reference": place.reference[0]}
        plain |= {"positions": self.atoms.positions, "cell": self.atoms.cell.array}
        if self.given is None:
            return plain
        begun = None if known is None or known.begun is None else [*known.begun, known.steps]
        return plain | {"begun": [] if known is None else begun}

    def from_plain(self, plain: dict[str, Any]) -> None:
        """Take up what :meth:`to_plain` wrote; of atoms that are elsewhere, only the reference cell."""
        if (had := "begun" in plain) != (self.given is not None):
            words = f"the restart file was written {'with' if had else 'without'} hessian="
            raise ValueError(f"{words}; do the same, or delete the file")
        c, n = self.coordinates, len(self.atoms)
        x, strain, reference = (np.asarray(plain[name], float) for name in ("x", "strain", "reference"))
        if plain.get("begun"):
            began, g, steps = (np.asarray(found, float) for found in plain["begun"])
            self._put(began[:n], began[n:] / c.constants.scale[0] if len(began) > n else strain, reference)
            c.starts[0].hessian = KnownHessian(hessian_array(self.given, c.atoms(0)), (began, g), int(steps))
        elif self.given is not None and plain["begun"] is not None:
            c.starts[0].hessian = None
        else:
            self.know()
        self._put(x, strain, reference)
        there = c.atoms(0)
        same = np.allclose(there.positions, self.atoms.positions, rtol=0, atol=1e-9)
        if not (same and np.allclose(there.cell.array, self.atoms.cell.array, rtol=0, atol=1e-9)):
            c.read_from(self.atoms, 0)
        self._note()

    def _put(self, x: np.ndarray, strain: np.ndarray, reference: np.ndarray) -> None:
        place = self.coordinates.place.copy()
        place.x, place.strain[0], place.reference[0] = x, strain, reference
        self.coordinates.put_back(place, np.ones(1, bool))


class AseStructure:
    """``target``: a filter, a band or any other ASE object."""

    freedom = given = None
    plain_atoms = stress = False
    beside = Beside()
    prior_calls = 0

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

    def begin(self, fmax: float, fresh: bool) -> None:
        """Do nothing: a cheap surface is of atoms."""

    def know(self) -> None:
        """Do nothing: nothing is known of the Hessian of the rows."""

    def evaluate(self) -> Evaluation:
        """Return energy, forces and stress of the rows.

        Raises
        ------
        ValueError
            They are not the numbers they should be.
        """
        try:
            evaluation = self.coordinates.evaluate()
        finally:
            self._check_forces()
        self._note()  # a band may turn its images when it is asked for forces
        return evaluation

    def _check_forces(self) -> None:
        """Raise ValueError for forces of a wrong shape, which filters flatten, or stumble over."""
        for atoms in self.images:
            given = getattr(getattr(atoms, "calc", None), "results", {}).get("forces")
            if given is not None:
                numbers("forces", given, (len(atoms), 3))

    def again(self, good: Snapshot) -> Evaluation:
        """Return what was computed for the place where this still is."""
        return Evaluation(good.value.copy(), good.forces.copy(), good.stresses.copy())

    def to_plain(self) -> dict[str, np.ndarray]:
        """Return the reference cell of a filter, which a restart needs to see the same coordinates."""
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


def check_relaxable(thing: Any) -> None:
    """Raise TypeError if ``thing`` is neither ``Atoms`` nor another ASE object that can be relaxed."""
    if isinstance(thing, type) or not hasattr(thing, "__ase_optimizable__"):
        kind = f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"
        several = "; relax_many relaxes several structures" if isinstance(thing, list | tuple) else ""
        raise TypeError(f"expected ase.Atoms or an ASE filter, not {kind}{several}")


def in_place(
    atoms: Any, freedom: CellFreedom | None, scale: StepScale, keep_symmetry: bool, symprec: float
) -> AtomsStructure | AseStructure:
    """Return what is relaxed in place; see :func:`~relax.engine.arrays.prepare` for the parameters.

    Raises
    ------
    TypeError
        ``atoms`` is nothing that can be relaxed.
    ValueError
        There are no atoms; a cell or a symmetry is asked for that the structure does not have.
    """
    check_relaxable(atoms)
    plain = isinstance(atoms, Atoms)
    if not plain and (freedom is not None or keep_symmetry):
        kind = type(atoms).__name__
        raise ValueError(f"cell= and symmetry='keep' are for plain Atoms, not for a {kind}")
    images = [atoms] if plain else images_of(atoms.__ase_optimizable__())
    if (images and len(images[0]) == 0) or (not plain and atoms.__ase_optimizable__().ndofs() == 0):
        raise ValueError("there are no atoms to relax")
    if not plain:
        return AseStructure(atoms)
    start = prepare(0, atoms, freedom, scale, keep_symmetry, symprec)
    log_vacuum(atoms, freedom)
    return AtomsStructure(start)
