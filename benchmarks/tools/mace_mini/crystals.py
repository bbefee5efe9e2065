"""The crystals that are labelled, and how those of the test are kept out of the training data.

The crystals of the test are ``wbm_like(100, seed=1, largest=12, elements=ELEMENTS)``.  No crystal with the
reduced composition of one of them is trained on, or used to choose among models, whatever its prototype.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from benchmarks.crystals.wbm_like import wbm_like

ELEMENTS = ("Mg", "Al", "Ti", "Fe", "Co", "Ni", "Cu", "Zn", "Pd", "Ag", "Pt", "Au")
LARGEST = 12
TEST_SEED, TEST_CRYSTALS = 1, 100
TRAIN_SEED, TRAIN_CRYSTALS = 2, 500
"""Crystals to draw, of which those with compositions of the test are removed."""


def reduced(atoms: Atoms) -> str:
    """Return the reduced composition."""
    return str(atoms.symbols.formula.reduce()[0].format("hill"))


def unseen_crystals() -> list[Atoms]:
    """Return the crystals of the test."""
    return wbm_like(TEST_CRYSTALS, TEST_SEED, LARGEST, elements=ELEMENTS)


def training_crystals() -> list[Atoms]:
    """Return crystals of other compositions than those of the test."""
    held_out = {reduced(atoms) for atoms in unseen_crystals()}
    drawn = wbm_like(TRAIN_CRYSTALS, TRAIN_SEED, LARGEST, elements=ELEMENTS)
    return [atoms for atoms in drawn if reduced(atoms) not in held_out]


def distorted(
    atoms: Atoms, rng: np.random.Generator, volume: tuple[float, float], shear: float, rattle: float
) -> Atoms:
    """Return a copy, strained and rattled (A), its volume times a factor between both of ``volume``."""
    copy = atoms.copy()
    strain = rng.uniform(-shear, shear, (3, 3))
    deformation = np.eye(3) + (strain + strain.T) / 2
    deformation *= np.cbrt(rng.uniform(*volume) / np.linalg.det(deformation))
    copy.set_cell(copy.cell @ deformation, scale_atoms=True)
    copy.positions += rng.normal(0, rattle, copy.positions.shape)
    return copy
