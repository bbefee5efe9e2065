"""The command of the crystal benchmark: tables, files of results, and what a stopped command leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from commands import ROOT, alloy, call

from benchmarks.crystals import __main__ as crystals
from benchmarks.crystals import results as result_rows
from benchmarks.crystals import runs
from benchmarks.crystals.results import SCHEMA
from benchmarks.crystals.tables import as_markdown, page
from relax.calculators.registry import load

COPPER = bulk("Cu", a=3.8)
command = partial(call, crystals.main)

pytestmark = pytest.mark.slow

FAST = ["--calculator", "emt", "--optimizers", "lbfgs,ase:FIRE"]


@pytest.fixture
def in_process(monkeypatch):
    """Make the runs here: processes take seconds to start."""

    def one_by_one(tasks, calculator, jobs):
        runs.calculators[:] = [load(calculator)]
        return map(crystals.run_task, tasks)

    monkeypatch.setattr(crystals, "in_processes", one_by_one)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the pictures, which take a second."""
    monkeypatch.setattr(crystals, "draw", lambda results, stem: None)


@pytest.fixture
def structures(tmp_path):
    write(tmp_path / "two.extxyz", [alloy(0.02), COPPER])
    return tmp_path / "two.extxyz"


def undated(path: Path) -> dict:
    """Return results without what differs from run to run: the time they took."""
    results = json.loads(path.read_text())
    timed = ("seconds_calculator", "seconds_outside", "ms_calculator", "ms_outside")
    rows = [{k: v for k, v in row.items() if k not in timed} for row in results["rows"]]
    return results | {"rows": rows}


def test_two_tables_with_all_their_rows(in_process, structures, tmp_path):
    out, md = tmp_path / "made" / "out.json", tmp_path / "page.md"
    done = command("--structures", structures, *FAST, "--json", out, "--table", md)
    assert done.exit_code == 0, done.output
    assert "starts as they are" in done.stdout
    assert "starts rattled by 0.05 A" in done.stdout
    results = json.loads(out.read_text())
    pairs = [(row["rattle"], row["optimizer"]) for row in results["rows"]]
    assert pairs == [(0.0, "lbfgs"), (0.0, "ase:FIRE"), (0.05, "lbfgs"), (0.05, "ase:FIRE")]
    assert results["structures"] == ["0000-AuCu", "0001-Cu"]
    assert (results["seed"], results["calculator"], results["fmax"], results["cap"]) == (1, "emt", 0.05, 500)
    assert "--rattle 0 --rattle 0.05 --optimizers lbfgs,ase:FIRE" in results["command"]
    assert str(tmp_path) not in out.read_text()
    for found in results["rows"]:
        assert found["mean"] == np.mean(found["calls"])
        for name in (
            "calls",
            "status",
            "energy",
            "smax",
            "spacegroup",
            "seconds_calculator",
            "seconds_outside",
        ):
            assert len(found[name]) == 2
    assert md.read_text() == as_markdown(results)
    assert md.read_text().count("## 2 crystals, emt") == 2
    assert not list(out.parent.glob("*partial*"))
    assert {path.suffix for path in out.parent.iterdir()} == {".json", ".png", ".svg"}
    assert command("--render", out, "--table", md).stdout == done.stdout


def test_table_is_ordered_by_calls(in_process, undrawn, structures, tmp_path):
    out = tmp_path / "out.json"
    command("--structures", structures, *FAST, "--json", out, "--rattle", 0)
    (sheet,) = page(SCHEMA.read(out)).sheets
    assert sheet.rows[0][0] == "lbfgs"
    means = [float(cells[sheet.columns.index("mean")]) for cells in sheet.rows]
    assert means == sorted(means)


def test_wbm_with_reference_energies(in_process, undrawn, wbm, tmp_path):
    path, summary = wbm
    out = tmp_path / "out.json"
    done = command("--wbm", path, "--summary", summary, *FAST, "--json", out)
    assert done.exit_code == 0, done.output
    results = json.loads(out.read_text())
    assert results["structures"] == ["wbm-1-2", "wbm-1-10"]
    assert {row["rattle"] for row in results["rows"]} == {0.0}
    assert results["reference"] == {"kind": "uncorrected", "energy": [0.004, 1.5]}
    for found in results["rows"]:
        assert found["reference"]["errors_above_1"] == 1
        assert found["reference"]["mae"] == pytest.approx(1e3 * abs(found["energy"][0] - 0.004), abs=1e-2)
    assert "errors > 1 eV" in as_markdown(results)


class Killed(BaseException):
    pass


def test_a_killed_command_continues_where_it_was(in_process, undrawn, structures, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.json", tmp_path / "out.json"
    words = ["--structures", structures, *FAST]
    command(*words, "--json", whole)
    work, made = crystals.run_task, []

    def dies(task):
        if len(made) == 3:
            raise Killed
        made.append(task.key)
        return work(task)

    monkeypatch.setattr(crystals, "run_task", dies)
    with pytest.raises(Killed):
        command(*words, "--json", out)
    assert not out.exists()
    partial = out.with_name("out.json.partial.jsonl")
    lines = partial.read_text().splitlines()
    assert len(lines) == 4
    partial.write_text("\n".join(lines)[:-20])  # killed while it wrote
    again = []
    monkeypatch.setattr(crystals, "run_task", lambda task: again.append(task.key) or work(task))
    command(*words, "--json", out)
    assert len(again) == 8 - 2
    assert not {*again} & {*made[:2]}
    assert undated(out) == undated(whole)
    assert not partial.exists()


def test_only_rows_with_other_settings_are_made_again(in_process, undrawn, structures, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    words = ["--structures", structures, *FAST, "--json", out, "--rattle", 0]
    command(*words)
    made, work = [], crystals.run_task
    monkeypatch.setattr(crystals, "run_task", lambda task: made.append(task.key.optimizer) or work(task))
    command(*words, "--optimizers", "core")
    assert made == ["core"] * 2
    assert [row["optimizer"] for row in json.loads(out.read_text())["rows"]] == ["core", "lbfgs", "ase:FIRE"]
    made.clear()
    known = result_rows.settings_text
    monkeypatch.setattr(
        result_rows, "settings_text", lambda name, system: known(name, system) + " anew" * (name == "lbfgs")
    )
    done = command(*words)
    assert made == ["lbfgs"] * 2
    assert "out of date, not kept: lbfgs" in done.stderr


def test_files_of_results_are_merged(in_process, undrawn, structures, tmp_path, monkeypatch):
    words = ["--structures", structures, "--calculator", "emt", "--rattle", 0, "--optimizers"]
    for name in ("lbfgs", "ase:FIRE"):
        command(*words, name, "--json", tmp_path / f"{name[:4]}.json")
    monkeypatch.setattr(crystals, "run_task", lambda task: pytest.fail("all runs are there"))
    both = [*words, "lbfgs,ase:FIRE", "--take", tmp_path / "lbfg.json", "--take", tmp_path / "ase:.json"]
    done = command(*both, "--json", tmp_path / "both.json")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "both.json").read_text())["rows"]
    assert [set(row["beside"]) for row in rows] == [{"ase:FIRE"}] * 2
    assert "other starts" in command(*both, "--seed", 2).stderr


def test_results_of_other_starts_are_neither_mixed_nor_lost(in_process, undrawn, structures, tmp_path):
    out = tmp_path / "out.json"
    words = ["--structures", structures, *FAST, "--json", out, "--rattle", 0.05]
    command(*words)
    before = out.read_text()
    for other in (["--seed", 2], ["--fmax", 0.1], ["--cap", 100]):
        done = command(*words, *other)
        assert done.exit_code == 2
        assert "other starts or another protocol" in done.stderr
        assert out.read_text() == before
    assert command(*words, "--seed", 2, "--no-resume").exit_code == 0
    assert json.loads(out.read_text())["seed"] == 2
    out.write_text("my notes")
    assert "holds no results" in command(*words, "--no-resume").stderr
    assert out.read_text() == "my notes"


def test_a_terminated_command_keeps_its_runs_and_leaves_no_process(structures, tmp_path):
    out = tmp_path / "out.json"
    partial = out.with_name("out.json.partial.jsonl")
    words = [sys.executable, "-m", "benchmarks.crystals", "--structures", structures, "--calculator", "emt"]
    words += ["--optimizers", "adam,ase:FIRE,fire,core", "--json", out, "--jobs", "1"]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for _ in range(600):
            if partial.exists() and len(partial.read_text().splitlines()) > 1:
                break
            time.sleep(0.05)
        running.terminate()
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    before = partial.read_text().splitlines()[1:]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{16 - len(before)} of {16 - len(before)} runs" in done.stderr
    assert len(json.loads(out.read_text())["rows"]) == 8
