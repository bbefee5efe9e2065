"""Molecules on surfaces of metals and oxides; the lowest layer is fixed, and the cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100, fcc111, hcp0001, molecule, surface
from ase.constraints import FixAtoms

from relax.analysis.comparison.starts import rattled

VACUUM = 7.0
"""Room (A) above and below."""
FIXED = 0.35
"""Part of the height of the slab, from below, in which atoms are fixed."""
RATTLE = 0.05

TURNS: dict[str, tuple[tuple[float, str], ...]] = {
    "OH": ((180, "x"), (20, "y")),
    "NH3": ((180, "x"),),
    "H2O": ((180, "x"), (60, "x")),
    "HCOOH": ((90, "x"),),
    "C2H4": ((90, "y"),),
}
"""How molecules of ASE's G2 set are turned (degrees): the atom that binds below, ethylene flat."""
LOWEST = 0.3
"""Atoms within this (A) of the lowest one are put above the site, in their middle."""

Slab = Callable[[], Atoms]
Metals = dict[str, tuple[Slab, str, float]]
Oxides = dict[str, tuple[Slab, float]]

METALS: Metals = {
    "O-Ni111": (lambda: fcc111("Ni", (3, 3, 3)), "fcc", 1.3),
    "CO-Pd111": (lambda: fcc111("Pd", (3, 3, 3)), "bridge", 1.6),
    "CH3-Ir111": (lambda: fcc111("Ir", (3, 3, 3)), "ontop", 2.1),
    "HCOOH-Cu111": (lambda: fcc111("Cu", (3, 3, 3)), "bridge", 2.2),
    "OH-Cu100": (lambda: fcc100("Cu", (3, 3, 3)), "hollow", 1.4),
    "NH3-Ni100": (lambda: fcc100("Ni", (3, 3, 3)), "ontop", 2.1),
    "C2H4-Pd100": (lambda: fcc100("Pd", (3, 3, 3)), "bridge", 2.2),
    "H2O-Ru0001": (lambda: hcp0001("Ru", (3, 3, 3)), "ontop", 2.4),
    "N-Ti0001": (lambda: hcp0001("Ti", (3, 3, 3)), "fcc", 1.3),
}
"""Slab, site and height (A) of the lowest atom above the surface, by molecule and surface."""

DEVELOPMENT_METALS: Metals = {
    "CO-Cu111": (lambda: fcc111("Cu", (3, 3, 3)), "ontop", 1.9),
    "O-Pd111": (lambda: fcc111("Pd", (3, 3, 3)), "fcc", 1.2),
    "CH3-Pt111": (lambda: fcc111("Pt", (3, 3, 3)), "ontop", 2.1),
    "NH3-Pd111": (lambda: fcc111("Pd", (3, 3, 3)), "ontop", 2.2),
    "H2O-Ni111": (lambda: fcc111("Ni", (3, 3, 3)), "ontop", 2.3),
    "OH-Rh100": (lambda: fcc100("Rh", (3, 3, 3)), "hollow", 1.4),
    "C2H4-Ni100": (lambda: fcc100("Ni", (3, 3, 3)), "bridge", 2.1),
    "HCOOH-Pd100": (lambda: fcc100("Pd", (3, 3, 3)), "bridge", 2.3),
    "CO-Ru0001": (lambda: hcp0001("Ru", (3, 3, 3)), "ontop", 2.0),
    "N-Co0001": (lambda: hcp0001("Co", (3, 3, 3)), "fcc", 1.2),
}
"""The same of slabs on which optimizers are tuned."""


def mgo100() -> Atoms:
    """Return three layers of MgO(100), 2 x 2, a Mg of the surface above the origin."""
    slab = surface(bulk("MgO", "rocksalt", a=4.212, cubic=True), (1, 0, 0), 2).repeat((2, 2, 1))
    heights = np.round(slab.positions[:, 2], 3)
    slab = slab[heights > heights.min()]
    top = slab.positions[:, 2].max() - 0.1
    first = next(a.position for a in slab if a.symbol == "Mg" and a.position[2] > top)
    slab.positions[:, :2] -= first[:2]
    return slab


def tio2110(repeat: int = 2, layers: int = 3) -> Atoms:
    """Return rutile TiO2(110), x along [001]; a five-fold Ti of the surface is above the origin."""
    a, c, u = 4.594, 2.959, 0.305
    d = a / np.sqrt(2)
    w = (1 - 2 * u) * d
    sites = [("Ti", 0, 0, 0), ("Ti", c / 2, d, 0), ("O", c / 2, w, 0), ("O", c / 2, -w, 0)]
    sites += [("O", 0, d, w), ("O", 0, d, -w)]
    cell = Atoms(pbc=True, cell=[c, 2 * d, d * layers])
    for layer in range(layers):
        shift = np.array([0, d * (layers - 1 - layer), d * layer])
        cell += Atoms([s for s, *_ in sites], np.array([xyz for _, *xyz in sites]) + shift)
    return cell.repeat((repeat, 1, 1))


OXIDES: Oxides = {
    "H2O-MgO100": (mgo100, 2.2),
    "H2O-TiO2110": (tio2110, 0.9),
    "HCOOH-TiO2110": (tio2110, 0.9),
}
"""Slab, and height (A) of the lowest atom above the highest of the slab; it is above the origin."""

DEVELOPMENT_OXIDES: Oxides = {
    "NH3-MgO100": (mgo100, 2.3),
    "OH-MgO100": (mgo100, 1.9),
    "CO-TiO2110": (tio2110, 1.2),
}
"""The same of slabs on which optimizers are tuned."""


def adsorbate(name: str) -> Atoms:
    """Return a molecule or an atom, turned, its lowest atoms at the origin and first."""
    atoms = Atoms(name) if name in ("O", "N") else molecule(name)
    for angle, axis in TURNS.get(name, ()):
        atoms.rotate(angle, axis)
    height = atoms.positions[:, 2]
    atoms.positions -= [*atoms.positions[height < height.min() + LOWEST, :2].mean(axis=0), 0]
    return atoms[np.argsort(atoms.positions[:, 2], kind="stable")]


def slabs(seed: int) -> list[Atoms]:
    """Return the slabs that are reported, displaced where they are not fixed."""
    return _displaced(METALS, OXIDES, seed)


def development_slabs(seed: int) -> list[Atoms]:
    """Return the slabs on which optimizers are tuned, displaced where they are not fixed."""
    return _displaced(DEVELOPMENT_METALS, DEVELOPMENT_OXIDES, seed)


def _displaced(metals: Metals, oxides: Oxides, seed: int) -> list[Atoms]:
    made = {name: covered(slab(), name, site, height) for name, (slab, site, height) in metals.items()}
    for name, (slab, height) in oxides.items():
        made[name] = covered(slab(), name, (0.0, 0.0), height)
    for name, atoms in made.items():
        atoms.info = {"name": name}
    return [rattled(atoms, RATTLE, seed, i) for i, atoms in enumerate(made.values())]


def covered(slab: Atoms, name: str, site: str | tuple[float, float], height: float) -> Atoms:
    """Return the slab with the molecule that its name begins with, its lowest layer fixed."""
    bottom, top = (f(slab.positions[:, 2]) for f in (np.min, np.max))
    fixed = np.flatnonzero(slab.positions[:, 2] < bottom + FIXED * (top - bottom))
    add_adsorbate(slab, adsorbate(name.partition("-")[0]), height, site)
    slab.center(VACUUM, axis=2)
    slab.set_constraint(FixAtoms(fixed))
    slab.pbc = True
    return slab
