"""Rules run under torch-sim take the steps that they take under ASE, whoever shares their batch."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from toys import Bonds

from relax.cell import CellFreedom
from relax.optimizer import RuleOptimizer
from relax.rules import FIRE, LBFGS, RULES, CoRe, Frankenstein
from relax.rules.wrappers import Restart, for_atoms

pytest.importorskip("torch_sim")

import torch
import torch_sim as ts
from torch_sim.models.interface import ModelInterface

from relax.torch_sim import for_torch_sim

COMPARED = {"fire": FIRE(), "lbfgs": LBFGS(), "core": CoRe(), "frankenstein": Frankenstein()}
FREEDOMS = {
    "cell": True,
    "pressure": CellFreedom(pressure=5.0),
    "mask": CellFreedom(mask=[1, 1, 0, 0, 0, 1]),
    "hydrostatic": CellFreedom(hydrostatic=True),
    "constant volume": CellFreedom(constant_volume=True),
    "small steps": CellFreedom(max_strain=1e-3, length=2.0),
    "rebased": CellFreedom(rebase=0.01),
}


class Asked(ModelInterface):
    """The potential of the other tests as a model of torch-sim."""

    def __init__(self, dtype: torch.dtype = torch.float64, stress: bool = True) -> None:
        super().__init__()
        self._device, self._dtype = torch.device("cpu"), dtype
        self._compute_forces, self._compute_stress = True, stress
        self.bonds: dict[str, Bonds] = {}

    def forward(self, state):
        told = {"energy": [], "forces": [], "stress": []}
        for atoms in state.to_atoms():
            atoms.calc = self.bonds.setdefault(atoms.get_chemical_formula(), Bonds())
            told["energy"].append(atoms.get_potential_energy())
            told["forces"].extend(atoms.get_forces())
            if state.pbc:
                told["stress"].append(atoms.get_stress(voigt=False))
        return {name: torch.tensor(np.array(value), dtype=self.dtype) for name, value in told.items()}


def crystals() -> list[Atoms]:
    """Return three crystals of different size, none at rest."""
    made = [
        bulk("NiAl", "cesiumchloride", a=2.9),
        bulk("CuAu", "rocksalt", a=5.2, cubic=True),
        bulk("NiAl", "cesiumchloride", a=2.75) * (2, 1, 1),
    ]
    for seed, atoms in enumerate(made):
        rng = np.random.default_rng(seed)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
        atoms.rattle(0.08, rng=rng)
    return made


def under_ase(rule, atoms, steps, cell):
    """Return positions and cell after each of ``steps``."""
    atoms = atoms.copy()
    atoms.calc = Bonds()
    optimizer, path = RuleOptimizer(atoms, rule, logfile=None, cell=cell), []
    for _ in optimizer.irun(fmax=0.0, steps=steps):
        path.append((atoms.positions.copy(), atoms.cell.array.copy()))
    return path


@pytest.mark.parametrize("cell", [False, *FREEDOMS.values()], ids=["held", *FREEDOMS])
@pytest.mark.parametrize("name", COMPARED)
def test_steps_are_those_of_the_ase_optimizer(name, cell):
    rule, steps = for_atoms(COMPARED[name]), 12
    init, step = for_torch_sim(rule, cell=cell)(Asked())
    state = init(ts.initialize_state(crystals(), torch.device("cpu"), torch.float64))
    paths = [under_ase(rule, atoms, steps, cell) for atoms in crystals()]
    for k in range(steps + 1):
        for atoms, path in zip(state.to_atoms(), paths, strict=True):
            np.testing.assert_allclose(atoms.positions, path[k][0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(atoms.cell.array, path[k][1], rtol=0, atol=1e-9)
        state = step(state)
