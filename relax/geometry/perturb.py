"""Small random displacements, reproducible by their seed."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from relax.geometry.cell import CellFreedom, periodic_plane

__all__ = ["rattle"]


def rattle(atoms: Atoms, amplitude: float, seed: int, freedom: CellFreedom | None = None) -> None:
    """Displace the atoms at random, in place, and strain the cell if it is free.

    Constraints hold.

    Parameters
    ----------
    atoms
        The structure.
    amplitude
        Standard deviation of each component of a displacement, A.  For the components of the strain it is
        divided by the cube root of the volume per atom.
    seed
        Seed of numpy's ``default_rng``.
    freedom
        How the cell may change; if not given, it stays the same.
    """
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, amplitude, (len(atoms), 3))
    if freedom is not None:
        strain = rng.normal(0.0, amplitude, (3, 3)) / np.cbrt(atoms.get_volume() / len(atoms))
        free = freedom.projector(periodic_plane(atoms.cell.array, atoms.pbc))
        strain = np.reshape(free @ (strain + strain.T).ravel() / 2, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.set_positions(atoms.positions + moves)
