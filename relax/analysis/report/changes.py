"""What a relaxation has changed, from the first structure to the last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from relax.analysis.report.packing import rounded
from relax.geometry.neighbors import pairs, vectors
from relax.geometry.symmetry import is_crystal, space_group

__all__ = ["BONDED", "LOOSE", "bond_changes", "changes", "displacements"]

BONDED, LOOSE = 1.2, 1.3
"""Distances, over the sum of the covalent radii, below which atoms are bonded and above which they are not.
Between the two a bond neither forms nor breaks."""

MOST_LISTED = 200
"""Bonds of each kind that are listed; all are counted."""

CELL = (
    (
        "a",
        "b",
        "c",
        "\N{GREEK SMALL LETTER ALPHA}",
        "\N{GREEK SMALL LETTER BETA}",
        "\N{GREEK SMALL LETTER GAMMA}",
    ),
    ("Å", "Å", "Å", "°", "°", "°"),
    (4, 4, 4, 2, 2, 2),
)
"""Names, units, and digits after the point of lengths and angles."""

Json = dict[str, Any]
Bond = tuple[int, int, int, int, int]


def changes(first: Atoms, last: Atoms) -> list[list[Any]]:
    """Return rows of a table: what, unit, before, after, digits after the point.

    Parameters
    ----------
    first, last
        The same atoms, with energies (eV) and forces (eV/A).  Lengths are in A, angles in degrees and volumes
        in A^3.
    """
    both, natoms = (first, last), max(len(first), 1)
    found: list[list[Any]] = []

    def add(name: str, unit: str, values: Iterable[float], digits: int) -> None:
        found.append([name, unit, *(rounded(value, 8) for value in values), digits])

    energies = [float(atoms.get_potential_energy()) for atoms in both]
    add("energy", "eV", energies, 4)
    add("energy per atom", "eV", [energy / natoms for energy in energies], 5)
    forces = [np.linalg.norm(atoms.get_forces(), axis=1).max(initial=0.0) for atoms in both]
    add("longest force", "eV/Å", forces, 4)
    if first.pbc.all():
        add("volume", "Å³", [abs(atoms.cell.volume) for atoms in both], 3)
    if first.pbc.any():
        lengths = (atoms.cell.cellpar() for atoms in both)
        for name, unit, digits, before, after in zip(*CELL, *lengths, strict=True):
            add(name, unit, [before, after], digits)
    if is_crystal(first) and is_crystal(last):
        found.append(["space group", "", space_group(first) or "none", space_group(last) or "none", 0])
    return found


def displacements(first: Atoms, last: Atoms, positions: np.ndarray) -> np.ndarray:
    """Return how far each atom has gone beside its cell (N,), A.

    Parameters
    ----------
    first, last
        The same atoms.
    positions
        Those of the last (N, 3), A, without jumps to the other side of the cell.
    """
    before, after = (np.where(atoms.pbc[:, None], atoms.cell.array, 0.0) for atoms in (first, last))
    strain = np.linalg.pinv(before) @ (after - before)
    way = positions - first.positions - first.positions @ strain
    return np.asarray(np.linalg.norm(way, axis=1))


def bond_changes(first: Atoms, last: Atoms, positions: np.ndarray) -> Json | None:
    """Return the bonds that have formed and broken; arguments as above.

    Returns
    -------
    dict or None
        ``formed`` and ``broken`` with rows of the two atoms and their distances (A) before and after, and
        ``counts`` of the two; None where a structure has too many pairs of atoms to be looked at.
    """
    end = last.copy()
    end.positions = positions
    try:
        before, after = _near(first), _near(end)
    except ValueError:
        return None
    found: Json = {"counts": {}}
    for name, new, old in (("formed", after, before), ("broken", before, after)):
        bonds = sorted(bond for bond, d in new.items() if d < BONDED * _size(first, bond) and bond not in old)
        found["counts"][name] = len(bonds)
        found[name] = [
            [*bond[:2], rounded(_length(first, bond), 3), rounded(_length(end, bond), 3)]
            for bond in bonds[:MOST_LISTED]
        ]
    return found


def _near(atoms: Atoms) -> dict[Bond, float]:
    """Return the distances (A) of pairs that are not certainly apart, by atoms and the shift of the cell."""
    radii = covalent_radii[atoms.numbers]
    reach = LOOSE * 2 * float(radii.max(initial=0.0))
    i, j, shifts = pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)
    d = np.linalg.norm(vectors(atoms.positions, i, j, shifts, cell), axis=1)
    first = np.zeros(len(i), bool)
    for axis in range(3):  # of a pair of an atom and its image, one of the two directions
        first |= (shifts[:, axis] > 0) & ~shifts[:, :axis].any(axis=1)
    near = (d < LOOSE * (radii[i] + radii[j])) & ((i < j) | ((i == j) & first))
    keys = np.column_stack([i, j, shifts])[near].tolist()
    return {tuple(key): length for key, length in zip(keys, d[near].tolist(), strict=True)}


def _size(atoms: Atoms, bond: Bond) -> float:
    return float(covalent_radii[atoms.numbers[list(bond[:2])]].sum())


def _length(atoms: Atoms, bond: Bond) -> float:
    i, j, *shift = bond
    cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)
    return float(np.linalg.norm(atoms.positions[j] + np.array(shift) @ cell - atoms.positions[i]))
