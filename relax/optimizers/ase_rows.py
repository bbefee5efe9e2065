"""The rows of an ASE object that is no plain structure: a filter, a band, a dimer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter, OptimizableFilter, StrainFilter, UnitCellFilter
from ase.mep.dimer import DimerOptimizable
from ase.mep.neb import NEBOptimizable
from ase.utils.abc import Optimizable

from relax.calculators.base import Evaluation, numbers, stress_matrix
from relax.core.result import Stop
from relax.core.segments import Segments
from relax.engine.arrays import Gradients, Place
from relax.engine.projection import FreeRows
from relax.geometry.cell import GPA
from relax.geometry.constraints import constraint_projectors
from relax.geometry.displacement import Displacements
from relax.geometry.sanity import Integrity, Shape
from relax.preconditioner.base import Frozen
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["AseRows", "ImageSanity", "check_images", "first_of", "images_of"]


def images_of(optimizable: Any) -> list[Atoms]:
    """Return the structures that an ASE object moves."""
    # An NEB's own iterimages yields copies without their calculators, and only after its first forces.
    neb = getattr(optimizable, "neb", None)
    images = optimizable.iterimages() if neb is None else neb.images
    return [getattr(image, "atoms", image) for image in images]


def check_images(images: list[Atoms]) -> Stop | None:
    """Return what is wrong with structures before anything has moved."""
    for i, atoms in enumerate(images):
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            return "nonfinite", f"a position or the cell of image {i} is not finite"
        if fault := Integrity(atoms).at_start():
            return fault
    return None


def first_of(images: list[Atoms]) -> Atoms:
    """Return the first structure, or one without atoms where there is none."""
    return images[0] if images else Atoms()


@dataclass
class ImagePlace(Place):
    """Where an ASE object is: its rows, and its images to put them back as they were."""

    images: np.ndarray  # (1,) of tuples of positions (n, 3) and cells (3, 3), A


class ImageSanity:
    """The sanity checks of the images of an ASE object.

    Parameters
    ----------
    rows
        The object.
    """

    def __init__(self, rows: AseRows) -> None:
        self.rows, self.checks = rows, [Integrity(atoms) for atoms in rows.images]
        self.since = Displacements.of([check.checked for check in self.checks])
        lengths = [len(atoms) for atoms in rows.images]
        self.owner, self.ends = np.repeat(np.arange(len(lengths)), lengths), np.cumsum(lengths)
        self.firsts = self.ends - lengths

    def moved(self) -> np.ndarray:
        images = self.rows.images
        positions = np.concatenate([atoms.positions for atoms in images])
        cells, pbc = np.stack([a.cell.array for a in images]), np.stack([a.pbc for a in images])
        longest = self.since.longest(positions, cells, pbc, self.owner, self.firsts)
        return np.array([longest.max()])

    def fault(self, s: int) -> Stop | None:
        for i, (check, atoms) in enumerate(zip(self.checks, self.rows.images, strict=True)):
            if fault := check.fault(Shape.of(atoms)):
                return fault
            self.since.check(i, slice(self.firsts[i], self.ends[i]), check.checked)
        return None


class AseRows:
    """The coordinates of one ASE ``Optimizable``, in its own rows.

    Parameters
    ----------
    optimizable
        The object.
    target
        What it was made of: a filter, a band.
    """

    surfaces = known = ()  # a cheap surface, and what is known, are of atoms

    def __init__(self, optimizable: Optimizable, target: Any) -> None:
        self.optimizable, self.target = optimizable, target
        # Bands and dimers have a memory of their own: the same place need not have the same gradient.
        self.plain = isinstance(optimizable, OptimizableFilter)
        # The energy of a band is that of one image, and a search for a saddle goes uphill.
        self.conservative = not isinstance(optimizable, NEBOptimizable | DimerOptimizable)
        self.ndofs = int(optimizable.ndofs())
        self.seg = Segments([max(-(-self.ndofs // 3), 1)])  # the last row may be filled up with zeros
        self.relaxes = np.array([isinstance(target, UnitCellFilter | StrainFilter)])
        self.far = np.zeros(1, bool)
        self.firsts, self.owner = np.zeros(1, int), np.zeros(self.seg.rows, int)
        self.rows = np.arange(self.seg.rows), np.zeros(0, int)

    def __len__(self) -> int:
        return 1

    @property
    def images(self) -> list[Atoms]:
        """The structures that move."""
        return images_of(self.optimizable)

    @property
    def natoms(self) -> np.ndarray:
        return np.array([max(len(first_of(self.images)), 1)])

    def in_rows(self, values: np.ndarray) -> np.ndarray:
        """Return ``values`` of the object, one for each degree of freedom, as rows (R, 3)."""
        missing = 3 * self.seg.rows - self.ndofs
        return np.pad(np.ravel(values), (0, missing)).reshape(-1, 3)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the numbers that :meth:`in_rows` made rows of."""
        return np.ravel(rows)[: self.ndofs]

    @property
    def x(self) -> np.ndarray:
        return self.in_rows(self.optimizable.get_x())

    @property
    def place(self) -> Place:
        images = np.empty(1, object)
        images[0] = [(atoms.positions.copy(), atoms.cell.array.copy()) for atoms in self.images]
        return ImagePlace(self.x, np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), images)

    def slice(self, s: int) -> slice:
        return slice(0, self.seg.rows)

    def is_held(self, s: int) -> bool:
        return False

    def atoms(self, s: int) -> Atoms:
        copy: Atoms = self.images[s].copy()
        return copy

    def evaluate(self) -> Evaluation:
        """Return the energy, minus the gradient as the forces (R, 3), and the stress where it is known.

        Raises
        ------
        ValueError
            The forces or the energy are not the numbers they should be.
        """
        g = numbers("forces", self.optimizable.get_gradient(), (self.ndofs,))
        energy = numbers("energy", self.optimizable.get_value(), (1,))
        known, own = getattr(first_of(self.images).calc, "results", {}), getattr(self.target, "stress", None)
        if isinstance(self.target, StrainFilter) and "stress" in known:
            own = known["stress"] * self.target.mask
        stress = stress_matrix(known.get("stress") if own is None else own)
        return Evaluation(energy, self.in_rows(-g), stress[None])

    def values(self, evaluation: Evaluation) -> np.ndarray:
        return evaluation.energies

    def gradients(self, forces: np.ndarray, stresses: np.ndarray) -> Gradients:
        known = first_of(self.images).pbc.any() and np.isfinite(stresses).all()
        smax = float(np.abs(stresses).max()) / GPA if known else np.nan
        fmax = float(self.optimizable.gradient_norm(self.of_rows(-forces)))
        return Gradients(-forces, np.array([fmax]), np.array([smax]), np.zeros(1))

    def without_drift(self, g: np.ndarray, fmax: float) -> np.ndarray:
        """Return the gradient: what moves all rows alike may be more than a motion of the whole."""
        return g

    def limit(self, step: np.ndarray) -> np.ndarray:
        """Return what a filter of a cell lets the cell do: it hides the rest from the gradient alone."""
        target = self.target
        if not isinstance(target, UnitCellFilter):
            return step
        step = step.copy()
        if target.hydrostatic_strain:
            step[-3:] = np.eye(3) * step[-3:].trace() / 3
        if target.constant_volume:
            step[-3:] += self._to_volume(target, step[-3:])
        return step

    def _to_volume(self, target: UnitCellFilter, rows: np.ndarray) -> np.ndarray:
        """Return the rows (3, 3) that keep the volume, added to a step ``rows`` of the cell."""
        if isinstance(target, FrechetCellFilter):
            return np.eye(3) * (-float(rows.trace()) / 3)  # of a logarithm
        now = target.deform_grad()
        there = now + rows / target.cell_factor
        ratio = np.linalg.det(now) / np.linalg.det(there)
        return np.asarray(target.cell_factor * (np.cbrt(ratio) - 1) * there)

    def move(self, step: np.ndarray) -> None:
        self.optimizable.set_x(self.of_rows(self.x + step))

    def rebase(self, which: np.ndarray) -> None:
        """Do nothing: there is no reference cell."""

    def put_back(self, place: Place, which: np.ndarray) -> None:
        assert isinstance(place, ImagePlace)
        if not which[0]:
            return
        if not self.images:
            self.optimizable.set_x(self.of_rows(place.x))
        for atoms, (positions, cell) in zip(self.images, place.images[0], strict=True):
            if not np.array_equal(atoms.cell.array, cell):
                atoms.set_cell(cell, apply_constraint=False)
            atoms.set_positions(positions, apply_constraint=False)

    def metric(
        self, stiffness: PairStiffness, which: Sequence[int] | None = None, g: np.ndarray | None = None
    ) -> Frozen | None:
        """Return how stiff the rows of a filter of a cell are; None where nothing is known of the rows."""
        target = self.target
        if not isinstance(target, UnitCellFilter):
            return None
        scale = target.exp_cell_factor if isinstance(target, FrechetCellFilter) else target.cell_factor
        atoms, projectors = target.atoms, constraint_projectors(target.atoms, True)
        left = None if projectors is None or not atoms.constraints else projectors[1]
        x = np.concatenate([atoms.positions, np.zeros((3, 3))])
        network = SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, stiffness, scale, left)
        return Frozen(ModelHessian([network], stiffness))

    def free_rows(self, s: int) -> FreeRows:
        atoms = self.images[0]
        projectors = constraint_projectors(atoms, True)
        free = np.tile(np.eye(3), (len(atoms), 1, 1))
        return FreeRows(free if projectors is None else projectors[1], np.eye(9))

    def symmetry(self, s: int, symprec: float) -> None:
        """Return that no symmetry of the rows is known."""

    def rigid_body(self, s: int) -> tuple[np.ndarray, bool]:
        atoms = self.images[0]
        return atoms.positions, not atoms.pbc.any()
