"""The sets of molecules, and how each is run unless the command says otherwise.

==============  ============================================================================================
``baker``       30 small molecules (:mod:`benchmarks.molecules.published`)
``birkholz``    19 larger molecules (the same module)
``drugs``       50 drugs of 20 to 60 atoms (:mod:`benchmarks.molecules.drugs`)
``clusters``    14 clusters of small molecules (:mod:`benchmarks.molecules.clusters`)
``g2``          the G2 set of ASE, rattled
``dev``         22 molecules and 4 clusters on which optimizers are tuned: not for reports
==============  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ase import Atoms
from ase.build import molecule
from ase.collections import g2

from benchmarks.molecules.clusters import clusters, development
from benchmarks.molecules.drugs import drugs
from benchmarks.molecules.published import published
from relax.analysis.comparison.minimizers.names import PRECON, TUNED_PRECON, split_names

OPTIMIZERS = (
    "default", "pair-lbfgs", "lbfgs", "core", "frankenstein", "sella", "pyberny", "geometric",
    "ase:GoodOldQuasiNewton", "ase:BFGS", "ase:FIRE",
)  # fmt: skip
G2_OPTIMIZERS = (
    "default", "pair-lbfgs", "lbfgs", "frankenstein", "core", "fire",
    "ase:BFGS", "ase:GoodOldQuasiNewton", "ase:BFGSLineSearch", "ase:LBFGS", "ase:FIRE", PRECON, TUNED_PRECON,
)  # fmt: skip


@dataclass(frozen=True)
class MoleculeSet:
    """A set of molecules.

    Attributes
    ----------
    title
        What it is called in tables, after the number of its structures.
    structures
        Returns the structures by their names.
    packages
        The packages that decide the structures.
    stem
        Name of its file of results, without suffix.
    rattle
        Standard deviation (A) of each component of the displacement of each atom.
    fmaxes, cap, optimizers
        Largest force (eV/A), most force calls, and optimizers.
    first_call
        Whether the calculator ends each run at the first force call within ``fmax``.  If not, the
        optimizer does; the two differ where an optimizer has a line search.
    """

    title: str
    structures: Callable[[], dict[str, Atoms]]
    packages: Sequence[str]
    stem: str
    rattle: float = 0.0
    fmaxes: Sequence[float] = (0.01,)
    cap: int = 300
    optimizers: Sequence[str] = OPTIMIZERS
    first_call: bool = True


def g2_molecules() -> dict[str, Atoms]:
    """Return all of the G2 set, with the spins that ASE has for them."""
    return {name: molecule(name) for name in g2.names}


SETS = {
    "baker": MoleculeSet(
        "molecules of Baker's set", partial(published, "baker"), ("pyberny",), "molecules_baker"
    ),
    "birkholz": MoleculeSet(
        "molecules of Birkholz and Schlegel", partial(published, "birkholz"), ("pyberny",),
        "molecules_birkholz",
    ),
    "drugs": MoleculeSet("drugs", drugs, ("rdkit",), "molecules_drugs"),
    "clusters": MoleculeSet("clusters of molecules", clusters, ("ase",), "molecules_clusters"),
    "g2": MoleculeSet(
        "molecules", g2_molecules, ("ase",), "molecules_xtb",
        rattle=0.1, fmaxes=(0.05, 0.01), cap=500, optimizers=G2_OPTIMIZERS, first_call=False,
    ),
    "dev": MoleculeSet("molecules and clusters for tuning", development, ("rdkit",), "molecules_dev"),
}  # fmt: skip
REPORTED = tuple(name for name in SETS if name != "dev")


def chosen_sets(texts: Iterable[str]) -> list[str]:
    """Return the names in lists with commas, or all that are reported.  Raises ValueError for any other."""
    names = split_names(texts) or list(REPORTED)
    for name in names:
        if name not in SETS:
            raise ValueError(f"there is no set {name!r} (there are: {', '.join(SETS)})")
    return names
