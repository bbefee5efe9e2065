"""Structures of the tests of comparisons."""

from __future__ import annotations

from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111
from ase.constraints import FixAtoms


def alloy() -> Atoms:
    atoms = bulk("CuAu", "cesiumchloride", a=3.2) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    return atoms


def slab() -> Atoms:
    atoms = fcc111("Al", (1, 1, 3), vacuum=6.0)
    add_adsorbate(atoms, "O", 1.4, "fcc")
    atoms.info.clear()
    atoms.set_constraint(FixAtoms([0, 1]))
    return atoms
