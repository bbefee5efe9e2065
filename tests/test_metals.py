"""The benchmark of large crystals, on small ones."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict

import numpy as np
import pytest
import typer
from ase.build import bulk
from typer.testing import CliRunner

from benchmarks import metal_results, metal_runs, metals, readme
from benchmarks.metal_results import read_results
from benchmarks.metal_runs import End, Task, crystal, run, run_apart
from benchmarks.metal_table import COLUMNS, as_markdown, cells, failures

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
def test_everyone_relaxes_a_small_crystal(name):
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


def test_cells_say_what_is_known():
    row = asdict(End("killed")) | {"optimizer": "lbfgs"}
    assert cells(row) == ["`lbfgs`", "killed", *[""] * 9]
    row |= {
        "status": "converged", "calls": 10, "seconds_calculator": 20.0, "seconds_outside": 0.5,
        "energy": -0.0031, "force": 0.04, "calculator_MB": 100.0, "MB": 130.0,
    }  # fmt: skip
    assert dict(zip(COLUMNS, cells(row), strict=True)) == {
        "optimizer": "`lbfgs`",
        "status": "converged",
        "force calls": "10",
        "s in the calculator": "20.0",
        "s outside": "0.5",
        "ms a call in the calculator": "2000",
        "ms a call outside": "50.0",
        "eV/atom": "-0.003100",
        "largest force, eV/A": "0.0400",
        "peak MB": "130",
        "above the calculator's, MB": "30",
    }


@pytest.mark.slow
def test_a_run_has_a_process_of_its_own():
    end = run_apart(SMALL, 60)
    assert (end.status, end.calls, end.energy) == ("converged", run(SMALL).calls, run(SMALL).energy)


@pytest.mark.slow
def test_a_process_that_dies_or_takes_too_long_is_a_failure(monkeypatch):
    monkeypatch.setattr(metal_runs, "run", dies)
    assert run_apart(SMALL, 60) == End("killed", "the process died")
    monkeypatch.setattr(metal_runs, "run", sleeps)
    assert run_apart(SMALL, 3) == End("timeout", "not done after 3 s")


@pytest.fixture
def made(monkeypatch):
    """Make the runs here, for processes take seconds to start; return what was made."""
    tasks = []

    def here(task, timeout):
        tasks.append((task.atoms, task.optimizer))
        return run(task)

    monkeypatch.setattr(metals, "run_apart", here)
    return tasks


def command(*words):
    app = typer.Typer()
    app.command()(metals.main)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_table_for_each_size(made, tmp_path):
    out, page = tmp_path / "made" / "out.json", tmp_path / "page.md"
    done = command(*FAST, "--atoms", 108, "--json", out, "--table", page)
    assert done.exit_code == 0, done.output
    results = read_results(out)
    assert made == [(32, "lbfgs"), (32, "ase:FIRE"), (108, "lbfgs"), (108, "ase:FIRE")]
    assert [row["atoms"] for row in results["rows"]] == [31, 31, 107, 107]
    assert results["command"] == (
        "python -m benchmarks.metals --atoms 32 --atoms 108 --rattle 0.05 --seed 1 --fmax 0.05 --cap 200 "
        "--optimizers lbfgs,ase:FIRE"
    )
    assert "107 atoms of Cu" in page.read_text()
    assert page.read_text() == as_markdown(results)
    assert str(tmp_path) not in out.read_text()
    assert command("--render", out).stdout == done.stdout


def test_a_command_goes_on_where_it_was(made, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    command("--atoms", 32, "--optimizers", "lbfgs", "--json", out)
    command(*FAST, "--atoms", 108, "--json", out)
    assert made == [(32, "lbfgs"), (32, "ase:FIRE"), (108, "lbfgs"), (108, "ase:FIRE")]
    made.clear()
    known = metal_results.settings_text
    monkeypatch.setattr(
        metal_results, "settings_text", lambda name: known(name) + (" anew" if name == "lbfgs" else "")
    )
    done = command(*FAST, "--json", out)
    assert made == [(32, "lbfgs")]
    assert "has changed since: lbfgs" in done.stderr


def test_failures_are_told(made, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    monkeypatch.setattr(metals, "run_apart", lambda task, timeout: End("killed", "the process died"))
    done = command(*FAST, "--json", out)
    assert done.exit_code == 0, done.output
    assert failures(read_results(out))[0] == "lbfgs, 31 atoms: killed, the process died"
    assert "- lbfgs, 31 atoms: killed" in as_markdown(read_results(out))


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizers", "ase:FIRRE"], "did you mean 'ase:FIRE'"),
        (["--optimizers", "no-such-rule"], "there is no optimizer 'no-such-rule'"),
        (["--render", "pyproject.toml"], "holds no results"),
    ],
)
def test_bad_input_is_told_in_one_line(words, message):
    done = command("--atoms", 32, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_table_of_the_readme(made, tmp_path, monkeypatch):
    command(*FAST, "--atoms", 108, "--fmax", 0.5, "--json", tmp_path / "metals.json")
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    lines = readme.metals().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["31", "31", "107", "107"]
    assert len({line.count("|") for line in lines}) == 1
