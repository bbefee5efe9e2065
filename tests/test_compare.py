"""``relax compare``: tables, files of results, continued comparisons, bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from comparisons import alloy, slab

from relax.analysis.comparison.results import SCHEMA
from relax.analysis.comparison.runs import tasks

ROOT = Path(__file__).parent.parent
FAST = ("-c", "emt", "--rules", "default,ase:BFGS")
TIMED = {"seconds_calculator", "seconds_outside"}


@pytest.fixture
def files(tmp_path):
    """Return the names of a file with one crystal, and of one with two."""
    write(tmp_path / "alloy.extxyz", alloy())
    write(tmp_path / "two.extxyz", [bulk("Cu", a=3.8, cubic=True), bulk("Al", a=3.9, cubic=True)])
    return "alloy.extxyz", "two.extxyz"


def untimed(rows):
    """Return rows without what differs from run to run: the time they took."""
    return [{key: value for key, value in row.items() if key not in TIMED} for row in rows]


def rows_of(path):
    return untimed(json.loads(Path(path).read_text())["rows"])


def test_table_results_and_picture(relax, files):
    words = ("--rules", "default,core:s_0=0.1,ase:FIRE", "-c", "emt", "--cell", "--draws", 2)
    outputs = ("--json", "out.json", "--plot", "out.png", "--table", "out.md")
    code, out, err = relax("compare", *files, *words, *outputs)
    assert (code, err) == (0, [])
    assert "3 structures, starts as they are" in out
    assert "3 structures, starts rattled by 0.05 A, 2 draws each" in out
    results = json.loads(Path("out.json").read_text())
    assert results["structures"] == ["alloy.extxyz", "two.extxyz#0", "two.extxyz#1"]
    rules = ["default", "core:s_0=0.1", "ase:FIRE"]
    starts = [(0.0, 0), (0.05, 0), (0.05, 1)]
    assert [(row["rattle"], row["draw"], row["optimizer"]) for row in results["rows"]] == [
        (*start, rule) for start in starts for rule in rules
    ]
    for row in results["rows"]:
        assert row["status"] == ["converged"] * 3
        assert max(row["fmax"]) <= 0.05
    for row in results["tables"]:
        same = [
            r for r in results["rows"] if (r["rattle"], r["optimizer"]) == (row["rattle"], row["optimizer"])
        ]
        assert row["mean"] == pytest.approx(np.mean([r["calls"] for r in same]), abs=1e-3)
    assert Path("out.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert Path("out.md").read_text().count("| default |") == 2
    assert sorted(os.listdir()) == ["alloy.extxyz", "out.json", "out.md", "out.png", "two.extxyz"]


def test_lines_of_the_table_fit_80_columns(relax, files, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, out, _ = relax("compare", *files, "-c", "emt", "--rules", "default,core:metric=true,ase:FIRE")
    assert "core:metric=true" in out
    plain = re.sub(r"\x1b\[\d+m", "", out)
    assert max(map(len, plain.splitlines())) == 80


def test_the_table_says_which_rules_run_without_their_preconditioner(relax, files):
    words = ("compare", files[0], "-c", "emt", "--cap", 2, "--rattle", 0, "--rules")
    out = relax(*words, "default,core,core:s_0=0.1,fire")[1]
    assert "core and core:s_0=0.1 run without the preconditioner" in out
    assert "core:metric=true and core:s_0=0.1,metric=true." in out
    assert "preconditioner" not in relax(*words, "core:metric=true,fire")[1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_settings_of_the_calculator_count(relax, jobs):
    write("pair.xyz", Atoms("Ar2", [[0, 0, 0], [0, 0, 1.3]]))
    words = ("compare", "pair.xyz", "-c", "lj", "--rules", "default,fire", "--rattle", 0, "--jobs", jobs)
    for depth in (1.0, 2.0):
        file = f"{depth:g}.json"
        assert relax(*words, "--calc-set", f"epsilon={depth}", "--json", file)[0] == 0
        for row in json.loads(Path(file).read_text())["rows"]:
            assert row["energy"] == pytest.approx([-depth / 2], abs=1e-3)
    code, _, (line,) = relax(*words, "--calc-set", "epsilon=2.0", "--json", "1.json")
    assert code == 2
    assert "1.json" in line


def test_the_same_command_makes_no_run_again(relax, files, monkeypatch):
    relax("compare", *files, *FAST, "--json", "out.json")
    before = rows_of("out.json")
    monkeypatch.setattr(tasks, "run", lambda *_: pytest.fail("all runs are there"))
    code, out, err = relax("compare", *files, *FAST, "--json", "out.json")
    assert (code, err) == (0, [])
    assert "starts as they are" in out
    assert rows_of("out.json") == before


@pytest.mark.parametrize("half_a_line", [False, True])
def test_an_interrupted_comparison_continues(relax, files, monkeypatch, half_a_line):
    words = ("compare", *files, *FAST, "--json")
    relax(*words, "whole.json")
    run, made = tasks.run, []

    def interrupted(name, *rest):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(name)
        return run(name, *rest)

    monkeypatch.setattr(tasks, "run", interrupted)
    code, out, err = relax(*words, "out.json")
    assert code == 128 + signal.SIGINT
    assert err == ["relax: stopped after 4 of 12 runs; the same command continues"]
    assert out == ""
    partial = Path("out.json.partial.jsonl")
    lines = partial.read_text().splitlines()
    assert len(lines) == 1 + 4
    if half_a_line:
        partial.write_text("\n".join(lines)[:-20])
    again = []
    monkeypatch.setattr(tasks, "run", lambda name, *rest: again.append(name) or run(name, *rest))
    assert relax(*words, "out.json")[0] == 0
    assert len(again) == 12 - 4 + half_a_line
    assert rows_of("out.json") == rows_of("whole.json")
    assert not partial.exists()


@pytest.mark.slow
def test_a_terminated_comparison_in_processes_continues(files, tmp_path):
    words = [sys.executable, "-m", "relax", "compare", *files, "-c", "emt", "--cell", "--json", "out.json"]
    words += ["--rules", "adam,core,ase:FIRE,default", "--jobs", "2"]
    partial, known = tmp_path / "out.json.partial.jsonl", {"cwd": tmp_path, "text": True}
    known["env"] = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **known) as running:
        for _ in range(1200):
            if partial.exists() and len(partial.read_text().splitlines()) > 2:
                break
            time.sleep(0.05)
        running.terminate()
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert errors.startswith("relax: stopped after")
    assert errors.count("\n") == 1
    before = partial.read_text().splitlines()[1:]
    done = subprocess.run([*words[:-1], "1"], capture_output=True, **known)
    assert (done.returncode, done.stderr) == (0, "")
    kept = [json.loads(line) for line in before]
    results = json.loads((tmp_path / "out.json").read_text())
    rows = {(row["rattle"], row["draw"], row["optimizer"]): row for row in results["rows"]}
    for record in kept:  # to the last digit of the time
        row, i = rows[tuple(record["key"][:3])], results["structures"].index(record["key"][3])
        assert row["seconds_calculator"][i] == record["end"]["seconds_calculator"]


@pytest.mark.slow
def test_several_processes_make_the_rows_of_one(relax, files):
    words = ("compare", *files, *FAST, "--cell", "--json")
    assert relax(*words, "one.json")[0] == 0
    assert relax(*words, "two.json", "--jobs", 2)[0] == 0
    assert rows_of("one.json") == rows_of("two.json")


def test_results_of_another_protocol_are_kept(relax, files):
    words = ("compare", files[0], "-c", "emt", "--rules", "ase:BFGS", "--rattle", 0.05, "--json", "out.json")
    relax(*words)
    before = Path("out.json").read_text()
    for other in (("--seed", 1), ("--fmax", 0.1), ("--cap", 9), ("--cell",), ("--stop", "optimizer")):
        code, _, err = relax(*words, *other)
        assert (code, len(err)) == (2, 1)
        assert "out.json holds results from other starts or another protocol" in err[0]
        assert Path("out.json").read_text() == before
    assert relax(*words, "--seed", 1, "--no-resume")[0] == 0
    assert json.loads(Path("out.json").read_text())["seed"] == 1
    Path("notes.json").write_text("my notes")
    assert "notes.json holds no results" in relax(*words[:-1], "notes.json")[2][0]
    assert Path("notes.json").read_text() == "my notes"


def test_more_rules_are_added_to_a_file(relax, files, monkeypatch):
    words = ("compare", files[0], "-c", "emt", "--rattle", 0, "--json", "out.json", "--rules")
    relax(*words, "ase:BFGS")
    run, made = tasks.run, []
    monkeypatch.setattr(tasks, "run", lambda name, *rest: made.append(name) or run(name, *rest))
    _, out, _ = relax(*words, "ase:FIRE,ase:BFGS")
    assert made == ["ase:FIRE"]
    assert "of ase:FIRE's" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--rules", "default,frankenstien"),
            "no optimizer 'frankenstien'; did you mean 'frankenstein'?",
        ),
        (("--rules", "ase:fire"), "did you mean 'ase:FIRE'?"),
        (("--rules", "core:s0=1"), "did you mean 's_0'"),
        (("--rules", ","), "there is no rule to compare"),
        (("--rules", "sella", "--cell"), "sella is for free molecules and relaxes no cell"),
        (("--calculator", "etm"), "unknown calculator 'etm'"),
        (("--rattle", -0.1), "--rattle must be 0 or more (got -0.1)"),
        (("--cap", 0), "--cap must be greater than 0 (got 0)"),
        (("--stop", "never"), "--stop must be calculator or optimizer (got 'never')"),
        (("--plot", "out.bmp"), "--plot out.bmp: give a name in .png, .svg, .pdf"),
        (("--json", "alloy.extxyz"), "--json alloy.extxyz would overwrite an input file"),
        (("--json", "no/out.json"), "--json no/out.json: there is no folder"),
        (("--no-resume",), "--resume needs --json; add it"),
    ],
)
def test_bad_options_are_one_line(relax, files, words, message, monkeypatch):
    monkeypatch.setattr(tasks, "run", lambda *_: pytest.fail("nothing is to be run"))
    code, out, err = relax("compare", files[0], *([] if "--calculator" in words else ["-c", "emt"]), *words)
    assert (code, out, len(err)) == (2, "", 1)
    assert message in err[0]


def test_invalid_structures_are_left_out(relax, files, tmp_path):
    write(tmp_path / "iron.extxyz", bulk("Fe"))
    code, out, err = relax("compare", "nowhere.cif", *files, "iron.extxyz", *FAST, "--rattle", 0)
    assert code == 2
    assert err[0] == "relax: nowhere.cif: there is no such file"
    assert err[1].startswith("relax: iron.extxyz: EMT does not know the element of atom 0, Fe")
    assert len(err) == 2
    assert "3 structures, starts as they are" in out
    code, out, err = relax("compare", "iron.extxyz", *FAST)
    assert (code, out, len(err)) == (2, "", 1)


def test_failures_count_as_the_cap(relax, files):
    words = ("-c", "emt", "--rules", "ase:BFGS,ase:FIRE", "--cap", 6, "--rattle", 0, "--json", "out.json")
    code, out, _ = relax("compare", *files, *words)
    assert code == 0
    results = json.loads(Path("out.json").read_text())
    fire = results["tables"][1]
    assert results["rows"][1]["status"] == ["cap", "converged", "converged"]
    assert (fire["failed"], fire["failures"], fire["max"]) == (1, {"cap": 1}, 6)
    assert fire["mean"] == pytest.approx((6 + 1 + 1) / 3, abs=1e-3)  # cubic cells have no forces
    assert "failed: ase:FIRE, alloy.extxyz: cap: the largest row is" in out


def test_a_cell_that_not_all_can_relax_is_kept(relax, tmp_path):
    turned, free = slab(), alloy()
    turned.rotate(30, "x", rotate_cell=True)
    free.pbc = False
    for name, atoms in {"turned": turned, "free": free, "slab": slab(), "alloy": alloy()}.items():
        write(tmp_path / f"{name}.extxyz", atoms)
    words = ("-c", "emt", "--rules", "ase:BFGS", "--cell", "--json", "out.json")
    names = ("turned.extxyz", "free.extxyz", "slab.extxyz", "alloy.extxyz")
    code, _, err = relax("compare", *names, *words, "--cap", 3)
    assert (code, len(err)) == (0, 2)
    assert "turned.extxyz: its vacuum is not along x, y or z, so its cell is kept" in err[0]
    assert "free.extxyz: not periodic, so its cell is kept" in err[1]
    assert json.loads(Path("out.json").read_text())["cells"] == [False, False, True, True]


# The benchmark of crystals


def test_rows_are_those_of_the_benchmark_of_crystals(relax, files, monkeypatch):
    from benchmarks.crystals import __main__ as crystals
    from relax.analysis.comparison.runs import processes
    from relax.calculators.registry import load

    def one_by_one(made, calculator, jobs):
        processes.calculators[:] = [load(calculator)]
        return map(crystals.run_task, made)

    monkeypatch.setattr(crystals, "in_processes", one_by_one)
    monkeypatch.setattr(crystals, "draw", lambda results, stem: None)
    write("all.extxyz", [frame for file in files for frame in read(file, ":")])
    names = "default,frankenstein,ase:FIRE,ase:BFGSLineSearch"
    crystals.main(
        structures=Path("all.extxyz"),
        calculator="emt",
        optimizers=[names],
        out=Path("benchmark.json"),
        seed=2,
    )
    words = (
        "-c",
        "emt",
        "--cell",
        "--rules",
        names,
        "--seed",
        2,
        "--stop",
        "optimizer",
        "--json",
        "out.json",
    )
    assert relax("compare", "all.extxyz", *words)[0] == 0
    ours = {(r["rattle"], r["optimizer"]): r for r in json.loads(Path("out.json").read_text())["rows"]}
    theirs = json.loads(Path("benchmark.json").read_text())["rows"]
    assert len(ours) == len(theirs) == 8
    for row in theirs:
        same = ours[row["rattle"], row["optimizer"]]
        for entry in ("calls", "energy", "status"):
            assert same[entry] == row[entry], (row["optimizer"], entry)


def test_files_of_benchmarks_are_no_comparisons():
    with pytest.raises(ValueError, match="holds no results"):
        SCHEMA.read(ROOT / "benchmarks" / "results" / "crystals_draws.json")
