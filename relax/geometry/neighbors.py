"""Pairs of atoms within reach of each other."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np

__all__ = ["FAR", "coded", "completed", "images", "pairs", "squares", "vectors"]

FAR = 1e50
"""A coordinate (A) that is as good as infinite: squares might overflow."""

LIMIT = 5e7
"""Pairs of one structure that are still listed; they take some 5 GB."""

FEW = 64
"""Atoms of a structure without periodic directions up to which all distances are looked at."""


@functools.cache
def _engine() -> Any:
    """Return the class that finds pairs.

    vesin imports torch wherever it is installed, to know its tensors, and that takes seconds; what it is
    given here are arrays of numpy.
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
        # Others that import vesin get one that knows torch.
        for name in [name for name in sys.modules if name.partition(".")[0] == "vesin"]:
            if name not in before:
                del sys.modules[name]
    return NeighborList


def vectors(
    positions: np.ndarray, i: np.ndarray, j: np.ndarray, shifts: np.ndarray, cell: np.ndarray
) -> np.ndarray:
    """Return the vectors (E, 3) in A from atoms ``i`` to the images ``shifts`` of atoms ``j``."""
    return np.asarray(positions[j] - positions[i] + images(shifts, cell[None]))


def images(shifts: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the vectors (E, 3) in A of integer ``shifts`` (E, 3) of ``cells`` (E, 3, 3)."""
    # Written out, so that each row is rounded the same whatever stands beside it.
    x, y, z = shifts[:, :1], shifts[:, 1:2], shifts[:, 2:]
    return np.asarray(x * cells[:, 0] + y * cells[:, 1] + z * cells[:, 2])


def squares(d: np.ndarray) -> np.ndarray:
    """Return the squared lengths (E,) of vectors (E, 3)."""
    return np.asarray(d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2])


def pairs(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs of atoms closer than ``reach``, each from both sides.

    Parameters
    ----------
    positions
        (N, 3) in A, anywhere.
    cell
        (3, 3) in A, a vector a row; rows along which nothing is repeated may be anything.
    pbc
        (3,) along which vectors the structure is repeated.
    reach
        A.

    Returns
    -------
    tuple
        First atoms (E,), second atoms (E,) and the integer shifts (E, 3) of the second's cell, in the order
        of these from left to right.  An atom is paired with its own images, and not with itself.

    Raises
    ------
    ValueError
        Something is not finite, the cell is flat, or so many atoms are within reach that it has collapsed.
    """
    positions, periodic, pbc = _checked(positions, cell, pbc)
    if not len(positions):
        return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), int)
    if len(positions) <= FEW and not pbc.any():
        i, j, _ = _among_few(positions, reach)
        return i, j, np.zeros((len(i), 3), int)
    found, shifts, wraps = _asked(positions, periodic, pbc, reach * (1 + 1e-6), "PS")
    i, j = found.astype(np.int64).T
    shifts = (shifts + wraps.take(i, axis=0) - wraps.take(j, axis=0)).astype(np.int64)
    near = np.flatnonzero(squares(vectors(positions, i, j, shifts, periodic)) < reach * reach)
    i, j, shifts = i.take(near), j.take(near), shifts.take(near, axis=0)
    code, codes = coded(shifts)
    if len(positions) ** 2 * codes < 2**62:
        order = ((i * len(positions) + j) * codes + code).argsort()
    else:
        order = np.lexsort((*shifts.T[::-1], j, i))
    return i.take(order), j.take(order), shifts.take(order, axis=0)


def distances(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what :func:`pairs` finds as first atoms (E,), second atoms (E,) and distances (E,) in A.

    They are in no particular order.

    Raises
    ------
    ValueError
        As in :func:`pairs`.
    """
    positions, periodic, pbc = _checked(positions, cell, pbc)
    if not len(positions):
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    if len(positions) <= FEW and not pbc.any():
        i, j, d2 = _among_few(positions, reach)
        return i, j, np.sqrt(d2)
    found, d, _ = _asked(positions, periodic, pbc, reach, "Pd")
    i, j = found.astype(np.int64).T
    return i, j, d


def _checked(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, the cell with zeros where nothing is repeated, and where it is."""
    positions, pbc = np.asarray(positions, float), np.asarray(pbc, bool)
    periodic = np.where(pbc[:, None], cell, 0.0)
    if not ((np.abs(positions) < FAR).all() and (np.abs(periodic) < FAR).all()):
        raise ValueError("the positions or the cell are not finite")
    return positions, periodic, pbc


def _asked(
    positions: np.ndarray, periodic: np.ndarray, pbc: np.ndarray, reach: float, quantities: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two quantities of vesin, and the cells (N, 3) that each atom was taken back by before."""
    box = completed(periodic, pbc)
    if np.linalg.det(box) == 0.0:
        raise ValueError("the cell is flat")
    inverse = np.linalg.inv(box)
    fractional = positions @ inverse
    _check(inverse, pbc, fractional, reach)
    # vesin is given atoms that are in the box: it stumbles over some that are far out.
    floors = np.where(pbc, np.floor(fractional), 0.0)
    fractional -= floors
    # Where in the cell an atom is that is farther out than this, its position cannot tell.
    wraps = floors.clip(-(2**52), 2**52)
    for k in np.flatnonzero(~pbc):
        closed = _closed_up(fractional[:, k], 2 * reach)
        length = closed.max() + reach
        fractional[:, k], box[k] = closed / length, box[k] * length
    engine = _engine()(cutoff=reach, full_list=True, sorted=False, n_threads=1)
    return (*engine.compute(fractional @ box, box, pbc, quantities), wraps)


def _among_few(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of a few atoms without images, in order, and the squares of their distances."""
    d = positions[None] - positions[:, None]
    d2 = d[:, :, 0] * d[:, :, 0] + d[:, :, 1] * d[:, :, 1] + d[:, :, 2] * d[:, :, 2]
    near = d2 < reach * reach
    near.flat[:: len(positions) + 1] = False
    i, j = near.nonzero()
    return i, j, d2[i, j]


def completed(periodic: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the cell with unit vectors, across the others, where nothing is repeated."""
    box = periodic.copy()
    if not pbc.any():
        return np.eye(3)
    if not pbc.all():
        box[~pbc] = np.linalg.svd(periodic[pbc])[2][pbc.sum() :]
    return box


def coded(shifts: np.ndarray) -> tuple[np.ndarray, float]:
    """Return numbers (E,) that order as the shifts do, and how many there can be: void beyond 2^62."""
    if not len(shifts):
        return np.zeros(0, int), 1.0
    low = shifts.min(axis=0)
    _, n, m = spans = shifts.max(axis=0) - low + 1
    s = shifts - low
    with np.errstate(over="ignore"):
        return np.asarray((s[:, 0] * n + s[:, 1]) * m + s[:, 2]), float(np.prod(spans.astype(float)))


def _closed_up(x: np.ndarray, gap: float) -> np.ndarray:
    """Return coordinates from 0 on, with what is empty made no longer than ``gap``."""
    order = np.argsort(x)
    closed = np.zeros_like(x)
    closed[order[1:]] = np.minimum(np.diff(x[order]), gap).cumsum()
    return closed


def _check(inverse: np.ndarray, pbc: np.ndarray, fractional: np.ndarray, reach: float) -> None:
    """Raise ValueError where there would be more than LIMIT pairs, or more than LIMIT cells to look into."""
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
