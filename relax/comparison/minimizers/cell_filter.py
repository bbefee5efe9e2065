"""ASE's filter for the cell, with the directions that relax free: those that are periodic."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

from relax.geometry.cell import periodic_plane

__all__ = ["cell_filter", "has_cell"]


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
    free = np.round(np.diag(periodic_plane(atoms.cell.array, atoms.pbc)))
    return FrechetCellFilter(atoms, mask=np.outer(free, free))
