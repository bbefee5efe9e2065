"""What a batch asks of a potential: rows in; energies, forces and stresses out.

A potential is told of each structure when it enters a batch and when it leaves, under a key that no other
structure ever has, so that it can keep what does not change from step to step, such as a neighbour
list.  In between it is shown where the atoms are, for any choice of the structures it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from ase import Atoms

__all__ = [
    "Evaluation",
    "Geometry",
    "Potential",
]


class Geometry(NamedTuple):
    """Where the atoms of S structures are, N in all, one structure after the other."""

    keys: tuple[int, ...]  # (S,) names of the structures
    lengths: np.ndarray  # (S,) atoms of each
    numbers: np.ndarray  # (N,) atomic numbers
    positions: np.ndarray  # (N, 3) A
    cells: np.ndarray  # (S, 3, 3) A, a vector a row
    pbc: np.ndarray  # (S, 3) bool


@dataclass
class Evaluation:
    """What a potential says of S structures with N atoms in all, in float64."""

    energies: np.ndarray  # (S,) eV
    forces: np.ndarray  # (N, 3) eV/A
    stresses: np.ndarray  # (S, 3, 3) eV/A^3, positive under tension as in ASE; NaN where there is none
    faults: dict[int, str] = field(default_factory=dict)
    """Structures, by their place among the S, of which nothing can be said, and why in one line."""

    timeouts: dict[int, str] = field(default_factory=dict)
    """Structures whose time was up within the call, and that in one line."""


@runtime_checkable
class Potential(Protocol):
    """Energies and their derivatives for many structures at once."""

    unit: str
    """What :meth:`admit` counts a structure in, ``"atoms"`` or ``"edges"``: what time and memory go with."""
    device: str
    """Where it computes, ``"cpu"`` or ``"cuda"`` with or without a number."""
    batched: bool
    """Whether many structures at once are any faster than one after the other."""

    def admit(self, key: int, atoms: Atoms) -> float:
        """Take note of a structure that enters, and return its size in ``unit``.

        Raises
        ------
        UnsupportedStructure
            It knows no such structure: an unknown element, a cell it cannot do, nothing within its reach.
        """
        ...

    def release(self, key: int) -> None:
        """Forget a structure."""
        ...

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        """Return energies, forces and, where ``stress`` is wanted, stresses.

        Raises
        ------
        OutOfMemory
            There are too many at once; nothing is lost, and fewer may be asked for.
        """
        ...
