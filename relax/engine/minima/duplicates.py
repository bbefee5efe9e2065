"""Duplicates among the draws of one structure: those that come close to a minimum that is known already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from ase import Atoms

from relax.engine.arrays import Coordinates
from relax.engine.minima.check import Searched
from relax.engine.termination import Stops
from relax.geometry.fingerprint import Fingerprint

__all__ = ["KnownMinima", "stop_duplicates"]

SAME_ENERGY = 1e-3
"""Difference of energies (eV/atom) of structures that count as the same."""

SAME_DISTANCES = 0.2
"""Largest difference (A) of the distances of structures that count as the same."""


@dataclass
class KnownMinimum:
    """Where a draw has converged."""

    value: float  # eV/atom, energy or enthalpy
    fingerprint: Fingerprint
    final: bool = False  # whether the draw has ended there


@dataclass
class KnownMinima:
    """The minima that the draws of one structure have found, by the number of the draw."""

    found: dict[int, KnownMinimum] = field(default_factory=dict)

    def same(self, draw: int, value: float, atoms: Atoms, converged: bool) -> int | None:
        """Return the draw that has found the minimum to which another one is close, if there is such a draw.

        Parameters
        ----------
        draw
            The number of the draw that is compared.  If it has converged at a new minimum, that is noted.
        value
            Its energy or enthalpy, eV/atom.
        atoms
            What it looks like.
        converged
            Whether it has converged.  If not, it is compared only with draws that have ended.
        """
        self.found.pop(draw, None)  # a saddle that it has left
        near = {
            other: minimum
            for other, minimum in self.found.items()
            if abs(value - minimum.value) < SAME_ENERGY and (converged or minimum.final)
        }
        if not (near or converged):
            return None
        fingerprint = Fingerprint.of(atoms)
        for other, minimum in near.items():
            if fingerprint.difference(minimum.fingerprint) < SAME_DISTANCES:
                return other
        if converged:
            self.found[draw] = KnownMinimum(value, fingerprint)
        return None

    def end(self, draw: int) -> None:
        """Note that a draw has ended where it has converged."""
        if draw in self.found:
            self.found[draw].final = True


class Drawn(Searched, Protocol):
    """A structure that may be one of several draws."""

    draw: int
    minima: KnownMinima | None


def stop_duplicates(
    coordinates: Coordinates, entries: Sequence[Drawn], values: np.ndarray, stops: Stops
) -> None:
    """Stop draws that are close to a minimum that another draw has found; ``values`` (S,) are in eV."""
    for s, entry in enumerate(entries):
        if entry.minima is None or entry.search is not None:
            continue
        if s in stops and stops[s][0] != "converged":
            continue
        value = float(values[s] / coordinates.natoms[s])
        twin = entry.minima.same(entry.draw, value, coordinates.atoms(s), s in stops)
        if twin is not None:
            stops[s] = "duplicate", f"close to the minimum that draw {twin} has found"
