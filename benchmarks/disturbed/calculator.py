"""A calculator whose forces are disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

__all__ = ["DISTURBANCES", "Disturbance", "Disturbed"]


@dataclass(frozen=True)
class Disturbance:
    """How forces are disturbed.

    Parameters
    ----------
    noise
        Standard deviation of each component, eV/A, drawn anew at every call.
    curl
        Size of what is added to each force, relative to the force.
    """

    noise: float = 0.0
    curl: float = 0.0

    @property
    def words(self) -> str:
        """What is done, in a few words."""
        if self.noise:
            return f"noise {self.noise:g} eV/A"
        return f"curl {self.curl:.0%}" if self.curl else "as they are"


DISTURBANCES = (
    Disturbance(),
    Disturbance(noise=1e-4),
    Disturbance(noise=1e-3),
    Disturbance(noise=1e-2),
    Disturbance(curl=0.05),
    Disturbance(curl=0.3),
)


class Disturbed(Calculator):
    """A calculator that calls another one, counts the calls, and disturbs the forces.  Energies stay.

    With a curl every force F becomes F + curl a x F, with one axis a of length one for the structure: no
    energy has such forces.  They vanish where F does, and there is no net force where there was none.

    Parameters
    ----------
    inner
        The calculator.
    disturbance
        How forces are disturbed.
    seed
        Of the axis and of the noise.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, inner: Any, disturbance: Disturbance, seed: int) -> None:
        super().__init__()
        self.inner, self.disturbance, self.seed, self.calls = inner, disturbance, seed, 0
        axis = np.random.default_rng(seed).normal(size=3)
        self.axis = axis / np.linalg.norm(axis)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        wanted = self.implemented_properties if self.atoms.cell.rank == 3 else ("energy", "forces")
        self.inner.calculate(self.atoms, list(wanted), system_changes)
        self.results = {k: self.inner.results[k] for k in wanted if k in self.inner.results}
        forces = np.array(self.results["forces"], float)
        forces = forces + self.disturbance.curl * np.cross(self.axis, forces)
        if self.disturbance.noise:
            rng = np.random.default_rng([self.seed, self.calls])
            forces += self.disturbance.noise * rng.normal(size=forces.shape)
        self.results["forces"] = forces
