"""Published sets of molecules, as the wheel of pyberny has them: Baker's, and that of Birkholz and Schlegel.

- ``baker``: J. Baker, J. Comput. Chem. 14, 1085 (1993); 30 molecules.
- ``birkholz``: A. B. Birkholz and H. B. Schlegel, Theor. Chem. Acc. 135, 84 (2016); 19 of its 20 molecules.

Each has a charge and a multiplicity, which become initial charges and magnetic moments.
"""

from __future__ import annotations

import json
from importlib.resources import files

from ase import Atoms
from ase.io import read

FOLDERS = {"baker": "baker_shajan_2023", "birkholz": "birkholz_schlegel"}
"""Folder in the wheel of pyberny, by the name of the set."""
MISLEADING = {
    "azadirachtin": [(11, 75)],
    "diisobutyl_phthalate": [(14, 15)],
    "easc": [(0, 1), (2, 3)],
    "sphingomyelin": [(23, 43)],
    "zn_edta": [(1, 7), (1, 11)],
}
"""Pairs of atoms whose distance at the start says the opposite of whether they are bonded.

By these distances a methyl group of azadirachtin would have four H, O-O would join the esters of diisobutyl
phthalate, ethylaluminium sesquichloride would have Al-Al and Cl-Cl bonds and sphingomyelin C-P, and an N of
EDTA would lack two of its three C.
"""


def published(name: str) -> dict[str, Atoms]:
    """Return a set by the names of its molecules.  Raises ValueError where pyberny is missing."""
    try:
        folder = files("berny") / "benchmarks" / FOLDERS[name]
        facts = json.loads((folder / "reference.json").read_text())
    except (ImportError, OSError):
        words = f'the set {name} is part of pyberny 0.7.0: pip install "pyberny==0.7.0"'
        raise ValueError(words) from None
    found = {}
    for molecule, entry in sorted(facts.items()):
        with (folder / f"{molecule}.xyz").open() as file:
            atoms: Atoms = read(file, format="xyz")
        if entry["charge"]:
            atoms.set_initial_charges([entry["charge"]] + [0] * (len(atoms) - 1))
        if entry["mult"] > 1:
            atoms.set_initial_magnetic_moments([entry["mult"] - 1] + [0] * (len(atoms) - 1))
        atoms.info["misleading"] = MISLEADING.get(molecule, [])
        found[molecule] = atoms
    return found
