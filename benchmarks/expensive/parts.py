"""What is relaxed: structures, the calculator that counts, and the cheap ones beside it.

====================  ======================================================================================
``gfn``               the drugs of 15 to 40 atoms of :mod:`benchmarks.molecules.drugs`, GFN2-xTB, with GFN1
``clusters``          the clusters of :mod:`benchmarks.molecules.clusters`, the same
``bad``               ten of the drugs, GFN2-xTB, with priors that mislead (:mod:`benchmarks.expensive.bad`)
``mlip-mace``         crystals, ``data/mace-mini.model``, with CHGNet; ``mlip-mace-cell`` with their cells
``mlip-r2scan``       crystals, CHGNet for r2SCAN, with CHGNet; ``mlip-r2scan-cell`` with their cells
``dft-molecules``     small molecules, PBE by PySCF, with GFN2-xTB; ``dft-example`` one of them
``dft-crystals``      small crystals, PBE by Quantum ESPRESSO, with CHGNet; ``dft-crystals-cell`` with cells
====================  ======================================================================================

``mlip`` and ``dft`` are all whose names begin so.  The structures are in
:mod:`benchmarks.expensive.structures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ase import Atoms

from benchmarks.expensive.bad import BAD
from benchmarks.expensive.calculators import espresso_versions
from benchmarks.expensive.structures import (
    alloys,
    compounds,
    crystals,
    example,
    few_drugs,
    small_drugs,
    small_molecules,
)
from benchmarks.molecules.clusters import clusters
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.starts import rattled
from relax.calculators.registry import CalculatorError, load

__all__ = ["PARTS", "Part", "base_name", "chosen_parts"]

MOVED = 0.002
"""Standard deviation of each component of what distinguishes the draws of a structure, A."""

PRE = ("pre:default", "pre:sella", "pre:pyberny", "pre:kriging")
DIRECT = ("direct:default", "direct:kriging", "direct:ase:GPMin")
CRYSTAL = ("pre:default", "direct:default", "pre:kriging", "direct:kriging", "direct:ase:GPMin")


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Attributes
    ----------
    title
        What it is called in tables.
    structures
        Returns the structures by their names.
    calculator
        The name of the calculator that counts.
    methods
        See :mod:`benchmarks.expensive.methods`.
    cheap
        The name of the calculator on whose surface ``pre:`` begins.
    system
        What relaxes: it decides how optimizers are made, and when a run has failed.
    draws
        How many starts each structure has; the others are moved a little.
    fmax, cap
        Longest force (of a cell that relaxes, row of the gradient) that counts as converged, eV/A, and most
        force calls.
    packages, programs
        Packages that decide the numbers, beside those that are known from the name of the calculator, and
        the versions of programs.
    """

    title: str
    structures: Callable[[], dict[str, Atoms]]
    calculator: str
    methods: Sequence[str]
    cheap: str = "gfn1"
    system: System = System.MOLECULES
    draws: int = 1
    fmax: float = 0.01
    cap: int = 200
    packages: Sequence[str] = ()
    programs: Callable[[], dict[str, str]] = dict

    @property
    def cell(self) -> bool:
        """Whether the cell relaxes."""
        return self.system is System.CRYSTALS

    def starts(self) -> dict[str, Atoms]:
        """Return all draws of the structures, by the name and the number of the draw."""
        found = self.structures()
        if self.draws == 1:
            return found
        return {
            f"{name}#{draw}": rattled(atoms, MOVED, draw, i)
            for i, (name, atoms) in enumerate(found.items())
            for draw in range(self.draws)
        }

    def missing(self) -> str:
        """Return in one line what this part needs and is not installed, or an empty text."""
        try:
            load(self.calculator)
            load(self.cheap)
        except CalculatorError as error:
            return " ".join(str(error).split())
        return ""


def base_name(start: str) -> str:
    """Return the name of the structure that a start is a draw of."""
    return start.partition("#")[0]


def chosen_parts(names: Iterable[str]) -> list[str]:
    """Return the parts of these names, all where there are none.  Raises ValueError for any other name."""
    found: list[str] = []
    for name in names:
        some = [name] if name in PARTS else [part for part in PARTS if part.startswith(f"{name}-")]
        if not some:
            raise ValueError(f"there is no part {name!r} (there are: {', '.join(PARTS)})")
        found += some
    return list(dict.fromkeys(found)) or list(PARTS)


GFN = Part("drugs of 15 to 40 atoms", small_drugs, "gfn2", (*DIRECT, *PRE, "prior:gfn1"))
MLIP = Part(
    "rattled crystals",
    alloys,
    "mace:data/mace-mini.model",
    ("prior:chgnet", *CRYSTAL),
    cheap="chgnet",
    system=System.POSITIONS,
    packages=("pymatgen",),
)
R2SCAN = replace(
    MLIP,
    structures=compounds,
    calculator="benchmarks.expensive.calculators:chgnet_r2scan",
    draws=4,
    fmax=0.05,
)
MOLECULES = Part(
    "small molecules",
    small_molecules,
    "pyscf",
    ("prior:gfn2", "pre:default", "pre:sella", "direct:default", "direct:ase:GPMin", "direct:kriging",
     "pre:pyberny", "pre:kriging"),
    cheap="gfn2",
    cap=60,
)  # fmt: skip
CRYSTALS = Part(
    "small rattled crystals",
    crystals,
    "benchmarks.expensive.calculators:espresso",
    ("prior:chgnet", *CRYSTAL),
    cheap="chgnet",
    system=System.POSITIONS,
    fmax=0.02,
    cap=60,
    programs=espresso_versions,
)

PARTS = {
    "gfn": GFN,
    "clusters": replace(GFN, title="clusters of molecules", structures=clusters, draws=8),
    "bad": Part(
        "drugs with priors that mislead", few_drugs, "gfn2", (*DIRECT[:2], *(f"prior:{n}" for n in BAD))
    ),
    "mlip-mace": MLIP,
    "mlip-mace-cell": replace(
        MLIP, title="rattled crystals with their cells", system=System.CRYSTALS, draws=4
    ),
    "mlip-r2scan": R2SCAN,
    "mlip-r2scan-cell": replace(R2SCAN, title="rattled crystals with their cells", system=System.CRYSTALS),
    "dft-molecules": MOLECULES,
    "dft-example": replace(
        MOLECULES,
        title="molecule",
        structures=example,
        methods=("prior:gfn2", "pre:default", "direct:default"),
    ),
    "dft-crystals": CRYSTALS,
    "dft-crystals-cell": replace(
        CRYSTALS, title="small rattled crystals with their cells", system=System.CRYSTALS
    ),
}
