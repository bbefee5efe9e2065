"""Priors that mislead: calculators that are wrong, noisy, or fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from relax.calculators.registry import load

__all__ = ["BAD"]

FACTOR = 10.0
"""Factor of the energy of a calculator that is wrong by that."""

NOISE = 0.1
"""Standard deviation of the noise of a force, eV/A."""

CHARGE = 2.0
"""Charge that is not that of the molecule."""

CALLS = 30
"""Force calls after which a calculator fails."""

DEPTH, DECAY, REACH = 1.0, 1.5, 6.0
"""Depth (eV), decay (1/A) and cutoff (A) of Morse pairs."""


class Misleading(Calculator):  # type: ignore[misc]
    """A calculator of energies and forces; subclasses say what it computes."""

    implemented_properties: Sequence[str] = ("energy", "forces")

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = self.computed(self.atoms.copy())

    def computed(self, atoms: Atoms) -> dict[str, Any]:
        """Return the energy, eV, and the forces (N, 3), eV/A."""
        raise NotImplementedError


class Changed(Misleading):
    """GFN1-xTB with its results changed by a function of the results and the number of the call."""

    def __init__(self, change: Callable[[dict[str, Any], int], dict[str, Any]], charge: float = 0.0) -> None:
        super().__init__()
        self.change, self.charge, self.inner, self.calls = change, charge, load("gfn1"), 0

    def computed(self, atoms: Atoms) -> dict[str, Any]:
        if self.charge:
            atoms.set_initial_charges(np.full(len(atoms), self.charge / len(atoms)))
        atoms.calc = self.inner
        plain = {"energy": float(atoms.get_potential_energy()), "forces": atoms.get_forces()}
        self.calls += 1
        return self.change(plain, self.calls)


class Morse(Misleading):
    """Morse potentials between all atoms at the sums of their covalent radii: other minima."""

    def computed(self, atoms: Atoms) -> dict[str, Any]:
        i, j, r, d = neighbor_list("ijdD", atoms, REACH)
        radii = covalent_radii[atoms.numbers]
        x = np.exp(-DECAY * (r - radii[i] - radii[j]))
        turn = np.pi * r / REACH
        fade, slope = 0.5 + 0.5 * np.cos(turn), -0.5 * np.pi / REACH * np.sin(turn)
        pair, by_r = DEPTH * (x * x - 2 * x), 2 * DEPTH * DECAY * (x - x * x)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, ((by_r * fade + pair * slope) / r)[:, None] * d)
        return {"energy": 0.5 * float((pair * fade).sum()), "forces": forces}


def tenfold(results: dict[str, Any], call: int) -> dict[str, Any]:
    """Return ten times what is right."""
    return {name: FACTOR * value for name, value in results.items()}


def noisy(results: dict[str, Any], call: int) -> dict[str, Any]:
    """Return what is right with other noise in each call."""
    noise = np.random.default_rng(call).normal(0.0, NOISE, results["forces"].shape)
    return results | {"forces": results["forces"] + noise}


def failing(results: dict[str, Any], call: int) -> dict[str, Any]:
    """Return what is right until it raises."""
    if call > CALLS:
        raise RuntimeError("not converged")
    return results


BAD: dict[str, Callable[[], Any]] = {
    "tenfold": lambda: Changed(tenfold),
    "noisy": lambda: Changed(noisy),
    "charged": lambda: Changed(lambda results, call: results, CHARGE),
    "failing": lambda: Changed(failing),
    "morse": Morse,
}
"""Functions that return a calculator, by name."""
