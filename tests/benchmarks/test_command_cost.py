"""The cost of the command beside the relaxation, on a few clusters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.io import read
from commands import call

from benchmarks import readme
from benchmarks.cost import command

pytestmark = pytest.mark.slow


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Return what is printed about a few clusters, and what is written."""
    monkeypatch.setattr(command, "SHOWN", 1)
    path = tmp_path / "results.json"
    words = ("--n", 20, "--fewer", 3, "--turns", 2, "--steps", 40, "--whole-steps", 1, "--json", path)
    done = call(command.main, *words)
    assert done.exit_code == 0, done.output
    return done.output, json.loads(path.read_text())


def test_the_command_is_compared_with_the_relaxation_alone(record, tmp_path, monkeypatch):
    printed, found = record
    few, short = found["compared"]
    assert (few["n"], few["steps"], short["n"], short["steps"]) == (3, 40, 2, 0)
    assert short["force_calls"] == 1.0 < few["force_calls"] <= 41
    for row in (few, short):
        ratios = [b / a for a, b in zip(row["alone"], row["command"], strict=True)]
        assert len(ratios) == 2
        assert row["ratio"] == pytest.approx(np.median(ratios))
        assert f"{row['ratio']:.3f}" in printed
    assert [(row["n"], row["steps"]) for row in found["runs"]] == [(2, 1), (20, 1)]
    small, large = (row["memory"] for row in found["runs"])
    assert found["growth"] == pytest.approx(1024**2 * (large - small) / 18)
    assert all(20 < row["memory"] < 2000 for row in found["runs"])
    assert [row["command"] for row in found["shown"]] == ["show", "show --json"]
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    (tmp_path / "results.json").rename(tmp_path / "command_cost.json")
    assert f"{few['ratio']:.3f}" in readme.command_cost()


def test_the_list_can_be_measured_again_alone(record, tmp_path):
    path = tmp_path / "results.json"
    done = call(command.main, "--n", 20, "--shown", "--json", path)
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())
    assert found.pop("shown_command")
    assert found["shown"] != record[1]["shown"]
    assert {**found, "shown": None} == {**record[1], "shown": None}
    assert call(command.main, "--n", 30, "--shown", "--json", path).exit_code == 2


def test_both_relax_the_same_file(tmp_path):
    path = command.written(tmp_path / "some.extxyz", 4)
    starts = read(path, ":")
    assert all(command.SMALLEST <= len(atoms) <= command.LARGEST for atoms in starts)
    assert len({len(atoms) for atoms in starts}) > 1
    alone = command.alone(path, 60)
    command.run(path, 60)
    ends = read(command.output(path), ":")
    assert alone["force_calls"] == sum(atoms.info["relax_force_calls"] for atoms in ends)
    for atoms in ends:
        energy = atoms.get_potential_energy()
        atoms.calc = LennardJones(rc=10.0, ro=6.6, smooth=True)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_a_command_that_fails_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"relax show ended with 2: .*no such file"):
        command.command("show", tmp_path / "none.extxyz")
