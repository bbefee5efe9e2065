"""What the tests of optimizers share: a quick calculator that counts, and structures for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from helpers import cluster, morse

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
