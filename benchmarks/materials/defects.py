"""Point defects in bulk crystals: vacancies, interstitials, dumbbells, substitutions; the cell relaxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from relax.analysis.comparison.starts import rattled

RATTLE = 0.02
"""Small (A), so that no defect is at a saddle point by symmetry."""
Triple = tuple[float, float, float]


def host(symbols: str, structure: str, a: float, repeat: tuple[int, int, int]) -> Atoms:
    """Return a supercell of the cubic cell of a crystal."""
    return bulk(symbols, structure, a=a, cubic=True) * repeat


def without(atoms: Atoms, *places: tuple[str, Triple]) -> Atoms:
    """Return the crystal without the atom of an element that is nearest to each of ``places`` (A)."""
    for symbol, place in places:
        del atoms[nearest(atoms, symbol, place)]
    return atoms


def nearest(atoms: Atoms, symbol: str, place: Triple) -> int:
    """Return the index of the atom of an element nearest to ``place`` (A)."""
    of_symbol = np.flatnonzero(atoms.symbols == symbol)
    distances = np.linalg.norm(atoms.positions[of_symbol] - np.array(place), axis=1)
    return int(of_symbol[distances.argmin()])


def with_atom(atoms: Atoms, symbol: str, place: Triple) -> Atoms:
    """Return the crystal with one more atom at ``place`` (A)."""
    return atoms + Atoms(symbol, [place])


def replaced(atoms: Atoms, symbol: str, place: Triple, other: str) -> Atoms:
    """Return the crystal with the atom of an element nearest to ``place`` (A) replaced."""
    atoms.symbols[nearest(atoms, symbol, place)] = other
    return atoms


def dumbbell(atoms: Atoms, half: Triple) -> Atoms:
    """Return the crystal with the first atom replaced by two, ``half`` (A) to either side."""
    symbol, place = atoms[0].symbol, atoms[0].position.copy()
    del atoms[0]
    return atoms + Atoms([symbol] * 2, [place + half, place - half])


def rutile() -> Atoms:
    """Return 48 atoms of TiO2."""
    cell = crystal(
        ("Ti", "O"), [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )
    return Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True) * (2, 2, 2)


def titanium() -> Atoms:
    """Return 36 atoms of hexagonal titanium with oxygen between six of them."""
    atoms = bulk("Ti", "hcp", a=2.95, c=4.68) * (3, 3, 2)
    # Between the layers at 0 and c/2, above a hollow of both.
    x, y, _ = (atoms.cell[0] + atoms.cell[1]) / 3 - atoms.positions[1] + 2 * atoms.positions[0]
    return with_atom(atoms, "O", (x, y, 4.68 / 4))


DEFECTS: dict[str, Callable[[], Atoms]] = {
    "Si-vacancy": lambda: without(host("Si", "diamond", 5.43, (2, 2, 2)), ("Si", (5.4, 5.4, 5.4))),
    "Si-interstitial": lambda: with_atom(host("Si", "diamond", 5.43, (2, 2, 2)), "Si", (2.715, 2.715, 2.715)),
    "SiC-vacancy": lambda: without(host("SiC", "zincblende", 4.36, (2, 2, 1)), ("C", (4.4, 4.4, 2.2))),
    "GaAs-antisite": lambda: replaced(host("GaAs", "zincblende", 5.653, (2, 2, 2)), "Ga", (0, 0, 0), "As"),
    "MgO-pair": lambda: without(
        host("MgO", "rocksalt", 4.212, (2, 2, 1)), ("Mg", (0, 0, 0)), ("O", (4.2, 4.2, 2.1))
    ),
    "NaCl-vacancy": lambda: without(host("NaCl", "rocksalt", 5.64, (2, 2, 2)), ("Cl", (5.6, 5.6, 5.6))),
    "KBr-interstitial": lambda: with_atom(host("KBr", "rocksalt", 6.6, (2, 2, 1)), "K", (1.65, 1.65, 1.65)),
    "Cu-dumbbell": lambda: dumbbell(host("Cu", "fcc", 3.61, (2, 2, 2)), (1.08, 0, 0)),
    "Fe-dumbbell": lambda: dumbbell(host("Fe", "bcc", 2.83, (3, 3, 2)), (0.72, 0.72, 0)),
    "TiO2-vacancy": lambda: without(rutile(), ("O", (4.6, 4.6, 3.0))),
    "Ti-oxygen": titanium,
}
"""Crystals with a defect, by name; oxygen in titanium is between six atoms, extra potassium in a cube."""


def defects(seed: int) -> list[Atoms]:
    """Return the crystals, displaced a little."""
    made = []
    for index, (name, make) in enumerate(DEFECTS.items()):
        atoms = make()
        atoms.info = {"name": name}
        made.append(rattled(atoms, RATTLE, seed, index))
    return made
