"""The matrices of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from relax.core.segments import Segments
from relax.preconditioner.matrices.dense import Dense
from relax.preconditioner.matrices.region import Region
from relax.preconditioner.matrices.sparse import Sparse
from relax.preconditioner.network import Straight

__all__ = [
    "LARGE",
    "Near",
    "Part",
    "exact_regions",
    "near_rows",
    "parts_of",
    "put",
    "times_regions",
]

DENSE = 360
"""Largest number of coordinates of a structure for which a dense matrix is used."""

LARGE = 1000
"""Structures of more rows are large: time counts as well as force calls."""

FEW = 0.5
"""Of large structures, if at most this part of the rows has internal coordinates, curved steps move those
rows only."""


class Near(NamedTuple):
    """Some rows of a batch."""

    rows: np.ndarray  # (N,) sorted
    seg: Segments  # which of them belong to which structure


class Part(NamedTuple):
    """Structures of a batch with their matrices."""

    rows: np.ndarray  # (S, R) in the batch
    near: np.ndarray  # (S, N) those that curved steps move, among all such
    matrix: Dense | Sparse

    @property
    def region(self) -> Dense | Region | None:
        """What curved steps need; None where all steps are straight."""
        return self.matrix if isinstance(self.matrix, Dense) else self.matrix.region


def near_rows(coordinates: np.ndarray, seg: Segments) -> Near:
    """Return which rows curved steps move: all, but of large structures those near internal coordinates.

    Parameters
    ----------
    coordinates
        The rows (N,) that internal coordinates depend on.
    seg
        The rows of the structures.
    """
    moved = np.ones(seg.rows, bool)
    for s in np.flatnonzero(np.array(seg.lengths) > LARGE).tolist():
        rows = seg.slice(s)
        own = coordinates[(coordinates >= rows.start) & (coordinates < rows.stop)]
        if 0 < len(own) <= FEW * seg.lengths[s]:
            moved[rows] = False
            moved[own] = True
    lengths = np.add.reduceat(moved, seg.starts, dtype=int).tolist()
    return Near(np.flatnonzero(moved), Segments(lengths, seg.tensors))


def put(rows: np.ndarray, found: np.ndarray, near: Near, owner: np.ndarray) -> np.ndarray:
    """Return ``rows`` (K, R, 3) with those ``near`` from ``found`` (K, N, 3).

    Structures that own no internal coordinate stay as they are alone; ``owner`` has those that do.
    """
    out = rows.copy()
    curved = np.isin(near.seg.owner, owner)
    out[:, near.rows[curved]] = found[:, curved]
    return out


def parts_of(
    straight: Sequence[Straight], seg: Segments, bent: Any = None, near: Near | None = None
) -> list[Part]:
    """Return the structures of each size together, with their matrices.

    Parameters
    ----------
    straight
        What is straight of each structure.
    seg
        Their rows.
    bent, near
        The part of internal coordinates, a sparse matrix (3N, 3N), and its N rows; None without any.
    """
    sizes, rows, own = np.array(seg.lengths), np.arange(seg.rows), seg
    if near is not None:
        rows, own = near
    made: list[Part] = []
    for size in np.unique(sizes[3 * sizes <= DENSE]):
        same, places = np.flatnonzero(sizes == size).tolist(), np.arange(size)
        blocks = None if bent is None else [block(bent, own, s).toarray() for s in same]
        dense = Dense([straight[s] for s in same], blocks)
        made.append(Part(seg.starts[same][:, None] + places, own.starts[same][:, None] + places, dense))
    for s in np.flatnonzero(3 * sizes > DENSE).tolist():
        matrix = None if bent is None else block(bent, own, s)
        matrix = matrix if matrix is not None and matrix.nnz else None  # as it is alone
        moved = own.starts[s] + np.arange(own.lengths[s])
        some = rows[moved] - seg.starts[s] if len(moved) < sizes[s] else None
        sparse = Sparse(straight[s], matrix, some)
        made.append(Part(seg.starts[s] + np.arange(sizes[s])[None], moved[None], sparse))
    return made


def exact_regions(parts: Sequence[Part], seg: Segments) -> np.ndarray:
    """Return for which structures (S,) the method ``precondition`` of their region is the inverse of H."""
    exact = np.ones(len(seg.lengths), bool)
    for part in parts:
        if part.region is not None:
            exact[seg.owner[part.rows[:, 0]]] = part.region.exact
    return exact


def times_regions(parts: Sequence[Part], name: str, rows: np.ndarray) -> np.ndarray:
    """Return the method ``name`` of the regions of rows at K places (K, N, 3)."""
    if len(parts) == len(parts[0].rows) == 1:
        return np.asarray(getattr(parts[0].region, name)(rows[:, None])[:, 0])
    out = np.zeros_like(rows)
    for part in parts:
        if part.region is not None:
            out[:, part.near] = getattr(part.region, name)(rows[:, part.near])
    return out


def block(matrix: Any, seg: Segments, s: int) -> Any:
    """Return the block of structure ``s`` on the diagonal of a sparse matrix (3N, 3N) of rows in ``seg``."""
    own = slice(3 * int(seg.starts[s]), 3 * (int(seg.starts[s]) + seg.lengths[s]))
    return matrix[own, own]
