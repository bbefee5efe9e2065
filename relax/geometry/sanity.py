"""Whether a structure still hangs together."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import get_distances

from relax.core.result import Status
from relax.geometry.neighbors import distances

__all__ = ["Integrity", "Shape", "change"]


def periodic_vectors(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the ``cell`` (3, 3) with zeros for the vectors along which nothing is repeated."""
    return np.asarray(cell * pbc[:, None])


class Shape:
    """The measures of one structure that verdicts are made of.

    Parameters
    ----------
    numbers, positions, cell, pbc
        Atomic numbers (N,), positions (N, 3) and cell (3, 3) in A, and (3,) along which vectors it is
        repeated; copies are kept.
    """

    REACH = 3.0
    """Atoms are neighbours within this many times the sum of their covalent radii."""

    CLOSE = 1.3  # of the sum of the covalent radii: nearly every atom of nearly every structure

    def __init__(self, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
        self.numbers, self.positions, self.pbc = numbers.copy(), positions.copy(), pbc.copy()
        # The other vectors of the cell are a box to look at: they may be missing, or anything.
        self.cell = periodic_vectors(cell, pbc)
        self.radii = covalent_radii[numbers]
        self.volume = abs(float(np.linalg.det(cell)))
        self.crushed = self._crushed()
        self.bonded = np.zeros(len(numbers), bool)
        self.shortest, self.closest = 0.0, (0, 0)
        """Shortest distance, as a share of the sum of the covalent radii, and between which atoms; infinite
        for one atom alone."""
        if not self.crushed:
            self._measure()

    @classmethod
    def of(cls, atoms: Atoms) -> Shape:
        """Return the shape of ``atoms``."""
        return cls(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)

    def shows(self, atoms: Atoms) -> bool:
        """Whether this is the shape of ``atoms``."""
        same = np.array_equal(self.positions, atoms.positions)
        return same and np.array_equal(self.cell, periodic_vectors(atoms.cell.array, atoms.pbc))

    def _crushed(self) -> bool:
        """Return whether the cell is so small, or so flat, that atoms overlap with their own images."""
        periodic = self.cell[self.pbc]
        if not len(periodic):
            return False
        lengths = np.linalg.norm(periodic, axis=1)
        if len(periodic) == 3:
            size, room = self.volume, 4 / 3 * np.pi * float((self.radii**3).sum())
        else:  # a slab may have any number of layers: one atom is to find room
            area = np.linalg.norm(np.cross(*periodic)) if len(periodic) == 2 else lengths[0]
            size, room = float(area), float(np.max(2 * self.radii)) ** len(periodic)
        return bool((lengths < 0.1).any()) or size < 0.05 * room

    def _measure(self) -> None:
        try:
            first, second, ratios = self._pairs(self.CLOSE)
        except ValueError:  # more pairs than can be listed: it has collapsed
            return
        self.bonded[first] = True
        self.shortest = float(ratios.min()) if len(ratios) else self._shortest_of_far()
        if len(ratios):
            self.closest = (int(first[ratios.argmin()]), int(second[ratios.argmin()]))

    def _pairs(self, near: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pairs closer than ``near`` times the sum of their radii, and what share of it."""
        reach = 2 * near * float(self.radii.max())
        first, second, d = distances(self.positions, self.cell, self.pbc, reach)
        ratios = d / (self.radii[first] + self.radii[second])
        kept = ratios < near
        return first[kept], second[kept], ratios[kept]

    def _shortest_of_far(self) -> float:
        near = 2 * self.CLOSE
        while near < 20 and (len(self.numbers) > 1 or self.pbc.any()):
            ratios = self._pairs(near)[2]
            if len(ratios):
                return float(ratios.min())
            near *= 2
        return float("inf")

    def alone(self) -> np.ndarray:
        """Return which atoms (N,) have no neighbour within reach."""
        positions, radii = self.positions, self.radii
        lonely = ~self.bonded & (not self.crushed)
        for i in np.flatnonzero(lonely):
            _, far = get_distances(positions[i : i + 1], positions, cell=self.cell, pbc=self.pbc)
            near = far[0] < self.REACH * (radii[i] + radii)
            near[i] = bool(self.pbc.any()) and self._sees_itself(self.REACH * 2 * radii[i])
            lonely[i] = not near.any()
        return lonely

    def _sees_itself(self, reach: float) -> bool:
        return bool((np.linalg.norm(self.cell[self.pbc], axis=1) < reach).any())


class Integrity:
    """Whether a structure still hangs together as it did at the start.

    It has flown apart where an atom that had a neighbour within three times the sum of the covalent
    radii has none any more, or where the cell's volume has grown more than ``VOLUME`` times.  A
    fragment that leaves in one piece, as a molecule that desorbs, is no explosion.  It has collapsed
    where two atoms came nearer than ``SHORTEST`` of the sum of their covalent radii, and than half of
    the shortest such distance at the start, or where the volume has shrunk more than ``VOLUME`` times.
    """

    VOLUME = 5.0
    SHORTEST = 0.4
    SAME_PLACE = 0.01

    def __init__(self, atoms: Atoms) -> None:
        self.start = Shape.of(atoms)
        self.was_alone = self.start.alone()
        self.checked = self.start

    BOND = 3.0
    """Distance (A) over which a strain moves neighbours apart."""

    def moved(self, atoms: Atoms) -> float:
        """Return the longest way (A) neighbours can have gone apart since the last check.

        In a large cell a small strain takes atoms far, and their neighbours with them: the way of an atom
        is that within the cell, and a strain counts over the length of a bond.
        """
        before, strained = self.checked, 0.0
        positions, cell = before.positions, periodic_vectors(atoms.cell.array, atoms.pbc)
        if not np.array_equal(before.cell, cell):
            strain = np.linalg.pinv(before.cell) @ (cell - before.cell)
            positions = positions + positions @ strain
            strained = self.BOND * float(np.abs(strain).sum(axis=0).max())
        way = atoms.positions - positions
        return float(np.sqrt(np.max(np.sum(way * way, axis=1)))) + strained

    def at_start(self) -> tuple[Status, str] | None:
        """Return what is wrong with the structure before anything moved: atoms at the same place."""
        if self.start.crushed:
            return "collapsed", f"the cell, of {self.start.volume:.3g} A^3, is too small for its atoms"
        if self.start.shortest < self.SAME_PLACE:
            return "collapsed", f"{self._pair(self.start)} are at the same place"
        return None

    def fault(self, now: Shape) -> tuple[Status, str] | None:
        """Return what is wrong with the structure as it is now; None where it holds together."""
        before = self.start
        if before.volume and not 1 / self.VOLUME < now.volume / before.volume < self.VOLUME:
            words = f"the volume went from {before.volume:.1f} to {now.volume:.1f} A^3"
            return ("exploded" if now.volume > before.volume else "collapsed"), words
        if now.crushed:
            return "collapsed", f"the cell, of {now.volume:.3g} A^3, is too small for its atoms"
        if now.shortest < min(self.SHORTEST, 0.5 * before.shortest):
            words = f"{self._pair(now)} are at {now.shortest:.2f} of the sum of their covalent radii"
            return "collapsed", words
        lost = np.flatnonzero(now.alone() & ~self.was_alone)
        if len(lost):
            i = int(lost[0])
            symbol = chemical_symbols[now.numbers[i]]
            many = f"{len(lost)} of {len(now.numbers)} atoms"
            words = f"{many} lost all neighbours, the first is atom {i} ({symbol})"
            return "exploded", words
        self.checked = now
        return None

    @staticmethod
    def _pair(shape: Shape) -> str:
        names = [f"{i} ({chemical_symbols[shape.numbers[i]]})" for i in shape.closest]
        return f"atoms {names[0]} and {names[1]}"


def change(first: Atoms, last: Atoms, known: Shape | None = None) -> tuple[float, float]:
    """Return the volume ratio, and the shortest distance as a share of the sum of the covalent radii.

    Not a number where there is no volume, or no finite structure.  ``known`` is a shape that may be that
    of the last structure.
    """
    if not (np.isfinite(last.positions).all() and np.isfinite(last.cell.array).all()):
        return float("nan"), float("nan")
    volume = first.cell.volume
    ratio = float(last.cell.volume / volume) if volume > 1e-6 else float("nan")
    shape = known if known is not None and known.shows(last) else Shape.of(last)
    return ratio, shape.shortest
