"""What every potential does with a geometry before and after it computes."""

from __future__ import annotations

import numpy as np

from relax.neighbors import FAR
from relax.potentials.potential import Answer, Geometry

__all__ = ["chosen", "finite", "parts", "unknown", "volumes"]


def unknown(geometry: Geometry) -> Answer:
    """Return an answer that is NaN throughout."""
    structures, atoms = len(geometry.keys), len(geometry.positions)
    return Answer(
        np.full(structures, np.nan), np.full((atoms, 3), np.nan), np.full((structures, 3, 3), np.nan)
    )


def finite(geometry: Geometry) -> np.ndarray:
    """Return of which structures (S,) the positions and the cell are finite."""
    starts = np.cumsum(geometry.lengths) - geometry.lengths
    positions = np.logical_and.reduceat((np.abs(geometry.positions) < FAR).all(axis=1), starts)
    return np.asarray(positions & (np.abs(geometry.cells) < FAR).all(axis=(1, 2)))


def parts(geometry: Geometry) -> list[slice]:
    """Return where the atoms of each structure are."""
    ends = np.cumsum(geometry.lengths).tolist()
    return [slice(end - n, end) for end, n in zip(ends, geometry.lengths.tolist(), strict=True)]


def volumes(geometry: Geometry) -> np.ndarray:
    """Return the volumes (S,) of the cells in A^3; NaN where there is none."""
    with np.errstate(invalid="ignore"):
        size = np.abs(np.linalg.det(geometry.cells))
    return np.where(size > 0, size, np.nan)


def chosen(geometry: Geometry, mask: np.ndarray) -> tuple[Geometry, np.ndarray]:
    """Return the structures in ``mask`` (S,) alone, and which atoms (N,) are theirs."""
    rows = np.repeat(mask, geometry.lengths)
    keys = tuple(key for key, kept in zip(geometry.keys, mask.tolist(), strict=True) if kept)
    some = Geometry(
        keys,
        geometry.lengths[mask],
        geometry.numbers[rows],
        geometry.positions[rows],
        geometry.cells[mask],
        geometry.pbc[mask],
    )
    return some, rows
