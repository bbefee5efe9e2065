"""Clusters of small molecules: each turned at random, on a loose grid, with no bonds between them.

:data:`CLUSTERS` is the set that is reported.  :func:`development` has the clusters, beside molecules, on
which optimizers are tuned; other seeds and other compositions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build import molecule

from benchmarks.molecules.drugs import DEVELOPMENT, DEVELOPMENT_SEED, all_embedded, embedded


class Recipe(NamedTuple):
    """A cluster: its molecules by their names in ASE, a seed, and the spacing of the grid, A."""

    molecules: tuple[str, ...]
    seed: int
    spacing: float


CLUSTERS = {
    "water-3": Recipe(("H2O",) * 3, 121, 3.3),
    "water-5": Recipe(("H2O",) * 5, 102, 3.3),
    "water-8": Recipe(("H2O",) * 8, 103, 3.3),
    "methanol-3": Recipe(("CH3OH",) * 3, 104, 4.0),
    "methanol-5": Recipe(("CH3OH",) * 5, 125, 4.0),
    "ammonia-4": Recipe(("NH3",) * 4, 146, 3.6),
    "ammonia-7": Recipe(("NH3",) * 7, 107, 3.6),
    "water-ammonia-6": Recipe(("H2O", "NH3") * 3, 108, 3.6),
    "water-methanol-4": Recipe(("H2O", "CH3OH") * 2, 109, 4.0),
    "water-methanol-6": Recipe(("H2O", "CH3OH", "H2O") * 2, 110, 4.0),
    "methanol-ammonia-5": Recipe(("CH3OH", "NH3", "CH3OH", "NH3", "CH3OH"), 111, 4.0),
    "formic-acid-water-4": Recipe(("HCOOH", "H2O", "HCOOH", "H2O"), 112, 4.0),
    "acetonitrile-water-4": Recipe(("CH3CN", "H2O", "CH3CN", "H2O"), 193, 4.0),
    "formaldehyde-water-7": Recipe(("H2CO", "H2O", "H2O", "H2CO", "H2O", "H2O", "H2CO"), 114, 4.0),
}


def cluster(molecules: Sequence[Atoms], seed: int, spacing: float) -> Atoms:
    """Return the molecules, each turned at random, on the first points of a cubic grid.

    Parameters
    ----------
    spacing
        Distance of neighbouring points of the grid, A.
    """
    rng = np.random.default_rng(seed)
    side = int(np.ceil(len(molecules) ** (1 / 3)))
    found = Atoms()
    for single, point in zip(molecules, product(range(side), repeat=3), strict=False):
        turned = single.copy()
        turned.positions -= turned.positions.mean(axis=0)
        turned.rotate(rng.uniform(0, 360), rng.normal(size=3))
        turned.positions += spacing * np.array(point)
        found += turned
    return found


def clusters() -> dict[str, Atoms]:
    """Return the clusters of the set that is reported, by their name."""
    return {
        name: cluster([molecule(one) for one in recipe.molecules], recipe.seed, recipe.spacing)
        for name, recipe in CLUSTERS.items()
    }


def benzene_dimer() -> Atoms:
    """Return two molecules of benzene, one above the other, tilted and shifted."""
    first = molecule("C6H6")
    second = first.copy()
    second.rotate(35, "x")
    second.rotate(20, "y")
    second.translate([1.3, 0.6, 4.2])
    return first + second


def development() -> dict[str, Atoms]:
    """Return the molecules and clusters on which optimizers are tuned, by their name."""
    methanol, water = molecule("CH3OH"), molecule("H2O")
    formamide = embedded("NC=O", DEVELOPMENT_SEED)
    return all_embedded(DEVELOPMENT, DEVELOPMENT_SEED) | {
        "meoh4": cluster([methanol] * 4, 1, 3.9),
        "meoh7": cluster([methanol] * 7, 2, 3.9),
        "watform": cluster([water, formamide] * 3, 3, 3.9),
        "bzdimer": benzene_dimer(),
    }
