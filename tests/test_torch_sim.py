"""Rules run under torch-sim take the steps that they take under ASE, whoever shares their batch."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from helpers import full
from toys import Bonds

from relax.geometry.cell import GPA, CellFreedom
from relax.optimizers.base import RuleOptimizer
from relax.rules import FIRE, LBFGS, RULES, CoRe, Frankenstein
from relax.rules.wrappers import for_atoms

pytest.importorskip("torch_sim")

import torch
import torch_sim as ts
from torch_sim.models.interface import ModelInterface

from relax.optimizers.torch_sim import for_torch_sim

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


def crystals(seed: int = 0) -> list[Atoms]:
    """Return three crystals of different size, none at rest."""
    made = [
        bulk("NiAl", "cesiumchloride", a=2.9),
        bulk("CuAu", "rocksalt", a=5.2, cubic=True),
        bulk("NiAl", "cesiumchloride", a=2.75) * (2, 1, 1),
    ]
    rng = np.random.default_rng(seed)
    for atoms in made:
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
        atoms.rattle(0.08, rng=rng)
    return made


def begun(rule, cell, model=None):
    """Return the first state of the crystals, and what takes a step."""
    init, step = for_torch_sim(rule, cell=cell)(model or Asked())
    return init(ts.initialize_state(crystals(), torch.device("cpu"), torch.float64)), step


def under_ase(rule, atoms, steps, cell):
    """Return positions and cell after each of ``steps``."""
    atoms = atoms.copy()
    atoms.calc = Bonds()
    optimizer, path = RuleOptimizer(atoms, rule, logfile=None, cell=cell), []
    for _ in optimizer.irun(fmax=0.0, steps=steps):
        path.append((atoms.positions.copy(), atoms.cell.array.copy()))
    return path


@pytest.mark.parametrize("cell", [False, *FREEDOMS.values()], ids=["held", *FREEDOMS])
@pytest.mark.parametrize("rule", full(COMPARED))
def test_steps_are_those_of_the_ase_optimizer(rule, cell):
    rule, steps = for_atoms(rule), 12
    state, step = begun(rule, cell)
    paths = [under_ase(rule, atoms, steps, cell) for atoms in crystals()]
    for k in range(steps + 1):
        for atoms, path in zip(state.to_atoms(), paths, strict=True):
            np.testing.assert_allclose(atoms.positions, path[k][0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(atoms.cell.array, path[k][1], rtol=0, atol=1e-9)
        state = step(state)


def run(structures, rule, cell, model=None, room=0, **settings):
    """Relax under ``torch_sim.optimize``, with at most ``room`` atoms in a batch; return the last state."""
    model = model or Asked()
    batches = ts.InFlightAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=room)
    return ts.optimize(
        structures,
        model,
        optimizer=for_torch_sim(rule, cell=cell),
        convergence_fn=ts.generate_force_convergence_fn(1e-2, include_cell_forces=bool(cell)),
        autobatcher=batches if room else False,
        **{"steps_between_swaps": 1, "max_steps": 300} | settings,
    )


@pytest.mark.slow
@pytest.mark.parametrize("cell", [False, True], ids=["held", "cell"])
@pytest.mark.parametrize(
    "rule",
    [*map(for_atoms, COMPARED.values()), for_atoms(FIRE(), restart_when="energy")],
    ids=[*COMPARED, "nested state"],
)
def test_structures_that_enter_late_go_the_way_they_go_alone(rule, cell):
    structures = [*crystals(), *crystals(seed=7)]
    together = run(structures, rule, cell, room=14)
    for atoms, last in zip(structures, together.to_atoms(), strict=True):
        alone = run([atoms], rule, cell).to_atoms()[0]
        np.testing.assert_allclose(last.positions, alone.positions, rtol=0, atol=1e-9)
        np.testing.assert_allclose(last.cell.array, alone.cell.array, rtol=0, atol=1e-9)
    assert together.forces.norm(dim=1).max() < 1e-2


@pytest.mark.parametrize("rule", full(RULES))
def test_every_rule_relaxes(rule):
    state, step = begun(for_atoms(rule()), True)
    first = state.energy
    for _ in range(20):
        state = step(state)
    assert (state.energy < first).all()


def test_the_cell_forces_are_those_of_ase_cell_filter():
    state, step = begun(for_atoms(LBFGS()), CellFreedom(pressure=3.0))
    for _ in range(3):
        state = step(state)
    for k, (atoms, start) in enumerate(zip(state.to_atoms(), crystals(), strict=True)):
        start.calc = Bonds()
        seen = FrechetCellFilter(start, scalar_pressure=3.0 * GPA)
        start.set_cell(atoms.cell, scale_atoms=True)
        start.positions = atoms.positions
        np.testing.assert_allclose(state.cell_forces[k], seen.get_forces()[-3:], rtol=0, atol=1e-8)


def test_large_strains_make_a_new_reference_and_a_fresh_memory():
    state, step = begun(for_atoms(LBFGS()), CellFreedom(rebase=0.01))
    before, strained = state.reference, torch.zeros(3, dtype=bool)
    for _ in range(6):
        strained |= state.strain.abs().amax((1, 2)) > 0.01
        state = step(state)
    assert strained.any()
    assert torch.equal((state.reference != before).any(2).any(1), strained)


def test_a_model_in_float32_keeps_the_rows_in_float64():
    single = Asked(torch.float32)
    state = run(crystals(), for_atoms(LBFGS()), True, single, room=12)
    assert state.positions.dtype == state.cell.dtype == state.cell_forces.dtype == torch.float32
    assert state.rows.dtype == state.strain.dtype == state.memory.dtype == torch.float64
    exact = run(crystals(), for_atoms(LBFGS()), True)
    np.testing.assert_allclose(state.energy, exact.energy, rtol=0, atol=1e-4)


class Spoilt(Asked):
    """The same, but says of the second structure what is no potential's answer."""

    def __init__(self, bad: float) -> None:
        super().__init__()
        self.bad = bad

    def forward(self, state):
        mine = state.system_idx[:, None] == 1
        first = ts.initialize_state(crystals(), self.device, self.dtype)
        told = super().forward(
            ts.SimState(
                positions=torch.where(mine, first.positions, state.positions),
                masses=state.masses,
                cell=torch.cat([state.cell[:1], first.cell[1:2], state.cell[2:]]),
                pbc=state.pbc,
                atomic_numbers=state.atomic_numbers,
                system_idx=state.system_idx,
            )
        )
        told["forces"][state.system_idx == 1] = self.bad
        told["stress"][1] = self.bad
        return told


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
@pytest.mark.parametrize("name", COMPARED)
def test_a_structure_gone_wrong_leaves_the_others_alone(name, bad):
    rule = for_atoms(COMPARED[name])
    spoilt, step = begun(rule, True, Spoilt(bad))
    sound, right = begun(rule, True)
    for _ in range(4):
        spoilt, sound = step(spoilt), right(sound)
    others = sound.system_idx != 1
    np.testing.assert_allclose(spoilt.positions[others], sound.positions[others], rtol=0, atol=1e-9)


def test_what_cannot_be_is_refused():
    rule = for_atoms(LBFGS())
    with pytest.raises(ValueError, match="compute_stress=True"):
        for_torch_sim(rule, cell=True)(Asked(stress=False))
    cluster = Atoms("NiAl", [[0, 0, 0], [0, 0, 2.4]], cell=[8, 8, 8])
    init, _ = for_torch_sim(rule, cell=True)(Asked())
    with pytest.raises(ValueError, match="not periodic"):
        init(ts.initialize_state(cluster, torch.device("cpu"), torch.float64))
    last = run([cluster], rule, False, Asked(stress=False))
    assert last.forces.norm(dim=1).max() < 1e-2
