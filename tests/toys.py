"""What the tests of optimizers share: a quick calculator that counts, and structures for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress
from helpers import cluster, crystal_pairs, morse, pair_sum

Deed = Callable[[dict[str, Any]], None]


class Toy(Calculator):
    """A potential that keeps count of its evaluations, and at one of them does a ``deed`` to its results.

    The count is its own, so that it can be held against the optimizer's.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, potential: Callable[..., Any] = morse, at: int = 0, deed: Deed | None = None) -> None:
        super().__init__()
        self.potential, self.at, self.deed = potential, at, deed
        self.visited: list[np.ndarray] = []

    @property
    def calls(self) -> int:
        return len(self.visited)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.visited.append(atoms.positions.copy())
        energy, gradient = self.potential(atoms.positions)
        results = {"energy": energy, "forces": -gradient}
        if self.calls == self.at:
            self.deed(results)
        self.results = results


class Bonds(Calculator):
    """Morse bonds between unlike neighbours of a crystal, with their stress; and a ``deed`` at one call."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, cutoff: float = 4.5, skin: float = 1.5, at: int = 0, deed: Deed | None = None) -> None:
        super().__init__()
        self.cutoff, self.skin, self.at, self.deed = cutoff, skin, at, deed
        self.calls = 0
        self.listed: Any = None

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if self.listed is None or self.outdated(atoms):
            self.listed = atoms.copy(), crystal_pairs(atoms, self.cutoff + self.skin)
        i, j, images, r0 = self.listed[1]
        e, g, virial = pair_sum(atoms.positions, i, j, images @ atoms.cell[:], r0, self.cutoff)
        results = {"energy": e / 2, "forces": -g / 2}
        if atoms.pbc.any():
            results["stress"] = full_3x3_to_voigt_6_stress(virial) / 2 / atoms.get_volume()
        if self.calls == self.at:
            self.deed(results)
        self.results = results

    def outdated(self, atoms: Atoms) -> bool:
        """Whether a pair may have come within the cutoff that is not on the list."""
        old = self.listed[0]
        if len(old) != len(atoms) or (old.numbers != atoms.numbers).any():
            return True
        f = np.linalg.solve(old.cell.complete(), atoms.cell.complete())
        moved = np.linalg.norm(atoms.positions - old.positions @ f, axis=1).max()
        reach = np.linalg.svd(f, compute_uv=False).min() * (self.cutoff + self.skin)
        return bool(reach - 2 * moved < self.cutoff)


class Pressed(Calculator):
    """Nothing but a pressure, in eV/A^3, on the cell: it swells or shrinks for ever."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, pressure: float) -> None:
        super().__init__()
        self.pressure = pressure

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {
            "energy": -self.pressure * atoms.get_volume(),
            "forces": np.zeros((len(atoms), 3)),
            "stress": -self.pressure * np.array([1.0, 1, 1, 0, 0, 0]),
        }


class CountedEMT(EMT):
    """EMT that keeps count of its evaluations."""

    calls = 0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        self.calls += 1
        super().calculate(*args, **kwargs)


def ball(n: int = 7, seed: int = 0, **kwargs: Any) -> Atoms:
    """Return a rattled cluster of ``n`` atoms under a :class:`Toy`."""
    return Atoms(f"Cu{n}", cluster(n, seed), calculator=Toy(**kwargs))


def copper(stretch: float = 1.0, rattle: float = 0.15) -> Atoms:
    """Return a rattled cubic cell of copper under EMT."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(rattle, seed=1)
    atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    atoms.calc = CountedEMT()
    return atoms


def fmax_of(gradient: np.ndarray) -> float:
    """Return the length of the longest row."""
    return float(np.linalg.norm(gradient.reshape(-1, 3), axis=1).max())


class Distances(Calculator):
    """Springs between near atoms that rest at the distances of a ``reference``, which is the minimum.

    Bonds are stiff, and pairs that are farther apart are softer, so that bends and torsions are soft.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, reference: Atoms, cutoff: float = 4.0) -> None:
        super().__init__()
        self.i, self.j, self.images, self.r0 = neighbor_list("ijSd", reference, cutoff)
        self.k = 30 * np.exp(3 * (1.5 - np.maximum(self.r0, 1.2)))  # eV/A^2

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        d = atoms.positions[self.j] - atoms.positions[self.i] + self.images @ atoms.cell.array
        r = np.linalg.norm(d, axis=1)
        pull = (self.k * (r - self.r0) / r)[:, None] * d
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, self.i, pull)  # each pair is listed from both sides
        self.results = {"energy": float(0.25 * (self.k * (r - self.r0) ** 2).sum()), "forces": forces}
        if atoms.pbc.all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(0.5 * d.T @ pull) / atoms.get_volume()
