"""Perovskites ABX3: supercells of the cubic one, octahedra turned at random, all atoms displaced."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import make_supercell

from relax.analysis.comparison.starts import rattled

RATTLE = 0.1
TILT = 0.1
"""Largest displacement (A) of X by the tilt about each axis."""
ROOT2 = [[1, -1, 0], [1, 1, 0], [0, 0, 2]]
"""The supercell of 20 atoms in which most perovskites are orthorhombic."""
DOUBLE = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]

PEROVSKITES: dict[str, tuple[tuple[str, str, str], float, list[list[int]]]] = {
    "CaTiO3": (("Ca", "Ti", "O"), 3.83, ROOT2),
    "SrZrO3": (("Sr", "Zr", "O"), 4.11, ROOT2),
    "GdFeO3": (("Gd", "Fe", "O"), 3.87, ROOT2),
    "LaAlO3": (("La", "Al", "O"), 3.79, ROOT2),
    "PbTiO3": (("Pb", "Ti", "O"), 3.97, ROOT2),
    "NaMgF3": (("Na", "Mg", "F"), 3.85, ROOT2),
    "KMnF3": (("K", "Mn", "F"), 4.19, DOUBLE),
    "CsPbI3": (("Cs", "Pb", "I"), 6.25, DOUBLE),
    "KNbO3": (("K", "Nb", "O"), 4.02, DOUBLE),
    "BaTiO3": (("Ba", "Ti", "O"), 4.01, DOUBLE),
}
"""Elements, edge (A) of the cubic cell, and supercell."""


def turned(atoms: Atoms, edge: float, rng: np.random.Generator) -> Atoms:
    """Return a supercell with its octahedra turned by a random angle about each axis.

    Neighbours turn in opposite senses, so that the octahedra stay connected: an X between two B moves the
    same way as a corner of either.  About z the sense may be the same along z.
    """
    moved = atoms.copy()
    centre = np.array([0.5, 0.5, 0.5])
    for axis in range(3):
        amount, in_phase = rng.uniform(0, TILT), axis == 2 and rng.random() < 0.5
        for i in range(2, len(atoms), 5):  # A, B, X, X, X
            for x in range(i, i + 3):
                along = x - i  # B is before X along this axis, by half an edge
                if along == axis:
                    continue
                cell = np.rint(atoms.positions[i - 1] / edge - centre).astype(int)
                counted = cell.sum() - (cell[axis] if in_phase else 0)
                direction = np.cross(np.eye(3)[axis], np.eye(3)[along])
                moved.positions[x] += (-1.0) ** counted * amount * direction
    return moved


def cubic(symbols: tuple[str, str, str], edge: float) -> Atoms:
    """Return the cubic cell: A, B, and an X beside B along each axis."""
    a, b, x = symbols
    places = np.array([[0, 0, 0], [1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]]) / 2
    return Atoms([a, b, x, x, x], places * edge, cell=[edge] * 3, pbc=True)


def perovskites(seed: int) -> list[Atoms]:
    """Return the perovskites, displaced."""
    made = []
    for index, (name, (symbols, edge, supercell)) in enumerate(PEROVSKITES.items()):
        atoms = make_supercell(cubic(symbols, edge), supercell, wrap=False)
        atoms = turned(atoms, edge, np.random.default_rng([seed, index, 1]))
        atoms.info = {"name": name}
        made.append(rattled(atoms, RATTLE, seed, index))
    return made
