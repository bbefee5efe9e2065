"""Which Wyckoff positions of its space group the elements of a crystal occupy.

Their letters depend on the place of the crystal: where all atoms of CsCl move by half of the diagonal, ``a``
becomes ``b``.  So the crystal is moved to the places and turned to the orientations in which its lattice and
its space group stay as they are, spglib names the positions of each, and the first of these names counts.
Which letters become which is the same for all crystals of a group that occupy positions of the same letters.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms

from relax.geometry.symmetry import LARGEST, SYMPREC, is_crystal, symmetry_dataset

__all__ = ["occupied_sites"]

Letters = tuple[tuple[str, str], ...]

QUARTERS = (0, 0.25, 0.5, 0.75)
THIRDS = ((0, 0), (1 / 3, 2 / 3), (2 / 3, 1 / 3))

EXACT = 1e-4
"""Tolerance (A) for crystals that spglib has made symmetric."""

TURNS: dict[str, list[np.ndarray]] = {
    "triclinic": [],
    "monoclinic": [np.diag([-1, 1, -1])],
    "orthorhombic": [np.diag([1, -1, -1]), np.diag([-1, 1, -1])],
    "tetragonal": [
        np.diag([1, -1, -1]), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    ],
    "hexagonal": [
        np.diag([-1, -1, 1]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
        np.array([[0, -1, 0], [-1, 0, 0], [0, 0, -1]]),
    ],
    "cubic": [np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])],
}  # fmt: skip
"""Rotations of each lattice, in its conventional cell, that are not in each of its space groups."""

_known: dict[tuple[int, str], list[dict[str, str]]] = {}


def occupied_sites(atoms: Atoms, symprec: float = SYMPREC) -> tuple[int, Letters] | None:
    """Return the number of the space group, and the element and the letter of each occupied position.

    The result does not depend on the cell that the crystal is given in, nor on its place and orientation.

    Parameters
    ----------
    atoms
        The structure.
    symprec
        Largest distance of atoms from their symmetric positions, A.

    Returns
    -------
    tuple or None
        None for what is not periodic in three directions or has more than
        :data:`~relax.geometry.symmetry.LARGEST` atoms, and where spglib finds no group.
    """
    if not is_crystal(atoms) or len(atoms) > LARGEST:
        return None
    group = symmetry_dataset(atoms, symprec)
    if group is None:
        return None
    orbits = np.unique(group.crystallographic_orbits, return_index=True)[1]
    sites = [(atoms.symbols[i], group.wyckoffs[i]) for i in orbits]
    key = group.hall_number, "".join(sorted({letter for _, letter in sites}))
    if key not in _known:
        _known[key] = _renamings(group)
    return group.number, min(
        tuple(sorted((symbol, names[letter]) for symbol, letter in sites)) for names in _known[key]
    )


def _renamings(group: Any) -> list[dict[str, str]]:
    """Return what the letters of a crystal become as it is moved and turned."""
    of_primitive = dict(zip(group.mapping_to_primitive, group.wyckoffs, strict=True))
    letters = [of_primitive[i] for i in group.std_mapping_to_primitive]
    cell, scaled, numbers = group.std_lattice, group.std_positions, group.std_types
    found = [dict(zip(letters, letters, strict=True))]
    for turn in [np.eye(3), *TURNS[_lattice(group.number)]]:
        turned = scaled @ turn.T
        moved = symmetry_dataset(Atoms(numbers, cell=cell, scaled_positions=turned, pbc=True), EXACT)
        if moved is None or moved.number != group.number:
            continue
        for shift in _shifts(moved.rotations, moved.translations):
            here = Atoms(numbers, cell=cell, scaled_positions=turned + shift, pbc=True)
            other = symmetry_dataset(here, EXACT)
            if other is None or other.hall_number != group.hall_number:
                continue
            names = dict(zip(letters, other.wyckoffs, strict=True))
            if names not in found:
                found.append(names)
    return found


def _shifts(rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """Return the translations (K, 3), of those of a grid, after which a group is the same."""
    still = translations[(rotations == np.eye(3)).all(axis=(1, 2))]
    steps = _grid()
    moved = np.einsum("kab,gb->gka", rotations - np.eye(3, dtype=int), steps)
    apart = moved[:, :, None] - still
    fits = (np.abs(apart - np.round(apart)).max(axis=3) < 1e-4).any(axis=2).all(axis=1)
    return np.asarray(steps[fits])


@lru_cache(maxsize=1)
def _grid() -> np.ndarray:
    places = product(THIRDS, QUARTERS, QUARTERS, QUARTERS)
    return np.array([(a + thirds[0], b + thirds[1], c) for thirds, a, b, c in places]) % 1


def _lattice(number: int) -> str:
    """Return the lattice of a space group; those of trigonal groups have hexagonal axes."""
    last = {"triclinic": 2, "monoclinic": 15, "orthorhombic": 74, "tetragonal": 142, "hexagonal": 194}
    return next((name for name, end in last.items() if number <= end), "cubic")
