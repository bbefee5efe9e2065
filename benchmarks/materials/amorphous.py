"""Random packings: atoms at random places, pushed apart, in a cube of a sensible density."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, covalent_radii
from ase.formula import Formula
from ase.units import _amu

TRIALS, SWEEPS = 20, 3000
"""Most random starts of a packing, and most sweeps over pairs that are too near for each."""
MARGIN = 1.001
"""Pairs are moved apart to this multiple of the smallest distance, so that the sweeps come to an end."""
BOND, APART = 0.95, 1.35
"""Smallest distance over the sum of covalent radii, of unlike and of like atoms, where both are bonded."""

PACKINGS: dict[str, tuple[str, float, float, float]] = {
    "SiO2": ("Si12O24", 2.2, BOND, APART),
    "Si": ("Si32", 2.3, BOND, BOND),
    "GeSe2": ("Ge12Se24", 4.3, BOND, 1.2),
    "CuZr": ("Cu12Zr12", 7.1, 0.85, 0.85),
    "B2O3": ("B14O21", 1.85, BOND, APART),
    "As2S3": ("As12S18", 3.1, BOND, 1.2),
    "Al2O3": ("Al12O18", 3.1, BOND, 1.2),
    "NiP": ("Ni20P5", 7.9, 0.9, 0.9),
    "C": ("C32", 2.4, BOND, BOND),
    "Ge2Sb2Te5": ("Ge6Sb6Te15", 5.8, BOND, 1.1),
}
"""Formula of the cell, density (g/cm3), and smallest distances of unlike and like atoms over their radii."""


def packed(formula: str, density: float, unlike: float, like: float, rng: np.random.Generator) -> Atoms:
    """Return a packing in which no two atoms are nearer than the smallest distances.

    Pairs that are too near are moved apart along the line between them, all at once, until there are none;
    where that does not come to an end, from other random places.

    Parameters
    ----------
    density
        g/cm3.
    unlike, like
        Smallest distance over the sum of covalent radii.
    """
    counts: Mapping[str, int] = Formula(formula).count()
    symbols = [symbol for symbol, n in counts.items() for _ in range(n)]
    atoms = Atoms(symbols, pbc=True)
    grams = atomic_masses[atoms.numbers].sum() * _amu * 1e3
    edge = (grams / density * 1e24) ** (1 / 3)
    atoms.set_cell([edge] * 3)
    same = atoms.numbers[:, None] == atoms.numbers
    radii = covalent_radii[atoms.numbers]
    smallest = np.where(same, like, unlike) * (radii[:, None] + radii)
    np.fill_diagonal(smallest, 0.0)
    for _ in range(TRIALS):
        positions = apart(rng.random((len(atoms), 3)) * edge, edge, smallest)
        if positions is not None:
            atoms.positions = positions
            return atoms
    raise ValueError(f"{formula} cannot be packed at {density} g/cm3 with these distances")


def apart(positions: np.ndarray, edge: float, smallest: np.ndarray) -> np.ndarray | None:
    """Return positions (atoms, 3) in a periodic cube without pairs that are too near, None if not found.

    Parameters
    ----------
    edge
        Edge of the cube, A.
    smallest
        Smallest distances (atoms, atoms), A, of less than half of the edge; zero on the diagonal.
    """
    for _ in range(SWEEPS):
        vectors = positions - positions[:, None]
        vectors -= edge * np.rint(vectors / edge)
        distances = np.linalg.norm(vectors, axis=2)
        if (distances >= smallest).all():
            return positions
        np.fill_diagonal(distances, 1.0)
        lacking = np.maximum(MARGIN * smallest - distances, 0.0)
        # A quarter of what is lacking for each atom of a pair, away from the other: more may swing.
        positions = positions - 0.25 * (vectors * (lacking / distances)[:, :, None]).sum(axis=1)
    return None


def amorphous(seed: int) -> list[Atoms]:
    """Return the packings."""
    made = []
    for index, (name, (formula, density, unlike, like)) in enumerate(PACKINGS.items()):
        atoms = packed(formula, density, unlike, like, np.random.default_rng([seed, index]))
        atoms.info = {"name": name}
        made.append(atoms)
    return made
