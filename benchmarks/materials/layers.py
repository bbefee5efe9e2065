"""Layers with vacuum above them: with defects, with atoms on them, or two on each other; the cell is held."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import graphene, mx2
from ase.spacegroup import crystal

from relax.analysis.comparison.starts import rattled

VACUUM = 7.0
"""Room (A) above and below."""
RATTLE = 0.05


def without(atoms: Atoms, *indices: int) -> Atoms:
    """Return the layer without some atoms."""
    del atoms[list(indices)]
    return atoms


def sheet(repeat: int) -> Atoms:
    """Return a sheet of graphene."""
    return graphene(size=(repeat, repeat, 1), vacuum=VACUUM)


def neighbour(atoms: Atoms, index: int) -> int:
    """Return the index of the nearest atom."""
    distances = atoms.get_distances(index, range(len(atoms)), mic=True)
    return int(np.argsort(distances)[1])


def adatom(symbol: str, height: float) -> Atoms:
    """Return graphene with an atom ``height`` (A) above the middle of a bond."""
    atoms = sheet(4)
    i = len(atoms) // 2
    middle = atoms.positions[i] + atoms.get_distance(i, neighbour(atoms, i), mic=True, vector=True) / 2
    return atoms + Atoms(symbol, [middle + np.array([0, 0, height])])


def rotated_bond() -> Atoms:
    """Return graphene with one bond turned by 90 degrees in the plane (Stone and Wales)."""
    atoms = sheet(4)
    i = len(atoms) // 2
    j = neighbour(atoms, i)
    bond = atoms.get_distance(i, j, mic=True, vector=True)
    turned = np.array([-bond[1], bond[0], 0]) / 2
    middle = atoms.positions[i] + bond / 2
    atoms.positions[[i, j]] = middle + turned, middle - turned
    return atoms


def silicene() -> Atoms:
    """Return buckled silicene, as graphene with every second atom higher, without one atom."""
    atoms = graphene("Si2", a=3.87, size=(4, 4, 1), vacuum=VACUUM)
    atoms.positions[1::2, 2] += 0.45
    return without(atoms, 0)


def boron_nitride_on_graphene() -> Atoms:
    """Return graphene with a sheet of boron nitride above it, strained to the same cell."""
    lower, upper = sheet(3), graphene("BN", a=2.46, size=(3, 3, 1), vacuum=VACUUM)
    upper.positions += [0.4, 0.2, 3.35]
    return lower + upper


def puckered(
    sites: list[tuple[str, tuple[float, float, float]]], cell: tuple[float, float, float], repeat: int
) -> Atoms:
    """Return one layer of a crystal of space group Pnma with layers normal to a.

    Parameters
    ----------
    sites
        Element and fractional coordinates of one atom of each kind.
    cell
        a, b, c (A) of the crystal.
    """
    symbols, basis = zip(*sites, strict=True)
    whole = crystal(symbols, basis, spacegroup=62, cellpar=[*cell, 90, 90, 90])
    heights = whole.get_scaled_positions()[:, 0]
    layer = whole[(heights > 0.25) & (heights < 0.75)]
    flat = Atoms(layer.numbers, layer.positions[:, [1, 2, 0]], cell=[cell[1], cell[2], cell[0]], pbc=True)
    return flat * (repeat, repeat, 1)


LAYERS: dict[str, Callable[[], Atoms]] = {
    "MoS2-vacancy": lambda: without(mx2("MoS2", "2H", 3.18, 3.13, (3, 3, 1)), 1),
    "MoSe2-pair": lambda: without(mx2("MoSe2", "2H", 3.32, 3.34, (3, 3, 1)), 1, 2),
    "TiS2-vacancy": lambda: without(mx2("TiS2", "1T", 3.41, 2.85, (3, 3, 1)), 2),
    "graphene-divacancy": lambda: without(sheet(4), 16, neighbour(sheet(4), 16)),
    "graphene-rotated-bond": rotated_bond,
    "graphene-adatom": lambda: adatom("C", 1.8),
    "graphene-oxygen": lambda: adatom("O", 1.4),
    "silicene-vacancy": silicene,
    "GeS": lambda: puckered(
        [("Ge", (0.1218, 0.25, 0.1064)), ("S", (0.8508, 0.25, 0.5012))], (10.47, 3.64, 4.3), 3
    ),
    "SnSe-vacancy": lambda: without(
        puckered([("Sn", (0.118, 0.25, 0.103)), ("Se", (0.855, 0.25, 0.479))], (11.5, 4.15, 4.45), 3), 0
    ),
    "BN-on-graphene": boron_nitride_on_graphene,
}


def layers(seed: int) -> list[Atoms]:
    """Return the layers, displaced."""
    made = []
    for index, (name, make) in enumerate(LAYERS.items()):
        atoms = make()
        atoms.center(VACUUM, axis=2)
        atoms.pbc = True
        atoms.info = {"name": name}
        made.append(rattled(atoms, RATTLE, seed, index))
    return made
