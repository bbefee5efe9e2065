"""Polycrystals of the equimolar alloy CoNiCrFeMn, from a number of atoms, a number of grains and a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms

ELEMENTS = ("Co", "Ni", "Cr", "Fe", "Mn")
LATTICE = 3.595
"""Lattice constant (A) of the random fcc alloy with these parameters; a test measures it."""
CLOSEST = 2.0
"""Of two atoms nearer than this (A) at a boundary, one is left out."""
FCC = np.array([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]) / 2


class Box(NamedTuple):
    """What decides a polycrystal; ``atoms`` is the approximate number of atoms."""

    atoms: int
    grains: int
    seed: int


def polycrystal(box: Box) -> Atoms:
    """Return Voronoi grains of fcc in random orientations, in a periodic cube.

    Each grain has the atoms of its own lattice that are nearer to its centre than to any other centre.  The
    centres are at random places, so that the grains have many sizes.  Species are at random, with the same
    number of each up to one.

    Raises
    ------
    ValueError
        There are fewer than 100 atoms to a grain.
    """
    from scipy.spatial import cKDTree
    from scipy.spatial.transform import Rotation

    if box.grains < 1 or box.atoms < 100 * box.grains:
        raise ValueError(f"{box.grains} grains of {box.atoms} atoms: there must be at least 100 to a grain")
    rng = np.random.default_rng(box)
    edge = LATTICE * (box.atoms / 4) ** (1 / 3)
    centres = edge * rng.random((box.grains, 3))
    turns = Rotation.random(box.grains, rng=rng)
    nearest = cKDTree(centres, boxsize=edge)
    # No place is farther from a periodic image of a centre than half the diagonal of the cube.
    lattice = within(edge * np.sqrt(3) / 2)
    found = []
    for centre, turn in zip(centres, turns, strict=True):
        around = turn.apply(lattice + LATTICE * rng.random(3))
        places = (centre + around) % edge
        distance, _ = nearest.query(places)
        found.append(places[np.linalg.norm(around, axis=1) <= distance + 1e-9])
    positions = apart(np.concatenate(found), edge)
    species = rng.permutation(np.resize(ELEMENTS, len(positions)))
    return Atoms(species.tolist(), positions, cell=[edge] * 3, pbc=True)


def within(radius: float) -> np.ndarray:
    """Return the sites (N, 3) of the fcc lattice, A, in a sphere a little larger than ``radius`` (A)."""
    reach = radius + np.sqrt(3) * LATTICE  # each grain shifts its lattice by less than a cell
    cells = np.arange(-np.ceil(reach / LATTICE), np.ceil(reach / LATTICE) + 1)
    corners = np.stack(np.meshgrid(cells, cells, cells, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = LATTICE * (corners + FCC).reshape(-1, 3)
    return np.asarray(sites[np.linalg.norm(sites, axis=1) <= reach])


def apart(positions: np.ndarray, edge: float) -> np.ndarray:
    """Return the positions (N, 3) without the second of each two that are nearer than ``CLOSEST``."""
    from scipy.spatial import cKDTree

    kept = np.ones(len(positions), dtype=bool)
    pairs = cKDTree(positions % edge, boxsize=edge).query_pairs(CLOSEST, output_type="ndarray")
    for first, second in pairs[np.lexsort(pairs.T[::-1])]:
        kept[second] &= not kept[first]
    return positions[kept]
