"""Structures as the rows of one batch: atoms in the frame of a reference cell, and the strain of the cell.

The coordinates of a structure whose cell relaxes are those of ASE's ``FrechetCellFilter``, see
:mod:`relax.geometry.cell`; where the cell is held they are the positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.core.segments import row_times
from relax.engine.arrays import Gradients, Place
from relax.engine.batch.rows import BatchRows
from relax.engine.projection import FreeRows, gradients_of, limited, without_drift
from relax.geometry.cell import logarithm
from relax.geometry.constraints import (
    constrained_forces,
    constrained_move,
    constrained_stress,
    constraint_energy,
)
from relax.geometry.sanity import Shape
from relax.geometry.symmetric_images import SymmetricImages
from relax.preconditioner.known_hessian import LAST
from relax.preconditioner.known_metric import KnownMetric
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["BatchCoordinates"]


class BatchCoordinates(BatchRows):
    """The coordinates of structures that relax together; one structure is a batch of one.

    Parameters
    ----------
    starts
        The structures, at least one.
    """

    @property
    def natoms(self) -> np.ndarray:
        return self.constants.lengths

    @property
    def relaxes(self) -> np.ndarray:
        return self.constants.relaxes

    def is_held(self, s: int) -> bool:
        left = np.abs(self.constants.step_projector[self.slice(s)]) > 1e-12
        return not (left.any() or self.free[s].any())

    def slice(self, s: int) -> slice:
        """Where the atoms of structure ``s`` are among the atoms."""
        first = int(self.firsts[s])
        return slice(first, first + int(self.natoms[s]))

    def cell(self, s: int) -> np.ndarray:
        """The cell (3, 3) of structure ``s``, A."""
        return np.asarray(self.place.reference[s] @ self.deformation[s].T)

    def shape(self, s: int) -> Shape:
        """Return the shape of structure ``s`` as it is."""
        mine, fixed = self.slice(s), self.constants
        positions = self.place.x[mine] @ self.deformation[s].T
        return Shape(fixed.numbers[mine], positions, self.cell(s), fixed.pbc[s])

    def write_to(self, atoms: Atoms, s: int) -> None:
        """Put ``atoms``, in place, to where structure ``s`` is; constraints are not asked."""
        cell = self.cell(s)
        if not np.array_equal(atoms.cell.array, cell):
            atoms.set_cell(cell, apply_constraint=False)
        positions = self.place.x[self.slice(s)] @ self.deformation[s].T
        atoms.set_positions(positions, apply_constraint=False)

    def atoms(self, s: int) -> Atoms:
        """Return a copy of structure ``s`` as it is."""
        atoms: Atoms = self.starts[s].atoms.copy()
        self.write_to(atoms, s)
        return atoms

    def read_from(self, atoms: Atoms, s: int) -> None:
        """Put structure ``s`` to where ``atoms`` are."""
        if self.relaxes[s]:
            undeformed = np.linalg.solve(self.place.reference[s], atoms.cell.array).T
            self.place.strain[s] = logarithm(undeformed)
        else:
            self.place.reference[s] = atoms.cell.array
        self._deform()
        self.place.x[self.slice(s)] = atoms.positions @ self.inverse_deformation[s].T
        self._moved()

    def geometry(self) -> Geometry:
        """Where the atoms are, for a potential."""
        fixed = self.constants
        keys = tuple(fixed.keys.tolist())
        return Geometry(keys, fixed.lengths, fixed.numbers, self.positions, self.cells, fixed.pbc)

    def metric(
        self, stiffness: PairStiffness, which: Sequence[int] | None = None, g: np.ndarray | None = None
    ) -> ModelHessian | KnownMetric:
        """Return how stiff the rows of the structures ``which``, or of all, are where they are now.

        Hessians that are known count where the gradient ``g`` (R, 3), eV/A, of all structures is given.
        """
        fixed, x = self.constants, self.x.copy()
        networks = []
        for s in range(len(self)) if which is None else which:
            mine, rows = self.slice(s), self.seg.slice(s)
            scale = float(fixed.scale[s, 0, 0]) if fixed.relaxes[s] else None
            left = fixed.step_projector[mine].copy() if self.projects else None
            numbers, cell, pbc = fixed.numbers[mine], self.place.reference[s].copy(), fixed.pbc[s]
            kept = self.starts[s].pairs if self.starts else None  # states of torch-sim have none
            networks.append(SpringNetwork(numbers, x[rows], cell, pbc, stiffness, scale, left, kept))
        latest = self.starts[0].latest if len(self.starts) == len(self) == 1 else None
        model = ModelHessian(networks, stiffness, latest)
        if g is None or all(start.hessian is None for start in self.starts):
            return model
        return self._known(model, g)

    def _known(self, model: ModelHessian, g: np.ndarray) -> KnownMetric:
        """Return ``model`` with the Hessians that are known; those that are new begin at ``g`` (R, 3)."""
        known = [start.hessian for start in self.starts]
        for s, (network, own) in enumerate(
            zip(model.networks, np.split(g, self.seg.starts[1:]), strict=True)
        ):
            if (hessian := known[s]) is None:
                continue
            if hessian.modes is None:
                hessian.begin(ModelHessian([network], model.stiffness), own)
            hessian.steps += 1
            if hessian.steps >= LAST:
                self.starts[s].hessian = None
        return KnownMetric(model, known)

    def _constrained_by_ase(self) -> Iterator[tuple[int, Atoms]]:
        """Yield the structures whose constraints ASE applies, as atoms in their present place."""
        for s, atoms in enumerate(self.by_ase):
            if atoms is not None:
                self.write_to(atoms, s)
                yield s, atoms

    def constrained(self, forces: np.ndarray, stresses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what constraints leave of forces (N, 3), eV/A, and stresses (S, 3, 3), eV/A^3."""
        if self.projects:
            forces = row_times(forces, self.constants.force_projector)
        for s, atoms in self._constrained_by_ase():
            forces, stresses = forces.copy(), stresses.copy()
            forces[self.slice(s)] = constrained_forces(atoms, forces[self.slice(s)])
            if np.isfinite(stresses[s]).all():
                stresses[s] = constrained_stress(atoms, stresses[s])
        return forces, stresses

    def values(self, evaluation: Evaluation) -> np.ndarray:
        """Return energies or, under pressure, enthalpies (S,), eV, those of constraints included."""
        pressure, values = self.constants.pressure, np.asarray(evaluation.energies)
        if pressure.any():
            values = values + pressure * self.volumes
        for s, atoms in self._constrained_by_ase():
            values = values.copy()
            values[s] += constraint_energy(atoms)
        return values

    def energies(self, values: np.ndarray) -> np.ndarray:
        """Return the energies of the potential (S,), eV, that make the ``values`` (S,)."""
        pressure = self.constants.pressure
        if pressure.any():
            values = values - pressure * self.volumes
        for s, atoms in self._constrained_by_ase():
            values = values.copy()
            values[s] -= constraint_energy(atoms)
        return values

    def gradients(self, forces: np.ndarray, stresses: np.ndarray) -> Gradients:
        """Return the gradient that forces (N, 3), eV/A, and stresses (S, 3, 3), eV/A^3, make."""
        return gradients_of(self, forces, stresses)

    def without_drift(self, g: np.ndarray, fmax: float) -> np.ndarray:
        """Return a gradient (R, 3), eV/A, without what moves structures as a whole, if that is below fmax."""
        return without_drift(self, g, fmax)

    def limit(self, step: np.ndarray) -> np.ndarray:
        """Return the part of a step (R, 3) that symmetry, freedom and the limit on strain leave."""
        return limited(self, step)

    def move(self, step: np.ndarray) -> None:
        """Go a step (R, 3), A, as far as constraints let the atoms."""
        of_atoms, of_strain = self.rows
        relaxes, place = self.relaxes, self.place
        by_ase = list(self._constrained_by_ase())
        if len(of_strain):
            scale = self.constants.scale[relaxes]
            moved = scale * place.strain[relaxes] + step[of_strain].reshape(-1, 3, 3)
            place.strain[relaxes] = moved / scale
            self._deform()
        dx = step[of_atoms]
        if self.projects:
            actual = row_times(dx, np.swapaxes(self.deformation, 1, 2)[self.owner])
            actual = row_times(actual, self.constants.step_projector)
            dx = row_times(actual, np.swapaxes(self.inverse_deformation, 1, 2)[self.owner])
        place.x = place.x + dx
        self._moved()
        for s, atoms in by_ase:
            positions = place.x[self.slice(s)] @ self.deformation[s].T
            constrained_move(atoms, positions, self.cell(s) if relaxes[s] else None)
            if not (np.array_equal(atoms.positions, positions) and np.array_equal(atoms.cell, self.cell(s))):
                self.read_from(atoms, s)

    @property
    def far(self) -> np.ndarray:
        """Which strains (S,) call for a new reference cell."""
        return np.asarray(np.abs(self.place.strain).max(axis=(1, 2)) > self.constants.rebase)

    def rebase(self, which: np.ndarray) -> None:
        """Make the present cells of the structures in the mask ``which`` (S,) their references."""
        atoms = which[self.owner]
        self.place.x[atoms] = self.positions[atoms]
        self.place.reference[which] = self.cells[which]
        self.place.strain[which] = 0.0
        for start in compress(self.starts, which):
            start.hessian = None  # it is of another frame, and of a cell that is far
        self._refer(np.flatnonzero(which))
        self._deform()

    def put_back(self, place: Place, which: np.ndarray) -> None:
        """Put the structures in the mask ``which`` (S,) to where they are in ``place``."""
        other = which & (place.reference != self.place.reference).any(axis=(1, 2))
        self.place.put(place, which[self.owner], which)
        self._refer(np.flatnonzero(other))
        self._deform()

    def free_rows(self, s: int) -> FreeRows:
        """Return the projection on what structure ``s`` may move."""
        projector = self.constants.step_projector[self.slice(s)].copy()
        return FreeRows(projector, self.free[s].copy(), self.starts[s].group, self.place.reference[s].copy())

    def symmetry(self, s: int, symprec: float) -> SymmetricImages | None:
        """Return the symmetry of structure ``s`` within ``symprec``, A; None where there is none."""
        if not self.unconstrained[s]:
            return None
        return SymmetricImages.of(self.atoms(s), self.place.reference[s], self.free[s], symprec)

    def rigid_body(self, s: int) -> tuple[np.ndarray, bool]:
        """Return the positions (n, 3) of structure ``s``, A, and whether it may turn as a whole."""
        return self.positions[self.slice(s)], not self.constants.pbc[s].any()
