"""Write the structures of ``data/examples``, real crystals out of equilibrium.

``python -m benchmarks.tools.make_examples`` writes the same files every time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.constraints import FixAtoms
from ase.io import write
from ase.spacegroup import crystal

from benchmarks.common.provenance import ROOT

FOLDER = ROOT / "data" / "examples"


def rock_salt() -> Atoms:
    """Return the cubic cell of NaCl with every atom rattled by 0.15 A."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.15, rng=np.random.default_rng(1))
    return atoms


def perovskite() -> Atoms:
    """Return SrTiO3 stretched, compressed and sheared, with its atoms off their symmetric sites."""
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    atoms = crystal(["Sr", "Ti", "O"], sites, spacegroup=221, cellpar=[3.905, 3.905, 3.905, 90, 90, 90])
    atoms = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
    strain = np.array([[0.02, 0.01, 0.0], [0.01, -0.02, 0.0], [0.0, 0.0, 0.01]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.05, rng=np.random.default_rng(2))
    return atoms


def silicon() -> Atoms:
    """Return the cubic cell of silicon with its two sublattices shifted apart, and rattled."""
    atoms = bulk("Si", "diamond", a=5.47, cubic=True)
    atoms.positions[::2] += 0.08
    atoms.rattle(0.06, rng=np.random.default_rng(4))
    return atoms


def intermetallic() -> Atoms:
    """Return two cells of Ni3Al in which one of the two aluminium atoms is replaced by titanium."""
    sites = [(0.5, 0.5, 0), (0, 0, 0)]
    atoms = crystal(["Ni", "Al"], sites, spacegroup=221, cellpar=[3.57, 3.57, 3.57, 90, 90, 90])
    atoms = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True) * (2, 1, 1)
    atoms.symbols[np.flatnonzero(atoms.symbols == "Al")[0]] = "Ti"
    return atoms


def slab() -> Atoms:
    """Return four layers of Cu(111) as cut from the crystal, rattled, with the two lower ones fixed."""
    atoms = fcc111("Cu", size=(1, 2, 4), a=3.61, vacuum=7.0, periodic=False)
    atoms.pbc = (True, True, False)
    lower = atoms.get_tags() > 2
    atoms.set_tags(0)
    atoms.info.clear()  # the builder's entries for adsorbates, which no file format holds
    atoms.rattle(0.05, rng=np.random.default_rng(3))
    atoms.set_constraint(FixAtoms(mask=lower))
    return atoms


EXAMPLES: dict[str, Callable[[], Atoms]] = {
    "POSCAR-NaCl": rock_salt,
    "SrTiO3.cif": perovskite,
    "Si.cif": silicon,
    "Ni6AlTi.extxyz": intermetallic,
    "Cu111-slab.extxyz": slab,
}


def main() -> None:
    """Write every example."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in EXAMPLES.items():
        write(FOLDER / name, make())


if __name__ == "__main__":
    main()
