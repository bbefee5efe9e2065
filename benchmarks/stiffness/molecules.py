"""The molecules whose Hessians chose the constants of the model: none is in a set that is reported."""

from __future__ import annotations

from ase import Atoms

from benchmarks.molecules.drugs import DEVELOPMENT, DEVELOPMENT_SEED, all_embedded

__all__ = ["molecules"]

SEED = 11
SMALL = (
    "CCC=O", "CC(C)=C", "C1CCOC1", "c1ccncc1", "CC#N", "CCN", "CC(=O)NC", "OCCO", "CCS", "C=CC=C", "c1ccsc1",
    "CC(C)O", "NCC(=O)O", "O=C1CCC1", "C1=CCC=C1", "CNC(=O)N", "CC=C=C", "FC(F)CO", "ClCC=C", "COC=O",
    "c1ccccc1O", "Cc1ccccc1", "CC(=O)OC=C", "C#CC=O", "N#CC=C", "CSSC", "CS(C)=O", "C1CC1C",
    "C1CN1", "O=CC=O", "NC=O", "c1c[nH]cn1", "CCOCC", "C1CCCCC1", "NNC", "ON=C", "CON", "CP(C)C",
    "C[Si](C)C", "OC(=O)C=C", "BrCC", "SC=O", "O=C1C=CC(=O)C=C1", "C1CCNCC1",
)  # fmt: skip
"""Small molecules, as SMILES."""


def molecules() -> dict[str, Atoms]:
    """Return small molecules, and larger ones of :data:`DEVELOPMENT`, as ETKDG embeds them."""
    small = all_embedded({smiles: smiles for smiles in SMALL}, SEED)
    return small | all_embedded(DEVELOPMENT, DEVELOPMENT_SEED)
