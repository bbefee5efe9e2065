"""Campaigns under faults and on engines: what is compared, and the tables."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase import Atoms

from benchmarks.campaign import faults, subjects, tables
from benchmarks.campaign.calculators import faulty_emt
from benchmarks.campaign.subjects import Subject, alloys, metals
from benchmarks.campaign.workers import compare_workers


def test_one_structure_ends_its_process_and_one_never_returns():
    structures = metals(30)
    symbols = Counter(symbol for atoms in structures for symbol in set(atoms.symbols))
    assert (symbols["Pd"], symbols["Pt"], symbols.total()) == (1, 1, 30)
    atoms = structures[0]
    atoms.calc = faulty_emt()
    assert np.isfinite(atoms.get_potential_energy())


def test_several_starts_of_an_alloy_differ(monkeypatch):
    monkeypatch.setattr(subjects, "DIFFERENT", 3)
    made = alloys(7)
    assert [str(atoms.symbols) for atoms in made[:3]] == [str(atoms.symbols) for atoms in made[3:6]]
    assert len({atoms.positions.tobytes() for atoms in made}) == 7


def pairs(number):
    rng = np.random.default_rng(1)
    return [Atoms("Ar2", [(0, 0, 0), (0, 0, rng.uniform(0.95, 1.4))]) for _ in range(number)]


@pytest.mark.slow
def test_a_campaign_that_is_killed_is_compared_with_one_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    (tmp_path / "place").mkdir()
    subject = Subject("pairs", pairs, {"calculator": "lj", "cell": False, "unit_cost": 20.0})
    row = faults.disturb(subject, 150, 2, tmp_path / "place", 1, 3)
    assert row["identical"]
    assert row["each_once"]
    assert row["statuses"] == {"converged": 150}
    assert row["kills"] == 2 == sum(row["killed"].values())
    assert row["two_drivers"]["refused"] == 1
    assert "skipped" in row["full_disk"] or "No space left on device" in row["full_disk"]["said"][0]
    table = tables.faults({"rows": [row]})
    assert "| pairs | 150 | 2: " in table
    assert table.count("| yes | yes | 150 converged |") == 1
    row["identical"] = False
    assert "| yes | NO | 150 converged |" in tables.faults({"rows": [row]})


@pytest.mark.slow
def test_one_process_is_compared_with_two(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    found = compare_workers(tmp_path, 12, 1)
    assert [row["workers"] for row in found["rows"]] == [1, 2]
    first, second = found["rows"]
    assert first["ratio"] == 1.0
    assert second["ratio"] == pytest.approx(second["rates"][0] / first["rates"][0])
    assert f"| {second['ratio']:.2f} |" in tables.workers(found)
    assert f"{found['machine']:.2f} of one" in tables.workers(found)


def test_an_engine_that_is_skipped_says_why():
    row = {"engine": "dask", "seconds": 3.2, "statuses": {"converged": 1200, "saddle": 1}, "identical": True}
    table = tables.engines({"rows": [row, {"engine": "slurm", "skipped": "no root"}]})
    assert "| dask | 3 | 1,200 converged, 1 saddle | yes |" in table
    assert "| slurm |  | skipped: no root |  |" in table
