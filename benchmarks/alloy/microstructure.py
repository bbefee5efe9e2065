"""What a relaxed polycrystal is made of: stackings of atoms, and dislocations.

OVITO's dislocation extraction algorithm (A. Stukowski et al., Modelling Simul. Mater. Sci. Eng. 20, 085007
(2012)), as in the paper.  It first assigns each atom its stacking, by common neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

from ase import Atoms

STACKINGS = {"fcc": "FCC", "hcp": "HCP", "bcc": "BCC"}


class Microstructure(NamedTuple):
    """Shares of the atoms by stacking, and the dislocations.

    Attributes
    ----------
    fcc, hcp, bcc
        Shares between 0 and 1; the rest has none of these stackings.
    segments
        Number of dislocation lines.
    length
        Their length together, nm.
    """

    fcc: float
    hcp: float
    bcc: float
    segments: int
    length: float


def examine(atoms: Atoms) -> Microstructure | None:
    """Return the microstructure of fcc grains, None where OVITO is not installed."""
    try:
        from ovito.io.ase import ase_to_ovito
        from ovito.modifiers import DislocationAnalysisModifier
        from ovito.pipeline import Pipeline, StaticSource
    except ImportError:
        return None
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(bare)))
    lattice = DislocationAnalysisModifier.Lattice.FCC
    pipeline.modifiers.append(DislocationAnalysisModifier(input_crystal_structure=lattice))
    found = pipeline.compute()
    lines = found.dislocations.lines
    counts = [found.attributes[f"DislocationAnalysis.counts.{name}"] for name in STACKINGS.values()]
    shares = [round(count / len(atoms), 5) for count in counts]
    return Microstructure(*shares, len(lines), round(sum(line.length for line in lines) / 10, 3))
