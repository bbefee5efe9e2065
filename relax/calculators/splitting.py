"""Geometries cut into parts, and one structure's fault kept from the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relax.calculators.base import Evaluation, Geometry
from relax.core.errors import OutOfMemory, one_line
from relax.geometry.neighbors import FAR

__all__ = ["asked", "chosen", "finite", "parts", "unknown", "volumes"]


def unknown(geometry: Geometry) -> Evaluation:
    """Return an answer that is NaN throughout."""
    structures, atoms = len(geometry.keys), len(geometry.positions)
    return Evaluation(
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


def asked(ask: Callable[[Geometry], Evaluation], geometry: Geometry) -> Evaluation:
    """Return what ``ask`` says of the structures that are finite, and NaN for the others.

    Where ``ask`` raises an exception, it is asked of each structure alone, and the exception is a fault of
    the structures that it comes with.

    Raises
    ------
    OutOfMemory
        From ``ask``.
    """
    answer = unknown(geometry)
    _fill(answer, ask, geometry, finite(geometry))
    return answer


def _fill(
    answer: Evaluation, ask: Callable[[Geometry], Evaluation], geometry: Geometry, mask: np.ndarray
) -> None:
    places = np.flatnonzero(mask).tolist()
    if not places:
        return
    some, rows = chosen(geometry, mask)
    try:
        said = ask(some)
    except OutOfMemory:
        raise
    except Exception as error:
        if len(places) == 1:
            answer.faults[places[0]] = one_line(error)
            return
        for place in places:
            _fill(answer, ask, geometry, np.arange(len(mask)) == place)
        return
    answer.energies[mask], answer.forces[rows], answer.stresses[mask] = (
        said.energies,
        said.forces,
        said.stresses,
    )
    answer.faults.update({places[k]: why for k, why in said.faults.items()})
