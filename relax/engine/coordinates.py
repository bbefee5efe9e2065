"""Structures as the rows of one batch: atoms in the frame of a reference cell, and strains.

The coordinates of each structure are those of :class:`relax.optimizers.crystal.Crystal`, and where its
cell is held, those of its atoms as they are; here for all structures at once, and without ASE.  Sums over
three components are written out, so that what happens to a structure does not depend, to the last
bit, on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.core.errors import UnsupportedStructure
from relax.core.ragged import RaggedArrays
from relax.core.segments import Segments
from relax.geometry.cell import GPA, CellFreedom, deformation, logarithm, periodic_plane, strain_gradient
from relax.geometry.constraints import constraint_projectors
from relax.geometry.sanity import Shape
from relax.geometry.symmetry import SpaceGroup
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Batch", "Gradients", "Place", "Start"]


@dataclass
class Start:
    """A structure on its way into a batch.

    Parameters
    ----------
    key
        Its name, that no other structure has.
    atoms
        The structure, rattled and snapped to its symmetry if that is wanted.
    freedom
        What the cell may do, its ``length`` given; None where it is held.
    group
        The space group that is kept, if any.
    reference
        The reference cell (3, 3), A, if it is not the present one.

    Raises
    ------
    UnsupportedStructure
        It has a constraint that a batch does not honour, or the cell that is to relax is no cell.
    """

    key: int
    atoms: Atoms
    freedom: CellFreedom | None = None
    group: SpaceGroup | None = None
    reference: np.ndarray | None = None
    kept: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        if self.freedom is not None:
            if not self.atoms.pbc.any():
                raise UnsupportedStructure("a cell is to relax, but the atoms are not periodic")
            if not np.isfinite(self.atoms.cell.array).all() or self.atoms.cell.volume < 1e-6:
                raise UnsupportedStructure("the cell that is to relax needs three vectors with a volume")
        self.kept = constraint_projectors(self.atoms, self.freedom is not None)

    @property
    def strain(self) -> np.ndarray:
        """The log strain (3, 3) of the cell on top of its reference."""
        if self.reference is None:
            return np.zeros((3, 3))
        return logarithm(np.linalg.solve(self.reference, self.atoms.cell.array).T)


@dataclass
class Place(RaggedArrays):
    """Where structures are: N atoms and S strains in the frames of S reference cells."""

    OF_ATOMS: ClassVar[tuple[str, ...]] = ("x",)

    x: np.ndarray  # (N, 3) A, positions in the frame of the reference cell
    strain: np.ndarray  # (S, 3, 3) log strain
    reference: np.ndarray  # (S, 3, 3) A


@dataclass
class Fixed(RaggedArrays):
    """What does not change while a structure is in the batch."""

    OF_ATOMS = ("numbers", "force_kept", "step_kept")

    numbers: np.ndarray  # (N,)
    force_kept: np.ndarray  # (N, 3, 3)
    step_kept: np.ndarray  # (N, 3, 3)
    keys: np.ndarray  # (S,)
    lengths: np.ndarray  # (S,) atoms
    pbc: np.ndarray  # (S, 3)
    relaxes: np.ndarray  # (S,) whether the cell does
    scale: np.ndarray  # (S, 1, 1) A, what a strain of one counts as
    pressure: np.ndarray  # (S,) eV/A^3
    limit: np.ndarray  # (S,) largest strain of a step
    rebase: np.ndarray  # (S,) strain at which the reference is changed


@dataclass
class Gradients:
    """The gradient of a batch in its own rows, and what convergence is judged by."""

    g: np.ndarray  # (R, 3) eV/A
    fmax: np.ndarray  # (S,) longest force on an atom, eV/A
    smax: np.ndarray  # (S,) largest component of the residual stress, GPa; NaN where the cell is held
    implied: np.ndarray  # (S,) longest row of the residual stress times the volume of an atom, eV


class Batch:
    """The structures that are relaxed together.

    Parameters
    ----------
    starts
        The structures, at least one.
    """

    deformed: np.ndarray  # (S, 3, 3) exp of the strain
    undone: np.ndarray  # (S, 3, 3) its inverse

    def __init__(self, starts: Sequence[Start]) -> None:
        atoms = [start.atoms for start in starts]
        freedoms = [start.freedom for start in starts]
        self.place = Place(
            np.concatenate([a.positions for a in atoms]),
            np.stack([start.strain for start in starts]),
            np.stack([s.atoms.cell.array if s.reference is None else s.reference for s in starts]),
        )
        self.fixed = Fixed(
            numbers=np.concatenate([a.numbers for a in atoms]),
            force_kept=np.concatenate([start.kept[0] for start in starts]),
            step_kept=np.concatenate([start.kept[1] for start in starts]),
            keys=np.array([start.key for start in starts]),
            lengths=np.array([len(a) for a in atoms]),
            pbc=np.stack([a.pbc for a in atoms]),
            relaxes=np.array([f is not None for f in freedoms]),
            scale=np.array([(f and f.length) or 1.0 for f in freedoms])[:, None, None],
            pressure=np.array([f.pressure * GPA if f else 0.0 for f in freedoms]),
            limit=np.array([f.max_strain if f else np.inf for f in freedoms]),
            rebase=np.array([f.rebase if f else np.inf for f in freedoms]),
        )
        self.starts = list(starts)
        self._deform()
        strained = np.asarray(self.place.strain.any(axis=(1, 2)))[self.owner]
        inner = np.swapaxes(self.undone, 1, 2)[self.owner]
        self.place.x = np.where(strained[:, None], times(self.place.x, inner), self.place.x)
        self.free = np.zeros((len(atoms), 9, 9))
        self._refer(np.arange(len(atoms)))

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, keep: np.ndarray) -> None:
        """Keep the structures that the mask ``keep`` (S,) names, which are not none."""
        atoms = keep[self.owner]
        self.place.take(atoms, keep)
        self.fixed.take(atoms, keep)
        self.starts = [start for start, stays in zip(self.starts, keep, strict=True) if stays]
        self.free, self.deformed, self.undone = self.free[keep], self.deformed[keep], self.undone[keep]
        self._forget()

    def extend(self, others: Batch) -> None:
        """Add the structures of ``others`` after those that are here."""
        self.place.extend(others.place)
        self.fixed.extend(others.fixed)
        self.starts += others.starts
        for name in ("free", "deformed", "undone"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(others, name)]))
        self._forget()

    def _forget(self) -> None:
        for name in ("owner", "firsts", "seg", "rows", "strained", "_constrained", "_grouped"):
            self.__dict__.pop(name, None)
        self._went()

    def _went(self) -> None:
        """Forget where the atoms were."""
        for name in ("cells", "volumes", "positions"):
            self.__dict__.pop(name, None)

    @cached_property
    def owner(self) -> np.ndarray:
        """Structure that each atom belongs to, (N,)."""
        return np.repeat(np.arange(len(self)), self.fixed.lengths)

    @cached_property
    def firsts(self) -> np.ndarray:
        """First atom of each structure, (S,)."""
        return np.concatenate([[0], np.cumsum(self.fixed.lengths)[:-1]])

    @cached_property
    def seg(self) -> Segments:
        """The rows of the structures: atoms and, where the cell relaxes, its strain."""
        relaxes = self.fixed.relaxes
        return Segments((self.fixed.lengths + 3 * relaxes).tolist(), relaxes.tolist())

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Where among the rows the atoms (N,) and the strains (3T,) are."""
        of_strain = np.zeros(self.seg.rows, bool)
        if self.seg.ends is not None:
            of_strain[self.seg.ends[:, None] - [3, 2, 1]] = True
        return np.flatnonzero(~of_strain), np.flatnonzero(of_strain)

    @cached_property
    def strained(self) -> bool:
        """Whether any cell relaxes."""
        return bool(self.fixed.relaxes.any())

    @cached_property
    def _constrained(self) -> bool:
        return bool((self.fixed.force_kept != np.eye(3)).any())

    @cached_property
    def _grouped(self) -> list[tuple[int, SpaceGroup]]:
        return [(s, start.group) for s, start in enumerate(self.starts) if start.group is not None]

    def _refer(self, which: np.ndarray) -> None:
        """Learn what is free in the reference cells of the structures ``which`` (indices)."""
        for s in which:
            start = self.starts[s]
            if start.freedom is None:
                continue
            cell = self.place.reference[s]
            symmetry = [] if start.group is None else [start.group.tensors(cell)]
            plane = periodic_plane(cell, self.fixed.pbc[s])
            self.free[s] = start.freedom.projector(plane, *symmetry)

    def _deform(self) -> None:
        self.deformed = deformation(self.place.strain)
        self.undone = np.linalg.inv(self.deformed)
        self._went()

    @cached_property
    def cells(self) -> np.ndarray:
        """The cells (S, 3, 3), A."""
        return np.asarray(self.place.reference @ np.swapaxes(self.deformed, 1, 2))

    @cached_property
    def volumes(self) -> np.ndarray:
        """The volumes of the cells (S,), A^3."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    @cached_property
    def positions(self) -> np.ndarray:
        """The positions of the atoms (N, 3), A."""
        if not self.strained:
            return self.place.x
        return times(self.place.x, np.swapaxes(self.deformed, 1, 2)[self.owner])

    @property
    def x(self) -> np.ndarray:
        """The coordinates (R, 3), A."""
        return self._joined(self.place.x, self.fixed.scale * self.place.strain)

    def slice(self, s: int) -> slice:
        """Where the atoms of structure ``s`` are among the atoms."""
        first = int(self.firsts[s])
        return slice(first, first + int(self.fixed.lengths[s]))

    def shape(self, s: int) -> Shape:
        """Return the shape of structure ``s`` as it is."""
        mine, fixed = self.slice(s), self.fixed
        deformed = self.deformed[s].T
        cell = self.place.reference[s] @ deformed
        return Shape(fixed.numbers[mine], self.place.x[mine] @ deformed, cell, fixed.pbc[s])

    def atoms(self, s: int) -> Atoms:
        """Return structure ``s`` as it is."""
        mine, place = self.slice(s), self.place
        deformed = self.deformed[s].T
        atoms: Atoms = self.starts[s].atoms.copy()
        atoms.set_cell(place.reference[s] @ deformed, apply_constraint=False)
        atoms.set_positions(place.x[mine] @ deformed, apply_constraint=False)
        return atoms

    def geometry(self) -> Geometry:
        """Where the atoms are, for a potential."""
        fixed = self.fixed
        keys = tuple(fixed.keys.tolist())
        return Geometry(keys, fixed.lengths, fixed.numbers, self.positions, self.cells, fixed.pbc)

    def metric(self, stiffness: PairStiffness, which: Sequence[int] | None = None) -> PairHessian:
        """Return how stiff the rows of the structures ``which``, or of all, are where they are now."""
        fixed, positions, cells = self.fixed, self.positions, self.cells
        bodies = []
        for s in range(len(self)) if which is None else which:
            mine = self.slice(s)
            scale = float(fixed.scale[s, 0, 0]) if fixed.relaxes[s] else None
            kept = fixed.step_kept[mine] if self._constrained else None
            numbers, pbc = fixed.numbers[mine], fixed.pbc[s]
            bodies.append(spring_network(numbers, positions[mine], cells[s], pbc, stiffness, scale, kept))
        return PairHessian(bodies, stiffness)

    def values(self, answer: Evaluation) -> np.ndarray:
        """Return energies or, under pressure, enthalpies (S,), eV."""
        pressure = self.fixed.pressure
        return np.asarray(answer.energies + pressure * self.volumes if pressure.any() else answer.energies)

    def slopes(self, forces: np.ndarray, stresses: np.ndarray) -> Gradients:
        """Return the gradient that forces (N, 3), eV/A, and stresses (S, 3, 3), eV/A^3, make."""
        relaxes, natoms = self.fixed.relaxes, self.fixed.lengths
        if self._constrained:
            forces = times(forces, self.fixed.force_kept)
        if not self.strained:
            g = self._kept(-forces)
            unknown = np.full(len(self), np.nan)
            return Gradients(g, self._longest(g), unknown, np.zeros(len(self)))
        volume = np.where(relaxes, self.volumes, 0.0)
        total: np.ndarray = np.where(relaxes[:, None, None], stresses, 0.0)
        total = total + self.fixed.pressure[:, None, None] * np.eye(3)
        g_strain = strain_gradient(self.place.strain, self.deformed, volume[:, None, None] * total)
        g = self._kept(self._joined(-times(forces, self.deformed[self.owner]), g_strain / self.fixed.scale))
        actual = times(g[self.rows[0]], self.undone[self.owner])
        free = self._freed(total)
        return Gradients(
            g,
            self._longest(actual),
            np.where(relaxes, np.abs(free).max(axis=(1, 2)) / GPA, np.nan),
            np.sqrt((free * free).sum(axis=2).max(axis=1)) * volume / natoms,
        )

    def _longest(self, rows: np.ndarray) -> np.ndarray:
        """Return the length (S,) of the longest among the rows of the atoms (N, 3) of each structure."""
        return np.asarray(np.sqrt(np.maximum.reduceat((rows * rows).sum(axis=1), self.firsts)))

    def allow(self, step: np.ndarray) -> np.ndarray:
        """Return the part of a step (R, 3) that symmetry, freedom and the limit on strain leave."""
        step, of_strain = self._kept(step), self.rows[1]
        if not len(of_strain):
            return step
        relaxes = self.fixed.relaxes
        tensors = step[of_strain].reshape(-1, 3, 3) / self.fixed.scale[relaxes]
        strain = np.linalg.norm(tensors, 2, axis=(1, 2))
        limit = self.fixed.limit[relaxes]
        factor = np.ones(len(self))
        factor[relaxes] = np.where(strain > limit, limit / np.where(strain > 0, strain, 1.0), 1.0)
        return np.asarray(factor[self.seg.owner][:, None] * step)

    def move(self, step: np.ndarray) -> None:
        """Go a step (R, 3), A, as far as constraints let the atoms."""
        of_atoms, of_strain = self.rows
        relaxes, place = self.fixed.relaxes, self.place
        if len(of_strain):
            scale = self.fixed.scale[relaxes]
            moved = scale * place.strain[relaxes] + step[of_strain].reshape(-1, 3, 3)
            place.strain[relaxes] = moved / scale
            self._deform()
        dx = step[of_atoms]
        if self._constrained:
            actual = times(dx, np.swapaxes(self.deformed, 1, 2)[self.owner])
            actual = times(actual, self.fixed.step_kept)
            dx = times(actual, np.swapaxes(self.undone, 1, 2)[self.owner])
        place.x = place.x + dx
        self._went()

    @property
    def far(self) -> np.ndarray:
        """Which strains (S,) call for a new reference cell."""
        return np.asarray(np.abs(self.place.strain).max(axis=(1, 2)) > self.fixed.rebase)

    def rebase(self, which: np.ndarray) -> None:
        """Make the present cells of the structures that the mask ``which`` (S,) names their references."""
        atoms = which[self.owner]
        self.place.x[atoms] = self.positions[atoms]
        self.place.reference[which] = self.cells[which]
        self.place.strain[which] = 0.0
        self._refer(np.flatnonzero(which))
        self._deform()

    def put_back(self, place: Place, which: np.ndarray) -> None:
        """Put the structures that the mask ``which`` (S,) names to where they are in ``place``."""
        other = which & (place.reference != self.place.reference).any(axis=(1, 2))
        self.place.put(place, which[self.owner], which)
        self._refer(np.flatnonzero(other))
        self._deform()

    def _joined(self, of_atoms: np.ndarray, of_strain: np.ndarray) -> np.ndarray:
        """Return rows (R, 3) made of those of atoms (N, 3) and those of tensors (S, 3, 3)."""
        joined = np.empty((self.seg.rows, 3))
        joined[self.rows[0]] = of_atoms
        joined[self.rows[1]] = of_strain[self.fixed.relaxes].reshape(-1, 3)
        return joined

    def _kept(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of a gradient or a step (R, 3) that symmetry and the cells' freedom leave."""
        of_strain = self.rows[1]
        rows = rows.copy()
        for s, group in self._grouped:
            first = self.seg.starts[s]
            mine = slice(first, first + self.fixed.lengths[s])
            rows[mine] = group.of_rows(rows[mine], self.place.reference[s])
        if len(of_strain):
            tensors = np.zeros((len(self), 3, 3))
            tensors[self.fixed.relaxes] = rows[of_strain].reshape(-1, 3, 3)
            rows[of_strain] = self._freed(tensors)[self.fixed.relaxes].reshape(-1, 3)
        return rows

    def _freed(self, tensors: np.ndarray) -> np.ndarray:
        """Return the part of strains or stresses (S, 3, 3) that symmetry and the cells' freedom leave."""
        return np.asarray(self.free @ tensors.reshape(-1, 9, 1)).reshape(-1, 3, 3)


def times(rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return each of ``rows`` (N, 3) times its own matrix (N, 3, 3)."""
    return np.asarray(
        rows[:, 0:1] * matrices[:, 0] + rows[:, 1:2] * matrices[:, 1] + rows[:, 2:3] * matrices[:, 2]
    )
