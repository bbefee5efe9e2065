"""Starts: random displacements that are the same in every run."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def rattled(atoms: Atoms, amount: float, seed: int, index: int) -> Atoms:
    """Return structure number ``index`` with every atom displaced at random.

    Each component of each position gets a normal deviate of standard deviation ``amount`` (A), as in
    ``Atoms.rattle``; the cell is unchanged.
    """
    moved: Atoms = atoms.copy()
    if amount:
        moved.rattle(amount, rng=np.random.default_rng([seed, index]))
    return moved
