"""Parts of geometries, and evaluations in which the fault of one structure does not affect others."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from relax.calculators.base import Evaluation, Geometry
from relax.core.errors import OutOfMemory, RelaxationStopped, one_line
from relax.geometry.neighbors import FAR

__all__ = ["chosen", "finite", "parts", "unknown", "volumes", "with_fault_isolation"]

LOG = logging.getLogger(__name__)


def unknown(geometry: Geometry) -> Evaluation:
    """Return an evaluation in which all numbers are NaN."""
    structures, atoms = len(geometry.keys), len(geometry.positions)
    return Evaluation(
        np.full(structures, np.nan), np.full((atoms, 3), np.nan), np.full((structures, 3, 3), np.nan)
    )


def finite(geometry: Geometry) -> np.ndarray:
    """Return which structures (S,) have finite positions and a finite cell."""
    starts = np.cumsum(geometry.lengths) - geometry.lengths
    positions = np.logical_and.reduceat((np.abs(geometry.positions) < FAR).all(axis=1), starts)
    return np.asarray(positions & (np.abs(geometry.cells) < FAR).all(axis=(1, 2)))


def parts(geometry: Geometry) -> list[slice]:
    """Return the slice of the atoms of each structure."""
    ends = np.cumsum(geometry.lengths).tolist()
    return [slice(end - n, end) for end, n in zip(ends, geometry.lengths.tolist(), strict=True)]


def volumes(geometry: Geometry) -> np.ndarray:
    """Return the volumes (S,) of the cells in A^3; NaN for a cell without volume."""
    with np.errstate(invalid="ignore"):
        size = np.abs(np.linalg.det(geometry.cells))
    return np.where(size > 0, size, np.nan)


def chosen(geometry: Geometry, mask: np.ndarray) -> tuple[Geometry, np.ndarray]:
    """Return the structures that ``mask`` (S,) selects, and the mask (N,) of their atoms."""
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


def with_fault_isolation(evaluate: Callable[[Geometry], Evaluation], geometry: Geometry) -> Evaluation:
    """Return the evaluation of the structures that are finite; the numbers of the others are NaN.

    If ``evaluate`` raises an exception, it is called again for each structure alone.  The exceptions of
    these calls become the faults of the structures.

    Raises
    ------
    OutOfMemory
        From ``evaluate``.
    """
    evaluation = unknown(geometry)
    _fill(evaluation, evaluate, geometry, finite(geometry))
    return evaluation


def _fill(
    evaluation: Evaluation, evaluate: Callable[[Geometry], Evaluation], geometry: Geometry, mask: np.ndarray
) -> None:
    """Evaluate the structures that ``mask`` (S,) selects, and write the results into ``evaluation``."""
    indices = np.flatnonzero(mask).tolist()
    if not indices:
        return
    some, rows = chosen(geometry, mask)
    try:
        part = evaluate(some)
    except (OutOfMemory, RelaxationStopped):
        raise
    except Exception as error:
        if len(indices) == 1:
            evaluation.faults[indices[0]] = one_line(error)
            return
        LOG.info("a call of %d structures failed, so each is tried alone: %s", len(indices), one_line(error))
        for index in indices:
            _fill(evaluation, evaluate, geometry, np.arange(len(mask)) == index)
        return
    evaluation.energies[mask], evaluation.forces[rows] = part.energies, part.forces
    evaluation.stresses[mask] = part.stresses
    evaluation.faults.update({indices[k]: why for k, why in part.faults.items()})
