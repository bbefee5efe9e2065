"""The benchmark of a large campaign, on a small one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.io import read
from commands import call

from benchmarks import readme
from benchmarks.campaign import pairs, scale
from relax.campaign.campaign import Campaign


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))


def test_pairs_are_as_far_apart_as_is_said(tmp_path):
    starts = read(pairs.written(tmp_path / "pairs.extxyz", 50), ":")
    distances = [atoms.get_distance(0, 1) for atoms in starts]
    assert len({round(d, 6) for d in distances}) == 50
    assert pairs.NEAREST <= min(distances) < max(distances) <= pairs.FARTHEST


def test_results_that_are_made_up_are_those_of_the_minimum(tmp_path, index):
    starts = read(pairs.written(tmp_path / "pairs.extxyz", 40), ":")
    with Campaign.create(tmp_path / "c", starts, "lj", unit_cost=30.0) as campaign:
        number = pairs.made_up(campaign, 15)
        totals = campaign.status()
        assert totals.waiting == 40 - number
        assert 15 <= totals.waiting < 15 + 10
        ends = list(campaign.results(["converged"]))
    assert len(ends) == number
    for end in ends:
        atoms = end.atoms
        assert atoms.get_potential_energy() == end.energy
        assert math.isclose(end.fmax, np.linalg.norm(atoms.get_forces(), axis=1).max(), abs_tol=1e-12)
        along = np.diff(end.start.positions, axis=0)[0]
        assert np.allclose(np.cross(along, np.diff(atoms.positions, axis=0)[0]), 0)
        atoms.calc = LennardJones(rc=10.0, ro=6.6, smooth=True)
        assert atoms.get_potential_energy() == pytest.approx(end.energy, abs=1e-9)
        assert np.abs(atoms.get_forces()).max() < 1e-9


@pytest.mark.slow
def test_a_small_campaign_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "SHOWN", 2)
    monkeypatch.setattr(scale, "TURNS", 1)
    monkeypatch.setattr(scale, "WORKERS", 1)
    monkeypatch.setenv("RELAX_INDEX_DIR", "set back after the test")
    path = tmp_path / "campaign_scale.json"
    done = call(scale.main, "--structures", 60, "--relaxed", 30, "--unit-cost", 30, "--json", path)
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())
    assert found["structures"] == sum(found["statuses"].values()) == 60
    (turn,) = found["compared"]
    assert found["made_up"]["structures"] + turn["structures"] + found["run"]["structures"] == 60
    assert turn["bookkeeping"] == pytest.approx(turn["campaign"] - turn["alone"])
    assert turn["force_calls"] > 1
    run = found["run"]
    assert 0 < run["driver"] < run["cpu"]
    assert len(run["tenths"]) == 10
    assert max(run["tenths"]) <= run["memory"] < 1000
    assert len(found["status"]) == 2
    assert all(found[name]["cpu"] > 0 for name in ("init", "first_status", "taken_in", "rebuilt", "export"))
    assert found["folders"]["inputs"]["files"] == found["folders"]["rounds"]["files"] == 1
    assert found["folders"]["results"]["files"] >= 3  # made up, compared and the rest
    assert found["units"] == 10 or found["units"] > 5
    assert f"{1e3 * turn['alone']:.2f}" in done.output
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    assert f"| {run['memory']:.0f} " in readme.campaign("scale")
    assert "100,000,000" in readme.campaign("plan")
