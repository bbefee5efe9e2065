"""The sets of structures, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from benchmarks.materials.amorphous import amorphous
from benchmarks.materials.defects import defects
from benchmarks.materials.frameworks import frameworks
from benchmarks.materials.layers import layers
from benchmarks.materials.molcrystals import molcrystals
from benchmarks.materials.perovskites import perovskites
from benchmarks.materials.slabs import development_slabs, slabs
from relax.analysis.comparison.files.provenance import sha256_of
from relax.analysis.comparison.minimizers.names import System
from relax.calculators.registry import unsupported


@dataclass(frozen=True)
class Kind:
    """A set: what makes its structures from a seed, and whether the cell relaxes."""

    make: Callable[[int], list[Atoms]]
    system: System
    words: str


SETS = {
    "slabs": Kind(slabs, System.POSITIONS, "molecules on surfaces"),
    "frameworks": Kind(frameworks, System.CRYSTALS, "frameworks"),
    "perovskites": Kind(perovskites, System.CRYSTALS, "perovskites"),
    "molcrystals": Kind(molcrystals, System.CRYSTALS, "molecular crystals"),
    "layers": Kind(layers, System.POSITIONS, "layers"),
    "defects": Kind(defects, System.CRYSTALS, "crystals with a defect"),
    "amorphous": Kind(amorphous, System.CRYSTALS, "random packings"),
    "dev": Kind(development_slabs, System.POSITIONS, "molecules on surfaces, for tuning"),
}

REPORTED = tuple(name for name in SETS if name != "dev")


@dataclass
class Starts:
    """The structures of a set, named in ``info``, and the names of those the calculator does not know."""

    kind: str
    atoms: list[Atoms] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    @property
    def system(self) -> System:
        """What is relaxed."""
        return SETS[self.kind].system

    @property
    def fixed(self) -> list[list[int]]:
        """The indices of the fixed atoms of each structure."""
        return [fixed_atoms(atoms) for atoms in self.atoms]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the structures."""
        return sha256_of(self.atoms)


def fixed_atoms(atoms: Atoms) -> list[int]:
    """Return the indices of the fixed atoms."""
    found = [c.index for c in atoms.constraints if isinstance(c, FixAtoms)]
    return sorted(int(i) for i in np.concatenate(found)) if found else []


def starts(kind: str, seed: int, calculator: Any) -> Starts:
    """Return the structures of a set that ``calculator`` supports.

    Raises
    ------
    ValueError
        There are none.
    """
    found = Starts(kind)
    for atoms in SETS[kind].make(seed):
        if unsupported(calculator, atoms):
            found.excluded.append(atoms.info["name"])
        else:
            found.atoms.append(atoms)
    if not found.atoms:
        raise ValueError(f"the calculator supports no structure of the set {kind!r}")
    return found


def chosen_sets(texts: Sequence[str]) -> list[str]:
    """Return the names in lists with commas, or all that are reported if there are none.

    Raises
    ------
    ValueError
        There is no set of a name.
    """
    names = list(dict.fromkeys(word.strip() for text in texts for word in text.split(",") if word.strip()))
    for name in names:
        if name not in SETS:
            raise ValueError(f"there is no set {name!r} (there are: {', '.join(SETS)})")
    return names or list(REPORTED)
