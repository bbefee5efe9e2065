"""The rows of structures that relax together: which are whose, and how structures come and go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
from ase import Atoms

from relax.core.rule import Known, Surface
from relax.core.segments import Segments, row_times
from relax.engine.arrays import Constants, Place, SeenFrom, Start
from relax.geometry.cell import deformation, periodic_plane
from relax.geometry.constraints import constraint_projectors
from relax.geometry.symmetry import SpaceGroup

__all__ = ["BatchRows"]

T = TypeVar("T")


class BatchRows:
    """The rows of a batch: those of atoms and, where the cell relaxes, three of its strain.

    Parameters
    ----------
    starts
        The structures, at least one.
    """

    deformation: np.ndarray  # (S, 3, 3) exp of the strain
    inverse_deformation: np.ndarray  # (S, 3, 3)

    def __init__(self, starts: Sequence[Start]) -> None:
        cells = [s.atoms.cell.array if s.reference is None else s.reference for s in starts]
        self.place = Place(
            np.concatenate([start.atoms.positions for start in starts]),
            np.stack([start.strain for start in starts]),
            np.stack(cells),
        )
        self.constants = Constants.of(starts)
        self.starts = list(starts)
        # Structures whose constraints ASE itself has to apply, on atoms of their own.
        self.by_ase: list[Atoms | None] = [None] * len(starts)
        self._deform()
        strained = np.asarray(self.place.strain.any(axis=(1, 2)))[self.owner]
        inner = np.swapaxes(self.inverse_deformation, 1, 2)[self.owner[strained]]
        self.place.x[strained] = row_times(self.place.x[strained], inner)
        self.free = np.zeros((len(starts), 9, 9))
        self._refer(np.arange(len(starts)))
        for s, start in enumerate(starts):
            self.constrain(s, start.atoms)

    def __len__(self) -> int:
        return len(self.starts)

    def constrain(self, s: int, atoms: Atoms) -> None:
        """Have structure ``s`` follow the constraints of ``atoms``."""
        fixed, mine = self.constants, self.owner == s
        projectors = constraint_projectors(atoms, bool(fixed.relaxes[s]))
        self.by_ase[s] = None
        if projectors is None:
            self.by_ase[s] = copy = atoms.copy()
            # Not copies of them: some tell afterwards what force they took, or are changed between steps.
            copy.set_constraint(list(atoms.constraints))
        free = np.eye(3)
        fixed.force_projector[mine], fixed.step_projector[mine] = projectors or (free, free)
        for name in ("projects", "unconstrained"):
            self.__dict__.pop(name, None)

    def take(self, keep: np.ndarray) -> None:
        """Keep the structures in the mask ``keep`` (S,), which are not none."""
        atoms = keep[self.owner]
        self.place.take(atoms, keep)
        self.constants.take(atoms, keep)
        self.starts = [start for start, stays in zip(self.starts, keep, strict=True) if stays]
        self.by_ase = [atoms for atoms, stays in zip(self.by_ase, keep, strict=True) if stays]
        for name in ("free", "deformation", "inverse_deformation"):
            setattr(self, name, getattr(self, name)[keep])
        self._forget()

    def extend(self, others: BatchRows) -> None:
        """Add the structures of ``others`` after those that are here."""
        self.place.extend(others.place)
        self.constants.extend(others.constants)
        self.starts += others.starts
        self.by_ase += others.by_ase
        for name in ("free", "deformation", "inverse_deformation"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(others, name)]))
        self._forget()

    def _forget(self) -> None:
        for name in ("owner", "firsts", "seg", "rows", "projects", "unconstrained", "grouped"):
            self.__dict__.pop(name, None)
        self._moved()

    def _moved(self) -> None:
        for name in ("cells", "volumes", "positions"):
            self.__dict__.pop(name, None)

    @cached_property
    def owner(self) -> np.ndarray:
        """Structure that each atom belongs to, (N,)."""
        return np.repeat(np.arange(len(self)), self.constants.lengths)

    @cached_property
    def firsts(self) -> np.ndarray:
        """First atom of each structure, (S,)."""
        return np.concatenate([[0], np.cumsum(self.constants.lengths)[:-1]])

    @cached_property
    def seg(self) -> Segments:
        """The rows of the structures: atoms and, where the cell relaxes, its strain."""
        return Segments(
            (self.constants.lengths + 3 * self.constants.relaxes).tolist(), self.constants.relaxes.tolist()
        )

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Where among the rows the atoms (N,) and the strains (3T,) are."""
        of_strain = np.zeros(self.seg.rows, bool)
        if self.seg.ends is not None:
            of_strain[self.seg.ends[:, None] - [3, 2, 1]] = True
        return np.flatnonzero(~of_strain), np.flatnonzero(of_strain)

    @cached_property
    def projects(self) -> bool:
        """Whether any constraint is a matrix for each atom."""
        return bool((self.constants.force_projector != np.eye(3)).any())

    @cached_property
    def unconstrained(self) -> np.ndarray:
        """Which structures (S,) have no constraint."""
        held = (self.constants.step_projector != np.eye(3)).any(axis=(1, 2))
        by_ase = np.array([atoms is not None for atoms in self.by_ase])
        return np.asarray(~(np.logical_or.reduceat(held, self.firsts) | by_ase))

    @property
    def surfaces(self) -> list[Surface | None]:
        """The cheap surfaces of the structures; an empty list if there is none."""
        return self._seen([start.surface for start in self.starts])

    @property
    def known(self) -> list[Known | None]:
        """What is known of the structures from before the run; an empty list if there is nothing."""
        return self._seen([start.known for start in self.starts])

    def _seen(self, all_of: Sequence[SeenFrom[T] | None]) -> list[T | None]:
        """Return what each structure has, as seen from its reference cell; an empty list if none has any."""
        if all(one is None for one in all_of):
            return []
        places = zip(all_of, self.place.reference, strict=True)
        return [None if one is None else one.seen_from(cell) for one, cell in places]

    @cached_property
    def grouped(self) -> list[tuple[int, SpaceGroup]]:
        """The structures whose space group is kept."""
        return [(s, start.group) for s, start in enumerate(self.starts) if start.group is not None]

    def _refer(self, which: np.ndarray) -> None:
        """Find what is free in the reference cells of the structures ``which`` (indices)."""
        for s in which:
            start, cell = self.starts[s], self.place.reference[s]
            if start.freedom is not None:
                symmetry = [] if start.group is None else [start.group.tensors(cell)]
                plane = periodic_plane(cell, self.constants.pbc[s])
                self.free[s] = start.freedom.projector(plane, *symmetry)

    def _deform(self) -> None:
        self.deformation = deformation(self.place.strain)
        self.inverse_deformation = np.linalg.inv(self.deformation)
        self._moved()

    @cached_property
    def cells(self) -> np.ndarray:
        """The cells (S, 3, 3), A."""
        return np.asarray(self.place.reference @ np.swapaxes(self.deformation, 1, 2))

    @cached_property
    def volumes(self) -> np.ndarray:
        """The volumes of the cells (S,), A^3."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    @cached_property
    def positions(self) -> np.ndarray:
        """The positions of the atoms (N, 3), A."""
        if not self.constants.relaxes.any():
            return self.place.x
        return row_times(self.place.x, np.swapaxes(self.deformation, 1, 2)[self.owner])

    @property
    def x(self) -> np.ndarray:
        """The coordinates (R, 3), A."""
        return self.joined(self.place.x, self.constants.scale * self.place.strain)

    def put(self, x: np.ndarray) -> None:
        """Put the structures to where their rows are ``x`` (R, 3), A."""
        self.place.x = x[self.rows[0]].copy()
        if len(self.rows[1]):
            strain = x[self.rows[1]].reshape(-1, 3, 3)
            self.place.strain[self.constants.relaxes] = strain / self.constants.scale[self.constants.relaxes]
        self._deform()

    def joined(self, of_atoms: np.ndarray, of_strain: np.ndarray) -> np.ndarray:
        """Return rows (R, 3) made of those of atoms (N, 3) and those of tensors (S, 3, 3)."""
        joined = np.empty((self.seg.rows, 3))
        joined[self.rows[0]] = of_atoms
        joined[self.rows[1]] = of_strain[self.constants.relaxes].reshape(-1, 3)
        return joined
