"""The benchmark of large crystals, on small ones."""

from __future__ import annotations

import json
import os
import signal
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from commands import call

from benchmarks import readme
from benchmarks.metals import __main__ as metals
from benchmarks.metals import results, runs
from benchmarks.metals.results import SCHEMA
from benchmarks.metals.runs import End, Task, crystal, run, run_in_process
from benchmarks.metals.tables import as_markdown, failures

pytestmark = pytest.mark.slow

command = partial(call, metals.main)
SMALL = Task("lbfgs", 32, 0.05, 1, 0.05, 200)
FAST = ["--atoms", 32, "--optimizers", "lbfgs,ase:FIRE"]


def dies(task):
    os._exit(1)


def sleeps(task):
    signal.pause()


def test_a_crystal_has_one_vacancy_and_about_the_atoms_asked_for():
    for asked, there in ((32, 31), (10_000, 10_975), (100_000, 97_555)):
        assert len(crystal(asked, 0.0, 1)) == there
    still, moved = crystal(256, 0.0, 1), crystal(256, 0.05, 1)
    assert (moved.positions - still.positions).std() == pytest.approx(0.05, rel=0.1)
    assert (crystal(256, 0.05, 1).positions == moved.positions).all()
    assert not np.allclose(crystal(256, 0.05, 2).positions, moved.positions)
    assert (moved.cell == (bulk("Cu", cubic=True) * (4, 4, 4)).cell).all()
    assert moved.pbc.all()


@pytest.mark.parametrize("name", ["lbfgs", "fire", "ase:LBFGS", "ase:PreconLBFGS", "ase:FIRE"])
def test_all_optimizers_relax_a_small_crystal(name):
    end = run(SMALL._replace(optimizer=name))
    assert end.status == "converged", end.reason
    assert end.force <= 0.05
    assert 0 < end.calls < 60
    assert end.energy == pytest.approx(0.0345, abs=2e-4)
    assert end.seconds_calculator > 0
    assert end.seconds_outside > 0
    assert end.MB >= end.calculator_MB > 0


def test_the_cap_ends_a_run():
    end = run(SMALL._replace(cap=2))
    assert (end.status, end.calls) == ("cap", 2)
    assert end.force > 0.05


def test_a_run_in_a_separate_process_is_the_same():
    end = run_in_process(SMALL, 60)
    assert (end.status, end.calls, end.energy) == ("converged", run(SMALL).calls, run(SMALL).energy)


def test_a_process_that_dies_or_takes_too_long_is_a_failure(monkeypatch):
    monkeypatch.setattr(runs, "run", dies)
    assert run_in_process(SMALL, 60) == End("killed", "the process died")
    monkeypatch.setattr(runs, "run", sleeps)
    assert run_in_process(SMALL, 3) == End("timeout", "not done after 3 s")


@pytest.fixture
def made(monkeypatch):
    """Make the runs here, for processes take seconds to start; return what was made."""
    tasks = []

    def here(task, timeout):
        tasks.append((task.atoms, task.optimizer))
        return run(task)

    monkeypatch.setattr(metals, "run_in_process", here)
    return tasks


def test_a_table_for_each_size(made, tmp_path):
    out, page = tmp_path / "made" / "out.json", tmp_path / "page.md"
    done = command(*FAST, "--atoms", 108, "--json", out, "--table", page)
    assert done.exit_code == 0, done.output
    found = SCHEMA.read(out)
    assert made == [(32, "lbfgs"), (32, "ase:FIRE"), (108, "lbfgs"), (108, "ase:FIRE")]
    assert [row["atoms"] for row in found["rows"]] == [31, 31, 107, 107]
    assert found["command"] == (
        "python -m benchmarks.metals --atoms 32 --atoms 108 --rattle 0.05 --seed 1 --fmax 0.05 --cap 200 "
        "--optimizers lbfgs,ase:FIRE"
    )
    assert "107 atoms of Cu" in page.read_text()
    assert page.read_text() == as_markdown(found)
    assert str(tmp_path) not in out.read_text()
    assert command("--render", out).stdout == done.stdout


def test_a_command_continues_where_it_was(made, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    command("--atoms", 32, "--optimizers", "lbfgs", "--json", out)
    command(*FAST, "--atoms", 108, "--json", out)
    assert made == [(32, "lbfgs"), (32, "ase:FIRE"), (108, "lbfgs"), (108, "ase:FIRE")]
    made.clear()
    known = results.settings_text
    monkeypatch.setattr(
        results, "settings_text", lambda name, system: known(name, system) + " anew" * (name == "lbfgs")
    )
    done = command(*FAST, "--json", out)
    assert made == [(32, "lbfgs")]
    assert "out of date, not kept: lbfgs" in done.stderr


def test_failures_are_listed(made, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    monkeypatch.setattr(metals, "run_in_process", lambda task, timeout: End("killed", "the process died"))
    done = command(*FAST, "--json", out)
    assert done.exit_code == 0, done.output
    assert failures(SCHEMA.read(out))[0] == "lbfgs, 31 atoms: killed, the process died"
    assert "- lbfgs, 31 atoms: killed" in as_markdown(SCHEMA.read(out))


def test_results_of_another_protocol_are_neither_mixed_nor_lost(made, tmp_path):
    out = tmp_path / "out.json"
    command(*FAST, "--json", out)
    before = out.read_text()
    for other in (["--seed", 2], ["--rattle", 0.1], ["--cap", 100], ["--fmax", 0.1]):
        done = command(*FAST, "--json", out, *other)
        assert done.exit_code == 2
        assert "other starts or another protocol" in done.stderr
        assert out.read_text() == before
    assert command(*FAST, "--json", out, "--fmax", 0.1, "--no-resume").exit_code == 0
    assert json.loads(out.read_text())["fmax"] == 0.1


def test_the_table_of_the_readme(made, tmp_path, monkeypatch):
    command(*FAST, "--atoms", 108, "--fmax", 0.5, "--json", tmp_path / "metals.json")
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    lines = readme.metals().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["31", "31", "107", "107"]
    assert len({line.count("|") for line in lines}) == 1
