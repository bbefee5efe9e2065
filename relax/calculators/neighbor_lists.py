"""Pairs of many structures, kept from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from ase import Atoms

from relax.calculators.base import Geometry
from relax.calculators.splitting import finite
from relax.geometry.neighbors import FEW, complete_cell, images, pairs, shift_codes, squares, vectors

__all__ = ["NeighborLists", "Pairs"]


class Pairs(NamedTuple):
    """All pairs of S structures with N atoms in all, ordered by the first atom, each from both sides."""

    first: np.ndarray  # (E,) row of the first atom among the N
    second: np.ndarray  # (E,)
    shifts: np.ndarray  # (E, 3) integers, of the cell of the second atom
    vectors: np.ndarray  # (E, 3) A, from the first atom to the second
    distances: np.ndarray  # (E,) A
    owner: np.ndarray  # (N,) which structure an atom is of
    without: np.ndarray  # (S,) which have no pairs here as they are not finite, or at fault
    faults: dict[int, str]
    """Structures, by their place among the S, with too many pairs to list, and none of them here."""


@dataclass
class _List:
    """The candidates of one structure, and where its atoms were when they were found."""

    pbc: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    complete: bool = False  # whether all pairs there are are candidates
    inverse: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    second: np.ndarray = field(init=False)
    shifts: np.ndarray = field(init=False)
    images: np.ndarray = field(init=False)  # (U, 3) the shifts that there are
    image: np.ndarray = field(init=False)  # (E,) which of them

    def build(self, reach: float) -> None:
        """Find the pairs."""
        self.first, self.second, self.shifts = pairs(self.positions, self.cell, self.pbc, reach)
        self.inverse = np.linalg.inv(complete_cell(self.cell, self.pbc))
        code, codes = shift_codes(self.shifts)
        self.images, self.image = self.shifts, np.arange(len(code))
        if codes < 2**62:
            _, which, self.image = np.unique(code, return_index=True, return_inverse=True)
            self.images = self.shifts[which]


class _Joined(NamedTuple):
    """The lists of several structures, one after the other."""

    keys: tuple[int, ...]
    complete: np.ndarray
    owner: np.ndarray
    starts: np.ndarray
    pbc: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    inverses: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shifts: np.ndarray
    images: np.ndarray
    image: np.ndarray
    image_owner: np.ndarray


class NeighborLists:
    """Pairs of many structures, kept from step to step while no atom has gone far.

    Parameters
    ----------
    reach
        Atoms closer than this are a pair, A.
    skin
        Pairs that are farther apart by up to this are kept in mind, A.

    Notes
    -----
    A list is found anew once it may lack a pair.  With F what the cell was strained by, and u what the atoms
    moved beside it, a pair that was farther apart than ``reach + skin`` still is out of reach while
    sigma_min(F) (reach + skin) - 2 max|u| > reach, where sigma_min(F) >= 1 - ||F - I||.  Of a cluster or
    molecule of a few atoms all pairs are candidates, and its list is found once.
    """

    def __init__(self, reach: float, skin: float = 1.0) -> None:
        self.reach, self.skin = float(reach), float(skin)
        self.rebuilds = 0
        """Lists that were found anew since their structures were added."""
        self._lists: dict[int, _List] = {}
        self._joined: _Joined | None = None

    def add(self, key: int, atoms: Atoms) -> int:
        """Take note of a structure, and return how many pairs it has.

        Raises
        ------
        ValueError
            They cannot be listed, see :func:`pairs`.
        """
        cell = atoms.cell.array * atoms.pbc[:, None]
        kept = _List(atoms.pbc.copy(), atoms.get_positions(), cell)
        kept.complete = len(atoms) <= FEW and not atoms.pbc.any()
        kept.build(math.inf if kept.complete else self.reach + self.skin)
        self._lists[key], self._joined = kept, None
        d = vectors(kept.positions, kept.first, kept.second, kept.shifts, cell)
        return int(np.count_nonzero(squares(d) < self.reach**2))

    def drop(self, key: int) -> None:
        """Forget a structure."""
        del self._lists[key]
        self._joined = None

    def __call__(self, geometry: Geometry) -> Pairs:
        """Return the pairs of structures that were added."""
        kept = self._joined
        if kept is None or kept.keys != geometry.keys:
            kept = self._join(geometry.keys)
        fine = finite(geometry)
        positions = np.where(fine[kept.owner, None], geometry.positions, kept.positions)
        cells = np.where((fine[:, None] & kept.pbc)[:, :, None], geometry.cells, 0.0)
        cells = np.where(fine[:, None, None], cells, kept.cells)
        faults = {}
        stale = np.flatnonzero(self._may_lack(kept, positions, cells))
        for k in stale:
            try:
                self._rebuild(geometry.keys[k], positions[kept.owner == k], cells[k])
            except ValueError as error:
                faults[int(k)] = str(error)
        if len(stale):
            kept = self._join(geometry.keys)
        left_out = ~fine
        left_out[list(faults)] = True
        return self._near(kept, positions, cells, left_out, faults)

    def _may_lack(self, kept: _Joined, positions: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return which structures (S,) may have pairs that are not listed."""
        strain = kept.inverses @ (cells - kept.cells)
        moved = positions - kept.positions - (kept.positions[:, None] @ strain[kept.owner])[:, 0]
        farthest = np.sqrt(np.maximum.reduceat(squares(moved), kept.starts))
        smallest = 1 - np.sqrt((strain * strain).sum(axis=(1, 2)))
        lacks = smallest * (self.reach + self.skin) - 2 * farthest <= self.reach
        return np.asarray(lacks & ~kept.complete)

    def _rebuild(self, key: int, positions: np.ndarray, cell: np.ndarray) -> None:
        fresh = _List(self._lists[key].pbc, positions, cell)
        fresh.build(self.reach + self.skin)
        self._lists[key] = fresh
        self.rebuilds += 1

    def _join(self, keys: tuple[int, ...]) -> _Joined:
        lists = [self._lists[key] for key in keys]
        atoms, count = np.array([len(p.positions) for p in lists]), len(lists)
        starts = np.cumsum(atoms) - atoms
        shifts = np.array([len(p.images) for p in lists])
        offsets = np.cumsum(shifts) - shifts
        self._joined = _Joined(
            keys,
            np.array([p.complete for p in lists]),
            np.repeat(np.arange(count), atoms),
            starts,
            np.array([p.pbc for p in lists]),
            np.concatenate([p.positions for p in lists]),
            np.array([p.cell for p in lists]),
            np.array([p.inverse for p in lists]),
            np.concatenate([p.first + start for p, start in zip(lists, starts, strict=True)]),
            np.concatenate([p.second + start for p, start in zip(lists, starts, strict=True)]),
            np.concatenate([p.shifts for p in lists]),
            np.concatenate([p.images for p in lists]),
            np.concatenate([p.image + offset for p, offset in zip(lists, offsets, strict=True)]),
            np.repeat(np.arange(count), shifts),
        )
        return self._joined

    def _near(
        self,
        kept: _Joined,
        positions: np.ndarray,
        cells: np.ndarray,
        left_out: np.ndarray,
        faults: dict[int, str],
    ) -> Pairs:
        image = images(kept.images, cells[kept.image_owner])
        d = positions.take(kept.second, axis=0) - positions.take(kept.first, axis=0)
        d += image.take(kept.image, axis=0)
        far = squares(d)
        near = far < self.reach**2
        if left_out.any():
            near &= ~left_out[kept.owner[kept.first]]
        rows = np.flatnonzero(near)
        first, second = kept.first.take(rows), kept.second.take(rows)
        return Pairs(
            first,
            second,
            kept.shifts.take(rows, axis=0),
            d.take(rows, axis=0),
            np.sqrt(far.take(rows)),
            kept.owner,
            left_out,
            faults,
        )
