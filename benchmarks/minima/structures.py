"""Twenty structures at stationary points, about half of them saddle points.

Each is relaxed from here with its symmetry before anything is looked at, so that what it is at is a matter of
its symmetry and its calculator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import graphene, make_supercell, molecule, mx2
from ase.cluster import Icosahedron

from benchmarks.materials.layers import VACUUM, sheet
from benchmarks.materials.perovskites import ROOT2, cubic
from benchmarks.molecules import starts
from benchmarks.molecules.clusters import CLUSTERS, cluster
from relax.analysis.comparison.minimizers.names import System

BOND = 1.1
"""Distance of neighbours in Lennard-Jones clusters, sigma."""


@dataclass(frozen=True)
class Structure:
    """A structure near a stationary point.

    Attributes
    ----------
    make
        Returns the atoms, without a calculator.
    calculator
        One of ``xtb``, ``chgnet``, ``lj`` and ``emt``.
    system
        Whether the cell relaxes.
    step
        Displacement of the atoms in the differences of gradients that make the Hessian, A.
    """

    make: Callable[[], Atoms]
    calculator: str
    system: System
    step: float

    @property
    def periodic(self) -> bool:
        """Whether the structure has a space group."""
        return self.calculator == "chgnet"


free_molecule = partial(Structure, calculator="xtb", system=System.MOLECULES, step=0.02)
crystal = partial(Structure, calculator="chgnet", system=System.CRYSTALS, step=0.03)
layer = partial(Structure, calculator="chgnet", system=System.POSITIONS, step=0.03)
lj_cluster = partial(Structure, calculator="lj", system=System.POSITIONS, step=0.01)


def load(calculator: str) -> Any:
    """Return a new calculator, which has seen no other structure."""
    if calculator in starts.CALCULATORS:
        return starts.load(calculator)
    from relax.calculators.registry import load as registered

    return registered(calculator)


def eclipsed_ethane() -> Atoms:
    """Return ethane, one methyl group turned by 60 degrees."""
    atoms = molecule("C2H6")
    upper = atoms.positions[:, 2] > 0
    turned = atoms[upper]
    turned.rotate(60, "z")
    atoms.positions[upper] = turned.positions
    return atoms


def planar_ammonia() -> Atoms:
    """Return ammonia with all atoms in a plane."""
    angles = 2 * np.pi / 3 * np.arange(3)
    hydrogens = 1.01 * np.column_stack([np.cos(angles), np.sin(angles), np.zeros(3)])
    return Atoms("NH3", [[0, 0, 0], *hydrogens])


def trans_peroxide() -> Atoms:
    """Return hydrogen peroxide with all atoms in a plane, the hydrogens on opposite sides."""
    first = np.array([[0.72, 0, 0], [0.90, 0.95, 0]])
    return Atoms("OHOH", [*first, *-first])


def planar_biphenyl() -> Atoms:
    """Return biphenyl with both rings in a plane."""
    angles = np.pi / 3 * np.arange(6)
    around = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(6)])
    ring = np.concatenate([1.40 * around, 2.48 * around[1:]]) - [2.15, 0, 0]
    return Atoms("C6H5C6H5", [*ring, *ring * [-1, 1, 1]])


def perovskite(symbols: tuple[str, str, str], edge: float, supercell: list[list[int]] = ROOT2) -> Atoms:
    """Return a cubic perovskite, unless told otherwise in 20 atoms, among which octahedra can turn."""
    return make_supercell(cubic(symbols, edge), supercell, wrap=False)


def bipyramid() -> Atoms:
    """Return seven atoms: a pentagon, and one above and below it."""
    angles = 2 * np.pi / 5 * np.arange(5)
    radius = BOND / (2 * np.sin(np.pi / 5))
    ring = radius * np.column_stack([np.cos(angles), np.sin(angles), np.zeros(5)])
    height = np.sqrt(BOND**2 - radius**2)
    return Atoms("H7", [*ring, [0, 0, height], [0, 0, -height]])


def icosahedron() -> Atoms:
    """Return 13 atoms: an icosahedron and its centre."""
    atoms = Icosahedron("H", 2, latticeconstant=BOND * np.sqrt(2))
    return Atoms(atoms.numbers, atoms.positions)


def cuboctahedron() -> Atoms:
    """Return 13 atoms: a cuboctahedron and its centre."""
    corners = [c for c in product((-1, 0, 1), repeat=3) if sum(map(abs, c)) in (0, 2)]
    return Atoms(f"H{len(corners)}", BOND / np.sqrt(2) * np.array(corners))


def water() -> Atoms:
    """Return three molecules of water, as in the set of clusters."""
    recipe = CLUSTERS["water-3"]
    return cluster([molecule(name) for name in recipe.molecules], recipe.seed, recipe.spacing)


STRUCTURES: dict[str, Structure] = {
    "ethane, staggered": free_molecule(partial(molecule, "C2H6")),
    "ethane, eclipsed": free_molecule(eclipsed_ethane),
    "ammonia, planar": free_molecule(planar_ammonia),
    "hydrogen peroxide, trans": free_molecule(trans_peroxide),
    "propene": free_molecule(partial(molecule, "C3H6_Cs")),
    "butane, anti": free_molecule(partial(molecule, "trans-butane")),
    "biphenyl, planar": free_molecule(planar_biphenyl),
    "SrTiO3, cubic": crystal(partial(perovskite, ("Sr", "Ti", "O"), 3.91)),
    "CaTiO3, cubic": crystal(partial(perovskite, ("Ca", "Ti", "O"), 3.83)),
    "BaTiO3, cubic, 5 atoms": crystal(partial(perovskite, ("Ba", "Ti", "O"), 4.01, np.eye(3, dtype=int))),
    "KMgF3, cubic": crystal(partial(perovskite, ("K", "Mg", "F"), 3.99)),
    "CsPbI3, cubic": crystal(partial(perovskite, ("Cs", "Pb", "I"), 6.25)),
    "graphene": layer(partial(sheet, 4)),
    "boron nitride": layer(partial(graphene, "BN", a=2.51, size=(3, 3, 1), vacuum=VACUUM)),
    "MoS2": layer(partial(mx2, "MoS2", "2H", 3.18, 3.13, (3, 3, 1), vacuum=VACUUM)),
    "silicene, flat": layer(partial(graphene, "Si2", a=3.90, size=(3, 3, 1), vacuum=VACUUM)),
    "LJ7, bipyramid": lj_cluster(bipyramid),
    "LJ13, icosahedron": lj_cluster(icosahedron),
    "LJ13, cuboctahedron": lj_cluster(cuboctahedron),
    "water trimer": free_molecule(water),
}
"""The structures, by their name."""
