"""Molecular crystals: measured ones, and molecules turned at random in a cell of a sensible density."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.data import atomic_masses
from ase.neighborlist import neighbor_list
from ase.units import _amu
from scipy.spatial.transform import Rotation

from benchmarks.materials.frameworks import Known, tetragonal
from relax.analysis.comparison.starts import rattled

RATTLE = 0.05
CONTACT = 2.0
"""Smallest distance (A) between molecules that are placed at random."""
TRIALS, DRAWS = 100, 100
"""Most attempts to place all molecules, and most orientations drawn in each."""
SITES = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
"""Where four molecules are, fractional."""


def diagonal(edge: float, distance: float) -> tuple[float, float, float]:
    """Return the place on the diagonal of a cube at a distance (A) from the origin, fractional."""
    return (distance / edge / np.sqrt(3),) * 3


MEASURED = {
    "urea": Known(
        [
            ("C", (0, 0.5, 0.326)),
            ("O", (0, 0.5, 0.5953)),
            ("N", (0.1459, 0.6459, 0.1766)),
            ("H", (0.2575, 0.7575, 0.2827)),
            ("H", (0.1441, 0.6441, -0.038)),
        ],
        113,
        tetragonal(5.565, 4.684),
        (1, 1, 2),
    ),
    "carbon-dioxide": Known(
        [("C", (0, 0, 0)), ("O", diagonal(5.624, 1.16))], 205, tetragonal(5.624, 5.624), (2, 1, 1)
    ),
    "ammonia": Known(
        [("N", (0.2107, 0.2107, 0.2107)), ("H", (0.3736, 0.2611, 0.112))],
        198,
        tetragonal(5.125, 5.125),
        (2, 1, 1),
    ),
    "acetylene": Known(
        [("C", diagonal(6.14, 0.6)), ("H", diagonal(6.14, 1.66))], 205, tetragonal(6.14, 6.14), (2, 1, 1)
    ),
    "hydrogen-cyanide": Known(
        [("H", (0, 0, 0)), ("C", (0, 0, 1.07 / 4.34)), ("N", (0, 0, 2.22 / 4.34))],
        107,
        tetragonal(4.63, 4.34),
        (2, 2, 1),
    ),
    "ice-XI": Known(
        [
            ("O", (0, 0.6648, 0.0631)),
            ("O", (0.5, 0.8255, -0.0631)),
            ("H", (0, 0.6636, 0.1963)),
            ("H", (0, 0.5363, 0.0183)),
            ("H", (0.6766, -0.2252, -0.0183)),
        ],
        36,
        (4.465, 7.858, 7.292, 90, 90, 90),
    ),
}
"""By name; of acetylene, carbon dioxide and hydrogen cyanide with the bonds of the molecules."""
PLACED: dict[str, tuple[str, float]] = {
    "formic-acid": ("HCOOH", 1.45),
    "formaldehyde": ("H2CO", 1.05),
    "hydrazine": ("N2H4", 0.95),
    "acetonitrile": ("CH3CN", 0.95),
}
"""Molecule of ASE's G2 set, and density (g/cm3), below that of the crystal."""


def placed(name: str, density: float, rng: np.random.Generator) -> Atoms:
    """Return four molecules on the sites of a face-centred cube, turned at random without contacts.

    An orientation is drawn anew while the molecule is too near to the others; all of them after many draws.
    """
    one = molecule(name)
    one.positions -= one.get_center_of_mass()
    grams = len(SITES) * atomic_masses[one.numbers].sum() * _amu * 1e3
    edge = (grams / density * 1e24) ** (1 / 3)
    for _ in range(TRIALS):
        atoms = Atoms(cell=[edge] * 3, pbc=True)
        for _ in range(DRAWS):
            turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
            site = SITES[len(atoms) // len(one)] * edge
            more = atoms + Atoms(one.numbers, one.positions @ turn.T + site)
            if between(more, len(one)) >= CONTACT:
                atoms = more
            if len(atoms) == len(SITES) * len(one):
                return atoms
    raise ValueError(f"{name} finds no room at {density} g/cm3")


def between(atoms: Atoms, size: int) -> float:
    """Return the shortest distance (A) between molecules of ``size`` atoms, images included."""
    i, j, shift, distance = neighbor_list("ijSd", atoms, CONTACT)
    apart = (i // size != j // size) | shift.any(axis=1)
    return float(distance[apart].min(initial=np.inf))


def molcrystals(seed: int) -> list[Atoms]:
    """Return the crystals, displaced."""
    made = {name: known.made() for name, known in MEASURED.items()}
    for index, (name, (formula, density)) in enumerate(PLACED.items()):
        made[name] = placed(formula, density, np.random.default_rng([seed, index, 2]))
    for name, atoms in made.items():
        atoms.info = {"name": name}
    return [rattled(atoms, RATTLE, seed, i) for i, atoms in enumerate(made.values())]
