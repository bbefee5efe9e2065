"""Sanity checks of a structure: lost neighbours, overlapping atoms, and changes of the volume."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import get_distances

from relax.core.result import Status
from relax.geometry.neighbors import distances

__all__ = ["NONMETALS", "Integrity", "Shape", "change", "changed_bonds"]

BOND, APART = 1.15, 1.5
"""Distances of atoms with a bond and of those without, over the sum of their covalent radii."""

NONMETALS = frozenset((1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(51, 55), 85, 86))
"""Atomic numbers, with semiconductors."""


def periodic_vectors(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the ``cell`` (3, 3) with zeros for the vectors along which it is not periodic."""
    return np.asarray(cell * pbc[:, None])


class Shape:
    """The distances and the volume of one structure, on which the sanity checks are based.

    Parameters
    ----------
    numbers, positions, cell, pbc
        Atomic numbers (N,), positions (N, 3) and cell (3, 3) in A, and which directions are periodic (3,).
        Copies are kept.
    """

    REACH = 3.0
    """Atoms are neighbours within this many times the sum of their covalent radii."""

    CLOSE = 1.3
    """Distance, over the sum of the covalent radii, that is searched first.  Nearly every atom has a
    neighbour within it, and needs no search up to REACH."""

    TOGETHER = 10_000
    """Most distances that are computed at once for the atoms without a neighbour within CLOSE; with images,
    a distance takes about 1 kB."""

    def __init__(self, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
        self.numbers, self.positions, self.pbc = numbers.copy(), positions.copy(), pbc.copy()
        # The other vectors of the cell have no meaning, and may be zero.
        self.cell = periodic_vectors(cell, pbc)
        self.radii = covalent_radii[numbers]
        self.volume = abs(float(np.linalg.det(cell)))
        self.crushed = self._crushed()
        self.bonded = np.zeros(len(numbers), bool)
        self.shortest, self.closest = 0.0, (0, 0)
        """Shortest distance, over the sum of the covalent radii, and the two atoms.  It is infinite for a
        single atom."""
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
        """Return whether the cell is so small or so flat that atoms overlap with their own images."""
        periodic = self.cell[self.pbc]
        if not len(periodic):
            return False
        lengths = np.linalg.norm(periodic, axis=1)
        if len(periodic) == 3:
            size, room = self.volume, 4 / 3 * np.pi * float((self.radii**3).sum())
        else:  # a slab may have any number of layers, so its area must fit only the largest atom
            area = np.linalg.norm(np.cross(*periodic)) if len(periodic) == 2 else lengths[0]
            size, room = float(area), float(np.max(2 * self.radii)) ** len(periodic)
        return bool((lengths < 0.1).any()) or size < 0.05 * room

    def _measure(self) -> None:
        try:
            first, second, ratios = self._pairs(self.CLOSE)
        except ValueError:  # too many pairs to list: the structure has collapsed, and ``shortest`` stays 0
            return
        self.bonded[first] = True
        self.shortest = float(ratios.min()) if len(ratios) else self._shortest_of_far()
        if len(ratios):
            self.closest = (int(first[ratios.argmin()]), int(second[ratios.argmin()]))

    def _pairs(self, limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pairs closer than ``limit`` times the sum of their radii, and their distances over it."""
        reach = 2 * limit * float(self.radii.max())
        first, second, d = distances(self.positions, self.cell, self.pbc, reach)
        ratios = d / (self.radii[first] + self.radii[second])
        kept = ratios < limit
        return first[kept], second[kept], ratios[kept]

    def pairs_within(self, limit: float) -> set[tuple[int, int]]:
        """Return the pairs of atoms closer than ``limit`` times the sum of their radii, images included."""
        first, second, _ = self._pairs(limit)
        low, high = np.minimum(first, second), np.maximum(first, second)
        return set(zip(low.tolist(), high.tolist(), strict=True))

    def _shortest_of_far(self) -> float:
        limit = 2 * self.CLOSE
        while limit < 20 and (len(self.numbers) > 1 or self.pbc.any()):
            ratios = self._pairs(limit)[2]
            if len(ratios):
                return float(ratios.min())
            limit *= 2
        return float("inf")

    def alone(self) -> np.ndarray:
        """Return which atoms (N,) have no neighbour within REACH."""
        positions, radii = self.positions, self.radii
        lonely = ~self.bonded & (not self.crushed)
        among = np.flatnonzero(lonely)
        nearest_image = np.linalg.norm(self.cell[self.pbc], axis=1).min(initial=np.inf)
        count = max(1, self.TOGETHER // max(1, len(positions)))
        for cut in range(0, len(among), count):
            some = among[cut : cut + count]
            _, d = get_distances(positions[some], positions, cell=self.cell, pbc=self.pbc)
            neighbours = d < self.REACH * (radii[some, None] + radii)
            neighbours[np.arange(len(some)), some] = nearest_image < self.REACH * 2 * radii[some]
            lonely[some] = ~neighbours.any(axis=1)
        return lonely


class Integrity:
    """Sanity checks of a structure against its start.

    A structure has exploded if an atom has lost all neighbours, which are the atoms within
    ``Shape.REACH`` = 3 times the sum of the covalent radii, or if the volume has grown more than ``VOLUME``
    times.  A fragment that leaves as a whole, such as a molecule that desorbs, is not an explosion.

    A structure has collapsed if two atoms are closer than ``SHORTEST`` times the sum of their covalent radii
    and closer than half of the shortest such distance at the start, or if the volume has shrunk more
    than ``VOLUME`` times.
    """

    VOLUME = 5.0
    SHORTEST = 0.4

    SAME_PLACE = 0.01
    """Distance, over the sum of the covalent radii, below which two atoms are at the same place."""

    def __init__(self, atoms: Atoms) -> None:
        self.start = Shape.of(atoms)
        self.was_alone = self.start.alone()
        self.checked = self.start

    def at_start(self) -> tuple[Status, str] | None:
        """Return what is wrong with the first structure, as status and reason; None if nothing is."""
        if self.start.crushed:
            return "collapsed", f"the cell, of {self.start.volume:.3g} A^3, is too small for its atoms"
        if self.start.shortest < self.SAME_PLACE:
            return "collapsed", f"{self._pair(self.start)} are at the same place"
        return None

    def fault(self, now: Shape) -> tuple[Status, str] | None:
        """Return what is wrong with the present structure, as status and reason; None if nothing is."""
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
    """Return the volume ratio, and the shortest distance over the sum of the covalent radii.

    Parameters
    ----------
    first, last
        The first and the last structure of a run.
    known
        A shape that is used again if it is that of ``last``.

    Returns
    -------
    ratio, shortest
        NaN where the structure has no volume or is not finite.
    """
    if not (np.isfinite(last.positions).all() and np.isfinite(last.cell.array).all()):
        return float("nan"), float("nan")
    volume = first.cell.volume
    ratio = float(last.cell.volume / volume) if volume > 1e-6 else float("nan")
    shape = known if known is not None and known.shows(last) else Shape.of(last)
    return ratio, shape.shortest


def changed_bonds(first: Atoms, last: Atoms) -> list[tuple[int, int]]:
    """Return the pairs of atoms that have a bond in one structure, and are far apart in the other.

    Only pairs without a metal count: neighbours in a metal are not bonds, and change as it relaxes.  A bond
    is shorter than :data:`BOND` times the sum of the covalent radii, far is more than :data:`APART` times
    that: a vibration, or a crystal that relaxes, changes none.
    """
    shapes = Shape.of(first), Shape.of(last)
    bonds, near = ([shape.pairs_within(limit) for shape in shapes] for limit in (BOND, APART))
    changed = (bonds[0] - near[1]) | (bonds[1] - near[0])
    return sorted(pair for pair in changed if NONMETALS.issuperset(first.numbers[list(pair)].tolist()))
