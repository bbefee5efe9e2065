"""The baselines of throughput relax the same crystals to the same criterion, and count what that took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import all_changes

from benchmarks.meter import quietly
from benchmarks.throughput_baselines import (
    ONE_BY_ONE,
    ase_one_by_one,
    larger_mace,
    starts,
    torch_sim_batched,
    verdicts,
)
from benchmarks.train_mace_mini import ELEMENTS
from relax.calculators.registry import load
from relax.rules import LBFGS
from relax.rules.wrappers import for_atoms

pytest.importorskip("torch_sim")

from relax.optimizers.torch_sim import for_torch_sim

MODEL = Path(__file__).parent.parent / "data" / "mace-mini.model"
FMAX = 0.05

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def crystals():
    return starts(3, 1, ELEMENTS, largest=4)


@pytest.mark.parametrize("name", [*ONE_BY_ONE, "lbfgs"])
def test_one_by_one(crystals, name):
    outcome = ase_one_by_one(crystals, MODEL, name, FMAX, 500)
    assert verdicts(outcome.structures, crystals, MODEL, FMAX) == ["converged"] * 3
    assert 3 < outcome.evaluations < 400


def test_torch_sim_counts_every_structure_of_every_batch(crystals):
    outcome = torch_sim_batched(crystals, MODEL, FMAX, 500, room=6)
    assert verdicts(outcome.structures, crystals, MODEL, FMAX) == ["converged"] * 3
    short = torch_sim_batched(crystals, MODEL, FMAX, 2)
    # Of each start one, and one a step.
    assert short.evaluations == 3 + 3 * 2


def test_our_steps_under_torch_sim_are_as_many_as_under_ase(crystals):
    optimizer = for_torch_sim(for_atoms(LBFGS()), cell=True)
    batched = torch_sim_batched(crystals, MODEL, FMAX, 500, optimizer=optimizer)
    alone = ase_one_by_one(crystals, MODEL, "lbfgs", FMAX, 500)
    # The criterion for the cell is another, by the reference it is seen from.
    assert abs(batched.evaluations - alone.evaluations) <= 3
    for ours, theirs in zip(batched.structures, alone.structures, strict=True):
        np.testing.assert_allclose(ours.cell.array, theirs.cell.array, rtol=0, atol=0.05)


def test_the_larger_model_is_made_of_its_seed(crystals, tmp_path):
    energies = []
    for k, seed in enumerate((0, 0, 1)):
        larger_mace(tmp_path / f"{k}.model", seed)
        calculator = load(f"mace:{tmp_path / f'{k}.model'}")
        with quietly():
            calculator.calculate(crystals[0], ["energy"], all_changes)
        energies.append(calculator.results["energy"])
    assert energies[0] == energies[1] != energies[2]
