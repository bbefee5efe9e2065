"""The structures whose relaxation is recorded, and their calculators."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from benchmarks.common.structures import bare
from benchmarks.crystals.wbm_like import wbm_like
from benchmarks.lj38.clusters import ClusterCalculator, atoms_of, random_clusters
from benchmarks.metals.runs import crystal
from relax.analysis.comparison.minimizers.names import PRECON, TUNED_PRECON, System
from relax.analysis.comparison.starts import rattled
from relax.calculators.registry import load

OPTIMIZERS = ("pair-lbfgs", "lbfgs", "frankenstein", "ase:FIRE", "ase:LBFGS", PRECON)


@dataclass(frozen=True)
class Spec:
    """What is relaxed, and when a run ends; all of it is in the file of results.

    Attributes
    ----------
    subtitle
        With ``{formula}`` for the chemical formula.
    source
        Where the start is from, in words.
    cell
        Whether the cell relaxes too.
    fmax
        eV/A.
    cap
        Force calls.
    lowest
        Energy above the lowest final one at which the plot ends, eV/atom.
    """

    title: str
    subtitle: str
    source: str
    calculator: str
    seed: int
    cell: bool
    fmax: float
    cap: int
    lowest: float


@dataclass(frozen=True)
class Case:
    """A structure to relax, its calculator, and the optimizers."""

    spec: Spec
    start: Callable[[], Atoms]
    calculator: Callable[[], Any]
    optimizers: Sequence[str] = OPTIMIZERS

    @property
    def system(self) -> System:
        """What is relaxed."""
        return System.CRYSTALS if self.spec.cell else System.POSITIONS

    def registered_name(self, name: str) -> str:
        """Return the name of an optimizer in the registry; ``ase:PreconLBFGS`` is tuned in all cases."""
        return TUNED_PRECON if name == PRECON and not self.spec.cell else name


def first_cluster() -> Atoms:
    """Return the first cluster of the LJ38 benchmark."""
    atoms = atoms_of(random_clusters(1, 38)[0])
    atoms.calc = None
    return atoms


def first_crystal(seed: int = 1, rattle: float = 0.05, atoms: int = 8) -> Atoms:
    """Return the first crystal of ``atoms`` atoms of the crystal benchmark, rattled in the same way."""
    crystals = bare(wbm_like(100, seed, largest=8))
    index = [len(made) for made in crystals].index(atoms)
    return rattled(crystals[index], rattle, seed, index)


def load_chgnet() -> Any:
    """Return CHGNet on one thread."""
    loaded = load("chgnet")
    sys.modules["torch"].set_num_threads(1)
    return loaded


CASES = {
    "lj38": Case(
        Spec(
            title="Lennard-Jones cluster of 38 atoms",
            subtitle="random start, reduced units as eV, Å",
            source="benchmarks.lj38, cluster 0",
            calculator="lj",
            seed=38,
            cell=False,
            fmax=0.01,
            cap=1000,
            lowest=1e-3,
        ),
        first_cluster,
        ClusterCalculator,
        tuple(name for name in OPTIMIZERS if name != PRECON),
    ),
    "crystal": Case(
        Spec(
            title="Crystal of 8 atoms, with its cell",
            subtitle="{formula}, rattled by 0.05 Å, CHGNet",
            source="benchmarks.crystals, the first crystal of 8 atoms, rattled by 0.05 A",
            calculator="chgnet",
            seed=1,
            cell=True,
            fmax=0.01,
            cap=300,
            lowest=1e-6,
        ),
        first_crystal,
        load_chgnet,
    ),
    "copper": Case(
        Spec(
            title="499 atoms of copper with a vacancy",
            subtitle="rattled by 0.1 Å, EMT",
            source="benchmarks.metals, about 500 atoms, rattled by 0.1 A",
            calculator="emt",
            seed=1,
            cell=False,
            fmax=0.01,
            cap=300,
            lowest=1e-6,
        ),
        lambda: crystal(500, 0.1, 1),
        lambda: load("emt"),
    ),
}
