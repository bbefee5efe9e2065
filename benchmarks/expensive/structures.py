"""The structures of the parts."""

from __future__ import annotations

from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from benchmarks.crystals.wbm_like import wbm_like
from benchmarks.molecules.drugs import SEED, all_embedded, drugs
from relax.analysis.comparison.starts import rattled

__all__ = ["alloys", "compounds", "crystals", "example", "few_drugs", "small_drugs", "small_molecules"]

SIZES = 15, 40
"""Fewest and most atoms of a drug."""

EACH = 10
"""Structures for each bad prior."""

MOLECULES = {
    "ethanol": "CCO",
    "acetone": "CC(C)=O",
    "glycolaldehyde": "OCC=O",
    "methylformamide": "CNC=O",
    "dimethylsulfide": "CSC",
    "ethylenediamine": "NCCN",
    "pyrrole": "c1cc[nH]c1",
    "methylacetate": "COC(C)=O",
}
"""Molecules for density-functional theory, as SMILES."""

RATTLE = 0.1
"""Standard deviation of each component of the displacement of each atom of a crystal, A."""

CRYSTALS, LARGEST, SMALL = 30, 8, 4
"""How many crystals are relaxed with models, most atoms of one, and of one that has several draws."""

ALLOYED = ("Mg", "Al", "Ti", "Fe", "Co", "Ni", "Cu", "Zn", "Pd", "Ag", "Pt", "Au")
"""Elements that ``data/mace-mini.model`` knows."""

ALLOY_SEED, COMPOUND_SEED, CRYSTAL_SEED = 41, 42, 43


def small_drugs() -> dict[str, Atoms]:
    """Return the drugs of the sizes that are asked for."""
    return {name: atoms for name, atoms in drugs().items() if SIZES[0] <= len(atoms) <= SIZES[1]}


def few_drugs() -> dict[str, Atoms]:
    """Return as many of them as are tried with each bad prior, spread over the list."""
    found = small_drugs()
    return {name: found[name] for name in list(found)[:: len(found) // EACH][:EACH]}


def small_molecules() -> dict[str, Atoms]:
    """Return the molecules for density-functional theory, as ETKDG embeds them."""
    return all_embedded(MOLECULES, SEED)


def alloys() -> dict[str, Atoms]:
    """Return rattled crystals of the elements that ``data/mace-mini.model`` knows."""
    return _rattled({atoms.info["name"]: atoms for atoms in _made(ALLOY_SEED, LARGEST, ALLOYED)}, ALLOY_SEED)


def compounds() -> dict[str, Atoms]:
    """Return rattled crystals of any elements up to bismuth."""
    return _rattled({atoms.info["name"]: atoms for atoms in _made(COMPOUND_SEED, SMALL)}, COMPOUND_SEED)


def example() -> dict[str, Atoms]:
    """Return one of them."""
    return {"ethanol": small_molecules()["ethanol"]}


def crystals() -> dict[str, Atoms]:
    """Return rattled crystals of few atoms for density-functional theory, with cells that are too large.

    In the first four all atoms have their places by symmetry; in the others they do not.
    """
    found = {
        "Si": bulk("Si", "diamond", a=5.55) * (2, 1, 1),
        "SiC": bulk("SiC", "wurtzite", a=3.15, c=5.16),
        "BN": bulk("BN", "wurtzite", a=2.6, c=4.3),
        "SiGe": bulk("SiGe", "zincblende", a=5.7),
        "SiO2": rutile("Si", 4.24, 2.72),
        "GeO2": rutile("Ge", 4.45, 2.92),
        "Si3Ge": ordered("SiSiSiGe", 5.6),
        "SiGeC2": ordered("SiCGeC", 4.6),
        "BNC2": ordered("BNCC", 3.67),
    }
    return _rattled(found, CRYSTAL_SEED)


def rutile(metal: str, a: float, c: float) -> Atoms:
    """Return an oxide with the structure of rutile; ``a`` and ``c`` in A."""
    places, cellpar = [(0, 0, 0), (0.306, 0.306, 0)], [a, a, c, 90, 90, 90]
    return Atoms(crystal([metal, "O"], places, spacegroup=136, cellpar=cellpar))


def ordered(elements: str, a: float) -> Atoms:
    """Return four elements on the places of diamond, in two of its cells; ``a`` in A."""
    atoms = bulk("Si", "diamond", a=a) * (2, 1, 1)
    atoms.set_chemical_symbols(elements)
    return atoms


def _made(seed: int, largest: int, elements: tuple[str, ...] = ()) -> list[Atoms]:
    return wbm_like(CRYSTALS, seed, largest=largest, elements=elements)


def _rattled(found: dict[str, Atoms], seed: int) -> dict[str, Atoms]:
    return {name: rattled(atoms, RATTLE, seed, i) for i, (name, atoms) in enumerate(found.items())}
