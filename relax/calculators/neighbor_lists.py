"""Neighbour lists of many structures, kept from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from ase import Atoms

from relax.calculators.base import Geometry
from relax.calculators.splitting import finite
from relax.geometry.displacement import displaced, shortest
from relax.geometry.neighbors import FEW, complete_cell, images, pairs, shift_codes, squares, vectors

__all__ = ["NeighborLists", "Pairs"]


class Pairs(NamedTuple):
    """All pairs of S structures with N atoms in all, sorted by the first atom, each in both directions."""

    first: np.ndarray  # (E,) index of the first atom among the N
    second: np.ndarray  # (E,) index of the second atom
    shifts: np.ndarray  # (E, 3) integer cell shifts of the second atom
    vectors: np.ndarray  # (E, 3) A, from the first atom to the second
    distances: np.ndarray  # (E,) A
    owner: np.ndarray  # (N,) index of the structure of each atom
    reverse: np.ndarray  # (E,) index of the same pair in the other direction; (0,) if not asked for
    without: np.ndarray  # (S,) which structures have no pairs here: they are not finite or have a fault
    faults: dict[int, str]
    """Why the pairs of a structure cannot be listed, by its index among the S."""


@dataclass
class _List:
    """The candidate pairs of one structure, and its positions when they were found."""

    pbc: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    complete: bool = False  # whether the candidates are all possible pairs
    inverse: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    second: np.ndarray = field(init=False)
    shifts: np.ndarray = field(init=False)
    images: np.ndarray = field(init=False)  # (U, 3) the distinct shifts
    image: np.ndarray = field(init=False)  # (E,) index of each pair's shift among them
    reverse: np.ndarray = field(init=False)  # (E,) index of each pair in the other direction

    def build(self, reach: float, reverse: bool) -> None:
        """Find the candidates, up to a distance of ``reach``, A, and which is the ``reverse`` of each."""
        self.first, self.second, self.shifts = pairs(self.positions, self.cell, self.pbc, reach)
        self.inverse = np.linalg.inv(complete_cell(self.cell, self.pbc))
        code, codes = shift_codes(self.shifts)
        self.images, self.image = self.shifts, np.arange(len(code))
        if codes < 2**62:
            _, which, self.image = np.unique(code, return_index=True, return_inverse=True)
            self.images = self.shifts[which]
        self.reverse = np.empty(0, int)
        if reverse:
            # Sorted by the two atoms and the shift, either way.
            there = np.lexsort((*self.shifts.T, self.second, self.first))
            back = np.lexsort((*-self.shifts.T, self.first, self.second))
            self.reverse = np.empty_like(there)
            self.reverse[back] = there


class _Joined(NamedTuple):
    """The lists of several structures, concatenated."""

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
    reverse: np.ndarray


class NeighborLists:
    """Neighbour lists of many structures, kept from step to step until an atom has moved too far.

    Parameters
    ----------
    reach
        Cutoff, A.
    skin
        Pairs up to this much beyond the cutoff are kept as candidates, A.
    reverse
        Whether to find of each pair the same in the other direction.

    Notes
    -----
    A list is built again once it may lack a pair, see :func:`~relax.geometry.displacement.shortest`.
    For a cluster or molecule of at most ``FEW`` atoms all pairs are candidates, and its list is built once.
    """

    def __init__(self, reach: float, skin: float = 1.0, reverse: bool = False) -> None:
        self.reach, self.skin, self.reverse = float(reach), float(skin), reverse
        self.rebuilds = 0
        """How many lists were built again after their structures had been added."""
        self._lists: dict[int, _List] = {}
        self._joined: _Joined | None = None

    def add(self, key: int, atoms: Atoms) -> int:
        """Add a structure, and return the number of its pairs.

        Raises
        ------
        ValueError
            The pairs cannot be listed, see :func:`~relax.geometry.neighbors.pairs`.
        """
        cell = atoms.cell.array * atoms.pbc[:, None]
        kept = _List(atoms.pbc.copy(), atoms.get_positions(), cell)
        kept.complete = len(atoms) <= FEW and not atoms.pbc.any()
        kept.build(math.inf if kept.complete else self.reach + self.skin, self.reverse)
        self._lists[key], self._joined = kept, None
        d = vectors(kept.positions, kept.first, kept.second, kept.shifts, cell)
        return int(np.count_nonzero(squares(d) < self.reach**2))

    def drop(self, key: int) -> None:
        """Remove a structure."""
        del self._lists[key]
        self._joined = None

    def __call__(self, geometry: Geometry) -> Pairs:
        """Return the pairs of structures that have been added."""
        kept = self._joined
        if kept is None or kept.keys != geometry.keys:
            kept = self._join(geometry.keys)
        usable = finite(geometry)
        positions = np.where(usable[kept.owner, None], geometry.positions, kept.positions)
        cells = np.where((usable[:, None] & kept.pbc)[:, :, None], geometry.cells, 0.0)
        cells = np.where(usable[:, None, None], cells, kept.cells)
        faults = {}
        stale = np.flatnonzero(self._may_lack(kept, positions, cells))
        for k in stale:
            try:
                self._rebuild(geometry.keys[k], positions[kept.owner == k], cells[k])
            except ValueError as error:
                faults[int(k)] = str(error)
        if len(stale):
            kept = self._join(geometry.keys)
        left_out = ~usable
        left_out[list(faults)] = True
        return self._within_reach(kept, positions, cells, left_out, faults)

    def _may_lack(self, kept: _Joined, positions: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return which structures (S,) may have pairs that are not among the candidates."""
        before = kept.positions, kept.cells, kept.inverses
        nearest = shortest(
            self.reach + self.skin, *displaced(positions, cells, *before, kept.owner, kept.starts)
        )
        return np.asarray((nearest <= self.reach) & ~kept.complete)

    def _rebuild(self, key: int, positions: np.ndarray, cell: np.ndarray) -> None:
        fresh = _List(self._lists[key].pbc, positions, cell)
        fresh.build(self.reach + self.skin, self.reverse)
        self._lists[key] = fresh
        self.rebuilds += 1

    def _join(self, keys: tuple[int, ...]) -> _Joined:
        lists = [self._lists[key] for key in keys]
        atoms, count = np.array([len(p.positions) for p in lists]), len(lists)
        starts = np.cumsum(atoms) - atoms
        shifts = np.array([len(p.images) for p in lists])
        offsets = np.cumsum(shifts) - shifts
        edges = np.array([len(p.first) for p in lists])
        earlier = np.cumsum(edges) - edges
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
            np.concatenate([p.reverse + n for p, n in zip(lists, earlier, strict=True)]),
        )
        return self._joined

    def _within_reach(
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
        d2 = squares(d)
        within = d2 < self.reach**2
        if left_out.any():
            within &= ~left_out[kept.owner[kept.first]]
        rows = np.flatnonzero(within)
        first, second = kept.first.take(rows), kept.second.take(rows)
        place, reverse = np.cumsum(within) - 1, kept.reverse
        if len(reverse):
            reverse = place.take(reverse.take(rows))
        return Pairs(
            first,
            second,
            kept.shifts.take(rows, axis=0),
            d.take(rows, axis=0),
            np.sqrt(d2.take(rows)),
            kept.owner,
            reverse,
            left_out,
            faults,
        )
