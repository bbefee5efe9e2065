"""What is relaxed: structures, the calculator that counts, and the cheap ones beside it.

==============  ============================================================================================
``gfn``         the drugs of 15 to 40 atoms of :mod:`benchmarks.molecules.drugs`, GFN2-xTB, with GFN1-xTB
``clusters``    the clusters of :mod:`benchmarks.molecules.clusters`, the same
``bad``         ten of the drugs, GFN2-xTB, with five priors that mislead (:mod:`benchmarks.expensive.bad`)
==============  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ase import Atoms

from benchmarks.expensive.bad import BAD
from benchmarks.molecules.clusters import clusters
from benchmarks.molecules.drugs import drugs

__all__ = ["PARTS", "Part"]

SIZES = 15, 40
"""Fewest and most atoms of a drug."""

EACH = 10
"""Structures for each bad prior."""

PRE = ("pre:default", "pre:sella", "pre:pyberny", "pre:kriging")
DIRECT = ("direct:default", "direct:kriging")


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
    fmax, cap
        Longest force that counts as converged, eV/A, and most force calls.
    """

    title: str
    structures: Callable[[], dict[str, Atoms]]
    calculator: str
    methods: Sequence[str]
    fmax: float = 0.01
    cap: int = 200


def small_drugs() -> dict[str, Atoms]:
    """Return the drugs of the sizes that are asked for."""
    return {name: atoms for name, atoms in drugs().items() if SIZES[0] <= len(atoms) <= SIZES[1]}


def few_drugs() -> dict[str, Atoms]:
    """Return as many of them as are tried with each bad prior, spread over the list."""
    found = small_drugs()
    return {name: found[name] for name in list(found)[:: len(found) // EACH][:EACH]}


PARTS = {
    "gfn": Part("drugs of 15 to 40 atoms", small_drugs, "gfn2", (*DIRECT, *PRE, "prior:gfn1")),
    "clusters": Part("clusters of molecules", clusters, "gfn2", (*DIRECT, *PRE, "prior:gfn1")),
    "bad": Part("drugs with priors that mislead", few_drugs, "gfn2", (*DIRECT, *(f"prior:{n}" for n in BAD))),
}
