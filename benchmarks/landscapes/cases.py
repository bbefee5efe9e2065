"""What is relaxed, by which optimizers, and how the energy on the plane is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from benchmarks.alloy.boxes import Box, polycrystal
from benchmarks.descents.systems import first_cluster
from benchmarks.lj38.batched_runs import Clusters
from benchmarks.lj38.clusters import ClusterCalculator

OPTIMIZERS = ("default", "core", "frankenstein", "ase:FIRE", "ase:CG")
BOX = Box(atoms=2000, grains=2, seed=1)


@dataclass(frozen=True)
class Spec:
    """What decides the numbers of a case; all of it is in the file of results.

    Attributes
    ----------
    title
        With ``{atoms}`` for their number.
    source
        Where the start is from, in words.
    calculator
        What computes, in words.
    fmax
        Largest force at which a run ends, eV/A.
    cap
        Most force calls of a run.
    points
        Points along each side of the grid.
    """

    title: str
    source: str
    calculator: str
    seed: int
    fmax: float
    cap: int
    points: int
    optimizers: tuple[str, ...] = OPTIMIZERS


@dataclass(frozen=True)
class Case:
    """A structure, and its calculator for runs and for the plane.

    Attributes
    ----------
    packages
        Those that decide what the calculator computes.
    """

    spec: Spec
    start: Callable[[], Atoms]
    calculator: Callable[[], Any]
    potential: Callable[[], Any]
    packages: tuple[str, ...] = ()


def alloy_calculator() -> Any:
    """Return the calculator of the alloy, which needs LAMMPS."""
    from benchmarks.alloy.library import AlloyCalculator

    return AlloyCalculator()


CASES = {
    "lj38": Case(
        Spec(
            title="Lennard-Jones cluster of 38 atoms from a random start",
            source="benchmarks.lj38, cluster 0",
            calculator="Lennard-Jones, reduced units as eV, Å",
            seed=38,
            fmax=0.01,
            cap=2000,
            points=61,
        ),
        first_cluster,
        ClusterCalculator,
        Clusters,
    ),
    "alloy": Case(
        Spec(
            title="Grain boundaries of CoNiCrFeMn, {atoms:,} atoms in a periodic box",
            source=f"benchmarks.alloy, {BOX.grains} grains, about {BOX.atoms} atoms",
            calculator="2NN-MEAM, LAMMPS",
            seed=BOX.seed,
            fmax=0.01,
            cap=2000,
            points=41,
        ),
        lambda: polycrystal(BOX),
        alloy_calculator,
        alloy_calculator,
        ("lammps",),
    ),
}
