"""ASE's filter for the cell, with the strains that relax free."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

from relax.core.errors import UnsupportedStructure
from relax.geometry.cell import GPA, CellFreedom, periodic_plane

__all__ = ["cell_filter", "freed_cell", "has_cell"]


def has_cell(atoms: Atoms) -> bool:
    """Whether minimizers of all packages can relax the cell, or what of it is periodic, in the same way.

    ASE's filter holds components of the strain along x, y and z.  So the directions that are not periodic
    must lie along axes, as in a slab with the vacuum along z.
    """
    if not atoms.pbc.any() or atoms.cell.rank < 3:
        return False
    plane = periodic_plane(atoms.cell.array, atoms.pbc)
    return bool(np.allclose(plane, np.diag(np.round(np.diag(plane)))))


def cell_filter(atoms: Atoms) -> FrechetCellFilter:
    """Return the filter of ``atoms`` in which strains along periodic directions are free."""
    if atoms.pbc.all():
        return FrechetCellFilter(atoms)
    return FrechetCellFilter(atoms, mask=_periodic(atoms))


def freed_cell(atoms: Atoms, freedom: CellFreedom) -> FrechetCellFilter:
    """Return the filter of ``atoms`` in which the strains of ``freedom`` are free.

    Raises
    ------
    UnsupportedStructure
        ASE's filter has no such freedom.
    """
    if not has_cell(atoms):
        raise UnsupportedStructure(
            "ASE's cell filter needs the directions that are not periodic along x, y or z; turn the cell"
        )
    free = _periodic(atoms) * freedom.components
    for name in ("hydrostatic", "constant_volume"):
        if getattr(freedom, name) and not free.all():
            raise UnsupportedStructure(
                f"ASE's cell filter has {name} for all strains together; use another rule than ASE's"
            )
    return FrechetCellFilter(
        atoms,
        None if free.all() else free,
        freedom.length,
        freedom.hydrostatic,
        freedom.constant_volume,
        freedom.pressure * GPA,
    )


def _periodic(atoms: Atoms) -> np.ndarray:
    """Return the strains (3, 3) between directions that are periodic as ones, and the others as zeros."""
    free = np.round(np.diag(periodic_plane(atoms.cell.array, atoms.pbc)))
    return np.outer(free, free)
