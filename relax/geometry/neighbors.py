"""Pairs of atoms within a cutoff, found with the cell lists of vesin."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np

__all__ = ["FAR", "complete_cell", "distances", "images", "pairs", "shift_codes", "squares", "vectors"]

FAR = 1e50
"""Limit of coordinates (A).  Larger ones count as infinite, since their squares might overflow."""

LIMIT = 5e7
"""Largest number of pairs of one structure; they take about 5 GB."""

FEW = 64
"""Structures without periodic directions and with at most this many atoms need no cell list: all distances
are computed."""


@functools.cache
def _neighbor_list_class() -> Any:
    """Return vesin's NeighborList, imported without torch.

    Where torch is installed, vesin imports it to support tensors, which takes seconds.  Only numpy arrays
    are passed to it here.
    """
    if "torch" in sys.modules:
        from vesin import NeighborList

        return NeighborList
    before = set(sys.modules)
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        from vesin import NeighborList
    finally:
        del sys.modules["torch"]
        # Other packages that import vesin must get a version that supports torch.
        for name in [name for name in sys.modules if name.partition(".")[0] == "vesin"]:
            if name not in before:
                del sys.modules[name]
    return NeighborList


def vectors(
    positions: np.ndarray, i: np.ndarray, j: np.ndarray, shifts: np.ndarray, cell: np.ndarray
) -> np.ndarray:
    """Return the vectors (E, 3) in A from atoms ``i`` to the images ``shifts`` of atoms ``j``."""
    found = positions.take(j, axis=0) - positions.take(i, axis=0)
    outside = np.flatnonzero(shifts[:, 0] | shifts[:, 1] | shifts[:, 2])
    found[outside] += images(shifts[outside], cell[None])
    return np.asarray(found)


def images(shifts: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the vectors (E, 3) in A of integer ``shifts`` (E, 3) of ``cells`` (E, 3, 3)."""
    # Not a matrix product: the rounding of a row must not depend on the other rows.
    x, y, z = shifts[:, :1], shifts[:, 1:2], shifts[:, 2:]
    return np.asarray(x * cells[:, 0] + y * cells[:, 1] + z * cells[:, 2])


def squares(d: np.ndarray) -> np.ndarray:
    """Return the squared lengths (E,) of vectors (E, 3)."""
    return np.asarray(d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2])


def pairs(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reach: float, once: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs of atoms closer than ``reach``, each in both directions.

    Parameters
    ----------
    positions
        (N, 3) in A, inside or outside the cell.
    cell
        (3, 3) in A, one vector per row.  Rows along directions that are not periodic are ignored.
    pbc
        (3,) which directions are periodic.
    reach
        Cutoff, A.
    once
        Return each pair in one direction only: to the later atom, or from an atom to that of its images of
        which the first shift that is not zero is positive.

    Returns
    -------
    tuple
        First atoms (E,), second atoms (E,) and the integer cell shifts (E, 3) of the second atoms, sorted by
        first atom, second atom and shift.  An atom is paired with its own images, but not with itself.

    Raises
    ------
    ValueError
        The positions or the cell are not finite, the cell is flat, or there are too many pairs because the
        structure has collapsed.
    """
    positions, periodic, pbc = _check_input(positions, cell, pbc)
    if not len(positions):
        return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), int)
    if len(positions) <= FEW and not pbc.any():
        i, j, _ = _among_few(positions, reach)
        if once:
            i, j = i[i < j], j[i < j]
        return i, j, np.zeros((len(i), 3), int)
    found, shifts, wraps = _search(positions, periodic, pbc, reach * (1 + 1e-6), "PS", not once)
    i, j = found.astype(np.int64).T
    shifts = (shifts + wraps.take(i, axis=0) - wraps.take(j, axis=0)).astype(np.int64)
    if once:
        back = (i > j) | ((i == j) & ~_is_positive(shifts))
        i, j = np.where(back, j, i), np.where(back, i, j)
        shifts[back] *= -1
    near = np.flatnonzero(squares(vectors(positions, i, j, shifts, periodic)) < reach * reach)
    i, j, shifts = i.take(near), j.take(near), shifts.take(near, axis=0)
    code, codes = shift_codes(shifts)
    if len(positions) ** 2 * codes < 2**62:
        order = ((i * len(positions) + j) * codes + code).argsort()
    else:
        order = np.lexsort((*shifts.T[::-1], j, i))
    return i.take(order), j.take(order), shifts.take(order, axis=0)


def distances(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of :func:`pairs` as first atoms (E,), second atoms (E,) and distances (E,) in A.

    They are not sorted.

    Raises
    ------
    ValueError
        As in :func:`pairs`.
    """
    positions, periodic, pbc = _check_input(positions, cell, pbc)
    if not len(positions):
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    if len(positions) <= FEW and not pbc.any():
        i, j, d2 = _among_few(positions, reach)
        return i, j, np.sqrt(d2)
    found, d, _ = _search(positions, periodic, pbc, reach, "Pd")
    i, j = found.astype(np.int64).T
    return i, j, d


def _check_input(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, the cell with zeros along directions that are not periodic, and ``pbc``."""
    positions, pbc = np.asarray(positions, float), np.asarray(pbc, bool)
    periodic = np.where(pbc[:, None], cell, 0.0)
    if not ((np.abs(positions) < FAR).all() and (np.abs(periodic) < FAR).all()):
        raise ValueError("the positions or the cell are not finite")
    return positions, periodic, pbc


def _search(
    positions: np.ndarray,
    periodic: np.ndarray,
    pbc: np.ndarray,
    reach: float,
    quantities: str,
    full: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two ``quantities`` from vesin, and the cells (N, 3) by which each atom was wrapped before.

    Pairs are listed in both directions if ``full``, else in one of them.
    """
    box = complete_cell(periodic, pbc)
    if np.linalg.det(box) == 0.0:
        raise ValueError("the cell is flat")
    inverse = np.linalg.inv(box)
    fractional = positions @ inverse
    _check_size(inverse, pbc, fractional, reach)
    # Atoms are wrapped into the cell, since vesin fails for some that are far outside.
    floors = np.where(pbc, np.floor(fractional), 0.0)
    fractional -= floors
    # Beyond this a float64 does not resolve the position of an atom in its cell.
    wraps = floors.clip(-(2**52), 2**52)
    for k in np.flatnonzero(~pbc):
        closed = _close_gaps(fractional[:, k], 2 * reach)
        length = closed.max() + reach
        fractional[:, k], box[k] = closed / length, box[k] * length
    search = _neighbor_list_class()(cutoff=reach, full_list=full, sorted=False, n_threads=1)
    return (*search.compute(fractional @ box, box, pbc, quantities), wraps)


def _among_few(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sorted pairs of a few atoms without images, and their squared distances."""
    d = positions[None] - positions[:, None]
    d2 = d[:, :, 0] * d[:, :, 0] + d[:, :, 1] * d[:, :, 1] + d[:, :, 2] * d[:, :, 2]
    near = d2 < reach * reach
    near.flat[:: len(positions) + 1] = False
    i, j = near.nonzero()
    return i, j, d2[i, j]


def complete_cell(periodic: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the cell (3, 3) with perpendicular unit vectors for the directions that are not periodic."""
    box = periodic.copy()
    if not pbc.any():
        return np.eye(3)
    if not pbc.all():
        box[~pbc] = np.linalg.svd(periodic[pbc])[2][pbc.sum() :]
    return box


def shift_codes(shifts: np.ndarray) -> tuple[np.ndarray, float]:
    """Return integers (E,) with the sort order of ``shifts`` (E, 3), and how many of them are possible.

    If that number is above 2^62, the integers have overflowed and must not be used.
    """
    if not len(shifts):
        return np.zeros(0, int), 1.0
    low = shifts.min(axis=0)
    _, n, m = spans = shifts.max(axis=0) - low + 1
    s = shifts - low
    with np.errstate(over="ignore"):
        return np.asarray((s[:, 0] * n + s[:, 1]) * m + s[:, 2]), float(np.prod(spans.astype(float)))


def _is_positive(shifts: np.ndarray) -> np.ndarray:
    """Return for which of the integer ``shifts`` (E, 3) the first nonzero component is positive."""
    x, y, z = shifts.T
    return np.asarray((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0)))))


def _close_gaps(x: np.ndarray, gap: float) -> np.ndarray:
    """Return the coordinates ``x`` (N,) shifted to start at 0, with gaps shortened to at most ``gap``."""
    order = np.argsort(x)
    closed = np.zeros_like(x)
    closed[order[1:]] = np.minimum(np.diff(x[order]), gap).cumsum()
    return closed


def _check_size(inverse: np.ndarray, pbc: np.ndarray, fractional: np.ndarray, reach: float) -> None:
    """Raise ValueError if more than LIMIT pairs, or more than LIMIT cells to search, are expected."""
    n, cells, size = len(fractional), 1.0, 1.0
    for k, repeated in enumerate(pbc):
        if repeated:
            cells *= 2 * reach * math.hypot(*inverse[:, k]) + 1
        else:
            size *= max(1.0, float(np.ptp(fractional[:, k])) / (2 * reach))
    ball = (1.0, 2 * reach, math.pi * reach**2, 4 / 3 * math.pi * reach**3)[int(pbc.sum())]
    count = n * n * ball * abs(float(np.linalg.det(inverse))) / size
    if not max(count, cells) < LIMIT:
        raise ValueError(f"there are too many pairs of atoms within {reach:g} A: the structure has collapsed")
