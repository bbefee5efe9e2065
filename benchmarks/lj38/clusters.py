"""Lennard-Jones clusters of OptBench: random starts, energy, and whether a cluster is still bound."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

SIZE = 38
COVALENT_RADIUS = 0.31
PACKING = 0.1
WINDOW = (0.496, 0.806)
CHUNK = 8
"""Clusters evaluated at a time: as many as fit into the second-level cache."""
BOND = 2.0
"""Longest bond, in sigma.  Neighbours are at 1.1 and the next shell at 1.6; at 2 the force of a single
neighbour is still 20 times that at which a run stops."""


def random_cluster(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """Return the positions (size, 3), in sigma, of a random cluster, made as in OptBench.

    The first atom is at the origin; atom n + 1 is uniform in a cube of side
    ((n + 1) 4/3 pi r / packing)^(1/3) about it, accepted if its nearest neighbour is in the window.
    """
    x = np.zeros((size, 3))
    for n in range(1, size):
        side = ((n + 1) * 4 / 3 * np.pi * COVALENT_RADIUS / PACKING) ** (1 / 3)
        while True:
            x[n] = rng.uniform(-side / 2, side / 2, 3)
            nearest = np.sqrt(((x[:n] - x[n]) ** 2).sum(axis=1).min())
            if WINDOW[0] <= nearest <= WINDOW[1]:
                break
    return x


def random_clusters(n: int, seed: int) -> np.ndarray:
    """Return ``n`` clusters (n, 38, 3); the first m are the same for every n >= m."""
    return np.stack([random_cluster(np.random.default_rng([seed, i])) for i in range(n)])


def read_clusters(path: Path) -> np.ndarray:
    """Return the clusters (n, atoms, 3) of a ``.npy`` file, or of a file with several frames for ASE."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False).astype(float)
    from ase.io import read

    return np.stack([atoms.positions for atoms in read(path, index=":")])


def read_starts(path: Path, n: int | None) -> np.ndarray:
    """Return the first ``n`` clusters of a file, all if None.  Raises ValueError where there are none."""
    try:
        starts = read_clusters(path)
    except Exception as error:  # the exceptions of ASE's readers depend on the format
        raise ValueError(f"cannot read clusters from {path}: {str(error) or type(error).__name__}") from None
    if starts.ndim != 3 or starts.shape[2] != 3 or len(starts) == 0 or not np.isfinite(starts).all():
        raise ValueError(f"{path} has no clusters: an array of shape {starts.shape}, not (n, atoms, 3)")
    if n is not None and n > len(starts):
        raise ValueError(f"{path} has {len(starts)} clusters, and --n asks for {n}")
    return starts[:n]


def lennard_jones(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and gradients (n, atoms, 3) of clusters ``x`` (n, atoms, 3); LJ units, no cutoff."""
    energies, gradients = np.empty(len(x)), np.empty(x.shape)
    for cut in range(0, len(x), CHUNK):
        chunk = slice(cut, cut + CHUNK)
        d = [x[chunk, :, None, k] - x[chunk, None, :, k] for k in range(3)]
        squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        np.einsum("nii->ni", squared)[:] = np.inf
        inverse = 1 / squared
        sixth = inverse * inverse * inverse
        energies[chunk] = 2 * (sixth * (sixth - 1)).sum(axis=(1, 2))
        pull = 24 * inverse * sixth * (1 - 2 * sixth)
        for k in range(3):
            gradients[chunk, :, k] = (pull * d[k]).sum(axis=2)
    return energies, gradients


def is_bound(x: np.ndarray) -> bool:
    """Return whether the atoms ``x`` (atoms, 3) are connected by bonds no longer than :data:`BOND`."""
    from scipy.sparse.csgraph import connected_components

    near = ((x[:, None] - x[None]) ** 2).sum(axis=2) < BOND**2
    return int(connected_components(near, directed=False)[0]) == 1


class ClusterCalculator(Calculator):
    """The same energy as an ASE calculator, one cluster at a time."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):  # type: ignore[no-untyped-def]
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        energies, gradients = lennard_jones(self.atoms.positions[None])
        self.results = {"energy": float(energies[0]), "forces": -gradients[0]}


def atoms_of(x: np.ndarray) -> Atoms:
    """Return a cluster (atoms, 3) as ``Atoms`` with a calculator."""
    atoms = Atoms(f"H{len(x)}", x)
    atoms.calc = ClusterCalculator()
    return atoms
