"""Starts: structures with unique names, and random displacements that are the same in every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

__all__ = ["rattled", "unique_names"]


def unique_names(structures: Sequence[Atoms]) -> list[str]:
    """Return a name for each structure: that in its ``info``, with a number where these are not unique."""
    names = [str(atoms.info.get("name", atoms.info.get("material_id", ""))) for atoms in structures]
    if all(names) and len(set(names)) == len(names):
        return names
    return [
        f"{i:04d}-{name or atoms.get_chemical_formula()}"
        for i, (name, atoms) in enumerate(zip(names, structures, strict=True))
    ]


def rattled(atoms: Atoms, amount: float, seed: int, index: int) -> Atoms:
    """Return structure number ``index`` with every atom displaced at random.

    Each component of each position gets a normal deviate of standard deviation ``amount`` (A), as in
    ``Atoms.rattle``; the cell is unchanged, and constraints hold.
    """
    moved: Atoms = atoms.copy()
    if amount:
        moved.rattle(amount, rng=np.random.default_rng([seed, index]))
    return moved
