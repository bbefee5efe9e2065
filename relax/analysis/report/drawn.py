"""What the page needs to draw a structure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms

from relax.geometry.neighbors import complete_cell
from relax.geometry.sanity import NONMETALS

__all__ = ["STEP", "Unwrapped", "elements", "integers", "shown"]

STEP = 100
"""Integers that stand for 1 A."""

LARGEST = 10_000.0
"""Longest vector (A, or eV/A) that is drawn."""


def elements(numbers: Iterable[int]) -> dict[str, list[Any]]:
    """Return symbol, covalent radius (A), colour, and whether it is a metal, by atomic number."""
    from ase.data import chemical_symbols, covalent_radii
    from ase.data.colors import jmol_colors

    found = {}
    for number in sorted({int(each) for each in numbers}):
        known = number if number < len(jmol_colors) else 0
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in jmol_colors[known].tolist())
        radius = round(float(covalent_radii[number]), 2)
        found[str(number)] = [chemical_symbols[number], radius, colour, number not in NONMETALS]
    return found


def integers(values: Any, step: int = STEP) -> list[int]:
    """Return vectors (A, or eV/A) as whole multiples of 1 / ``step``, one number after the other."""
    rounded = np.nan_to_num(np.asarray(values, float) * step).clip(-LARGEST * step, LARGEST * step)
    found: list[int] = rounded.round().astype(int).ravel().tolist()
    return found


def shown(atoms: Atoms) -> dict[str, Any]:
    """Return the atomic numbers, the cell and the periodic axes of a structure; a molecule has no cell."""
    found: dict[str, Any] = {"z": atoms.numbers.tolist()}
    if atoms.pbc.any() and atoms.cell.array.any():
        found |= {"cell": integers(atoms.cell.array), "pbc": atoms.pbc.astype(int).tolist()}
    return found


class Unwrapped:
    """Positions along a path on which no atom jumps to the other side of the cell."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def positions(self, atoms: Atoms) -> np.ndarray:
        """Return the positions (N, 3), A, of the next frame: the images that are nearest to the last."""
        pbc = atoms.pbc
        if not pbc.any():
            return np.array(atoms.positions)
        cell = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0), pbc)
        if abs(np.linalg.det(cell)) < 1e-9:
            return np.array(atoms.positions)
        scaled = atoms.positions @ np.linalg.inv(cell)
        shift = np.zeros_like(scaled)
        if self._before is not None:
            shift = np.where(pbc, np.round(self._before - scaled), 0.0)
        self._before = scaled + shift
        return np.asarray(atoms.positions + shift @ cell)
