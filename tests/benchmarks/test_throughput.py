"""The throughput benchmark: its measurements, on few structures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.calculators.calculator import all_changes
from ase.io import write

import relax
from benchmarks.throughput.__main__ import ASE, OURS, SLOWER_ASE
from benchmarks.throughput.baselines import ase_one_by_one, torch_sim_batched
from benchmarks.throughput.gpu import on_gpu
from benchmarks.throughput.measurements import alloy, profile, read_method
from benchmarks.throughput.measurements import crystals as relax_crystals
from benchmarks.throughput.models import FMAX, MINI, larger_mace, starts, statuses
from benchmarks.throughput.runner import NEWER, command, measure, with_ends, with_excess
from benchmarks.throughput.streams import clusters, stream
from benchmarks.throughput.tables import graphics
from relax.analysis.comparison.runs.call_counter import silenced
from relax.calculators.registry import load
from relax.rules import LBFGS
from relax.rules.wrappers import for_atoms

ONE_BY_ONE = (*ASE, *SLOWER_ASE, "lbfgs")
METHODS = ("relax:lbfgs", "relax:lbfgs:one by one", OURS[-1], "torch_sim:lbfgs", "torch_sim:FIRE")

pytestmark = pytest.mark.slow


def test_methods_have_rules_settings_and_order():
    assert read_method("relax:lbfgs:one by one") == ("lbfgs", {}, True, "float64")
    settings = {"check": "minimum", "escape": True}
    assert read_method("relax:pair-lbfgs:check=minimum,escape=true") == (
        "pair-lbfgs",
        settings,
        False,
        "float64",
    )
    assert read_method("relax:fire:float32") == ("fire", {}, False, "float32")


def test_a_stream_is_counted():
    row = stream(60)
    assert row["ended"] == {"converged": 60}
    assert row["structures_per_s"] == pytest.approx(1e3 / row["ms_per_structure"])
    assert row["peak_MB"] >= row["after_a_tenth_MB"] >= row["before_MB"] > 0


def test_a_step_far_uphill_is_left_to_a_rule_that_undoes_it():
    """Some of these clusters, in reduced units, meet an overlap of atoms on their way."""
    starts = list(clusters(40))
    together = sorted(relax.relax_many(starts, "lj"), key=lambda done: done.index)
    for done, atoms in zip(together, starts, strict=True):
        alone = relax.relax(atoms, "lj")
        assert done.result.converged
        assert alone.converged
        assert done.result.force_calls == alone.force_calls


def test_the_parts_of_the_time_are_all_of_it():
    row = profile("lbfgs", str(MINI), 3)
    assert row["converged"] == 3
    assert sum(row["shares"].values()) == pytest.approx(1.0)
    assert row["outside"] == pytest.approx(1 - row["shares"]["model"])


def test_a_part_runs_in_a_process_of_its_own(tmp_path):
    row = measure("stream", 20)
    assert row["structures"] == 20
    with pytest.raises(RuntimeError, match="nosuch"):
        measure("nosuch")


def test_a_newer_torch_sim_is_asked_with_its_own_python():
    asked = command(NEWER, "newer_torch_sim:lbfgs", "a.model", "starts.traj", 4, "/elsewhere/python")
    assert asked[:3] == ["/elsewhere/python", "-m", "benchmarks.throughput.newer_torch_sim"]
    assert json.loads(asked[3]) == ["newer_torch_sim:lbfgs", "a.model", "starts.traj", 4, FMAX, 500]


def test_all_methods_end_alike(tmp_path):
    begun = [alloy(seed) for seed in range(2)]
    given = tmp_path / "starts.traj"
    write(given, begun)
    rows = [
        relax_crystals(method, str(MINI), str(given), 2)
        for method in METHODS
        if method.startswith("relax") or pytest.importorskip("torch_sim")
    ]
    json.dumps(rows)
    checked = with_ends(rows, MINI, begun)
    assert all(row["ended"]["converged"] == 2 for row in checked)
    assert all(row["meV_above_lowest"] < 2 for row in checked)
    assert checked[0]["force_calls"] == checked[1]["force_calls"]


# Baselines


@pytest.fixture(scope="module")
def crystals():
    return starts(3, 1, largest=4)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_one_by_one(crystals, name):
    outcome = ase_one_by_one(crystals, MINI, name, FMAX, 500)
    assert statuses(outcome.structures, crystals, MINI, FMAX) == ["converged"] * 3
    assert 3 < outcome.evaluations < 400


def test_torch_sim_counts_every_structure_of_every_batch(crystals):
    pytest.importorskip("torch_sim")
    outcome = torch_sim_batched(crystals, MINI, FMAX, 500, max_atoms=6)
    assert statuses(outcome.structures, crystals, MINI, FMAX) == ["converged"] * 3
    short = torch_sim_batched(crystals, MINI, FMAX, 2)
    # Of each start one, and one a step.
    assert short.evaluations == 3 + 3 * 2


def test_our_steps_under_torch_sim_are_as_many_as_under_ase(crystals):
    pytest.importorskip("torch_sim")
    from relax.optimizers.torch_sim import for_torch_sim

    optimizer = for_torch_sim(for_atoms(LBFGS()), cell=True)
    batched = torch_sim_batched(crystals, MINI, FMAX, 500, optimizer=optimizer)
    alone = ase_one_by_one(crystals, MINI, "lbfgs", FMAX, 500)
    # The criterion for the cell is another, by the reference it is seen from.
    assert abs(batched.evaluations - alone.evaluations) <= 3
    for ours, theirs in zip(batched.structures, alone.structures, strict=True):
        np.testing.assert_allclose(ours.cell.array, theirs.cell.array, rtol=0, atol=0.05)


def test_what_a_gpu_runs_runs_here(crystals, tmp_path):
    write(tmp_path / "starts.traj", crystals)
    methods = ("relax:internal-lbfgs", "relax:internal-lbfgs:one by one", "ase:FIRE")
    rows = [on_gpu(method, str(MINI), str(tmp_path / "starts.traj"), 3, "cpu") for method in methods]
    energies = np.array([row["energies"] for row in rows])
    batch, alone, fire = with_excess(rows)
    assert [row["converged"] for row in rows] == [3, 3, 3]
    assert batch["force_calls"] == alone["force_calls"] < fire["force_calls"]
    above = 1e3 * (energies - energies.min(axis=0)).mean(axis=1)
    assert [row["meV_above_lowest"] for row in rows] == pytest.approx(above.tolist())
    table = graphics({"gpu": [{"model": "mini"} | row for row in rows]})
    assert [row[1] for row in table.rows] == [f"`{method}`" for method in methods]


def test_the_larger_model_is_made_of_its_seed(crystals, tmp_path):
    energies = []
    for k, seed in enumerate((0, 0, 1)):
        larger_mace(tmp_path / f"{k}.model", seed)
        calculator = load(f"mace:{tmp_path / f'{k}.model'}")
        with silenced():
            calculator.calculate(crystals[0], ["energy"], all_changes)
        energies.append(calculator.results["energy"])
    assert energies[0] == energies[1] != energies[2]
