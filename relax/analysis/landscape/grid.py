"""Energies of many structures that do not relax, such as the points of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from ase import Atoms

from relax.analysis.landscape.planes import Plane
from relax.calculators.base import KEYS, Geometry, Potential
from relax.calculators.batch_size import PROBED
from relax.core.errors import UnsupportedStructure
from relax.engine.batch.calls import BatchCalls
from relax.geometry.sanity import Integrity, Shape

__all__ = ["HALF", "energies", "grid_axes", "overlap_limit"]

HALF = 0.5
"""The shorter side of a grid, over the longer one, is not below this."""

MOST = 1024
"""Structures that a potential knows at a time."""

Point = tuple[float, str]
"""The energy of a structure, eV, and in words why there is none, which is then infinite."""


def grid_axes(
    plane: Plane, rows: np.ndarray, points: int, margin: float, reach: float
) -> tuple[np.ndarray, ...]:
    """Return the coordinates, (n,) and (n,), A, of a grid around the projections of rows.

    Parameters
    ----------
    plane
        The plane.
    rows
        Rows (F, R, 3), A.
    points
        Number n of points along each axis.
    margin
        Room on each side, over the extent of the projections.
    reach
        Least half of a side, A.
    """
    on_plane, _ = plane.project(rows)
    low, high = on_plane.min(axis=0), on_plane.max(axis=0)
    half = np.maximum((0.5 + margin) * (high - low), reach)
    half = np.maximum(half, HALF * half.max())
    middle = 0.5 * (low + high)
    return tuple(np.linspace(m - h, m + h, points) for m, h in zip(middle, half, strict=True))


def overlap_limit(structures: Iterable[Atoms]) -> float:
    """Return the distance, over the sum of the covalent radii, below which atoms overlap on a grid.

    That is where a relaxation counts as collapsed, or half of the shortest distance in one of ``structures``.
    """
    shortest = min((Shape.of(atoms).shortest for atoms in structures), default=math.inf)
    return min(Integrity.SHORTEST, 0.5 * shortest)


def energies(
    structures: Iterable[Atoms], potential: Potential, budget: float | None = None, overlap: float = 0.0
) -> Iterator[Point]:
    """Yield the energy of each structure, in their order.

    As many are evaluated at once as the potential is fastest with.  Those of which it has no finite energy
    have an infinite one.

    Parameters
    ----------
    structures
        The structures.
    potential
        What computes.
    budget
        Its size of a call, in its unit; found out, if None.
    overlap
        Structures with atoms nearer than this, over the sum of their covalent radii, are not evaluated: there
        the energy of a fitted potential means nothing.
    """
    window = _Window(potential, budget)
    for atoms in structures:
        window.add(atoms, overlap)
        if window.full:
            yield from window.evaluated()
    yield from window.evaluated()


class _Window:
    """Structures that a potential knows together.

    Parameters
    ----------
    potential, budget
        As in :func:`energies`.
    """

    def __init__(self, potential: Potential, budget: float | None) -> None:
        self.potential, self.calls = potential, BatchCalls(potential, budget)
        self._clear()

    def _clear(self) -> None:
        self.points: list[Point] = []
        self.admitted: list[tuple[int, int, Atoms, float]] = []  # place, key, structure, size

    @property
    def full(self) -> bool:
        """Whether it is time to evaluate them."""
        budget, count = self.calls.budget, len(self.admitted)
        if not self.potential.batched:
            return count > 0
        filled = sum(size for *_, size in self.admitted)
        return filled >= budget.room or (budget.to_probe and count >= PROBED) or len(self.points) >= MOST

    def add(self, atoms: Atoms, overlap: float) -> None:
        """Add a structure; it is evaluated unless its atoms overlap or the potential does not know it."""
        self.points.append((math.inf, "atoms overlap"))
        if overlap and _overlaps(atoms, overlap):
            return
        key = next(KEYS)
        try:
            size = self.potential.admit(key, atoms)
        except UnsupportedStructure as error:
            self.points[-1] = math.inf, str(error)
        else:
            self.admitted.append((len(self.points) - 1, key, atoms, size))

    def evaluated(self) -> list[Point]:
        """Return the energies of the structures, and begin anew."""
        places, keys, structures, sizes = zip(*self.admitted, strict=True) if self.admitted else ([],) * 4
        try:
            if keys:
                found = self.calls.ask(_geometry(structures, keys), np.array(sizes))
                for s, place in enumerate(places):
                    energy = float(found.energies[s])
                    why = found.faults.get(s, "" if math.isfinite(energy) else "the energy is not finite")
                    self.points[place] = (math.inf if why else energy), why
        finally:
            for key in keys:
                self.potential.release(key)
            points = self.points
            self._clear()
        return points


def _overlaps(atoms: Atoms, limit: float) -> bool:
    shape = Shape.of(atoms)
    return shape.crushed or shape.shortest < limit


def _geometry(structures: Sequence[Atoms], keys: Sequence[int]) -> Geometry:
    return Geometry(
        tuple(keys),
        np.array([len(atoms) for atoms in structures]),
        np.concatenate([atoms.numbers for atoms in structures]),
        np.concatenate([atoms.positions for atoms in structures]),
        np.stack([atoms.cell.array for atoms in structures]),
        np.stack([atoms.pbc for atoms in structures]),
    )
