"""The LJ38 benchmark, on a few clusters."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.io import write
from ase.optimize import FIRE
from commands import ROOT

from benchmarks.lj38 import __main__ as lj38
from benchmarks.lj38 import baselines, clusters, runs
from benchmarks.lj38.baselines import ClusterEnergy, run_one_by_one
from benchmarks.lj38.clusters import (
    SIZE,
    WINDOW,
    atoms_of,
    is_bound,
    lennard_jones,
    random_clusters,
    read_starts,
)
from benchmarks.lj38.results import row_of
from benchmarks.lj38.runs import CAP, STOP, Done, run_optimizer
from benchmarks.lj38.tables import as_markdown, table_rows
from relax.analysis.comparison.minimizers.names import System, known_optimizers
from relax.analysis.comparison.runs import processes
from relax.engine.batch.of_ase.names import ase_class

pytestmark = pytest.mark.slow

STARTS = random_clusters(4, 38)
FIELDS = {
    "optimizer", "mean", "median", "min", "max", "failed", "evaporated", "mean_energy", "energies_sha256",
    "parameters", "versions", "failures", "failed_clusters", "seconds", "calls", "energies",
}  # fmt: skip


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.lj38", *words], capture_output=True, text=True, cwd=ROOT
    )


def run(names: str, **changes: object) -> dict:
    settings = {"n": 4, "seed": 38, "start": None, "out": None, "jobs": 1, "resume": True} | changes
    return lj38.run(names=names.split(","), **settings)


@pytest.fixture
def in_process(monkeypatch):
    """Make the runs here: processes take seconds to start."""

    def one_by_one(work, tasks, jobs):
        yield from map(work, tasks)

    monkeypatch.setattr(processes, "in_processes", one_by_one)


# Starts


def test_starts_obey_the_recipe():
    for x in STARTS:
        assert x.shape == (SIZE, 3)
        assert (x[0] == 0).all()
        for n in range(1, SIZE):
            nearest = np.linalg.norm(x[:n] - x[n], axis=1).min()
            assert WINDOW[0] <= nearest <= WINDOW[1]
            side = ((n + 1) * 4 / 3 * np.pi * 0.31 / 0.1) ** (1 / 3)
            assert abs(x[n]).max() <= side / 2


def test_starts_are_the_same_for_every_n_and_differ_by_seed():
    assert (random_clusters(2, 38) == STARTS[:2]).all()
    assert not np.allclose(random_clusters(1, 39), STARTS[:1])


@pytest.mark.parametrize("suffix", ["npy", "xyz"])
def test_starts_are_read_from_a_file(tmp_path, suffix):
    path = tmp_path / f"starts.{suffix}"
    if suffix == "npy":
        np.save(path, STARTS)
    else:
        write(path, [Atoms(f"H{SIZE}", x) for x in STARTS])
    assert np.allclose(read_starts(path, 3), STARTS[:3], atol=1e-7)
    assert len(read_starts(path, None)) == 4


# Energy


def test_gradient_is_the_derivative_of_the_energy():
    x = random_clusters(1, 1)
    x = run_optimizer("fire", x, 100.0, 1000).x  # finite differences need moderate forces
    _, gradient = lennard_jones(x)
    for i, k in ((0, 0), (5, 1), (37, 2)):
        step = np.zeros_like(x)
        step[0, i, k] = 1e-6
        slope = (lennard_jones(x + step)[0] - lennard_jones(x - step)[0]) / 2e-6
        assert slope[0] == pytest.approx(gradient[0, i, k], abs=1e-5)


def test_energy_and_forces_are_those_of_ase():
    for x in STARTS:
        atoms = Atoms(f"H{SIZE}", x)
        atoms.calc = LennardJones(rc=1e4, smooth=False)  # shifted by less than rounding
        energy, gradient = lennard_jones(x[None])
        assert energy[0] == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        assert np.allclose(-gradient[0], atoms.get_forces(), rtol=1e-9, atol=1e-9 * abs(gradient).max())


def test_energy_of_a_batch_is_that_of_each():
    together = lennard_jones(random_clusters(11, 5))
    for i, x in enumerate(random_clusters(11, 5)):
        energy, gradient = lennard_jones(x[None])
        assert energy[0] == together[0][i]
        assert (gradient[0] == together[1][i]).all()


def test_the_minimum_of_a_pair():
    energy, gradient = lennard_jones(np.array([[[0.0, 0, 0], [2 ** (1 / 6), 0, 0]]]))
    assert energy[0] == pytest.approx(-1)
    assert np.allclose(gradient, 0, atol=1e-12)


# Bound or not


@pytest.mark.parametrize(
    ("x", "bound"),
    [
        ([0.0, 1.1, 2.2, 3.3], True),  # a chain hangs together
        ([0.0, 1.1, 2.2, 4.3], False),  # one atom off
        ([0.0, 1.1, 50.0, 51.1], False),  # two pieces
        ([0.0, 1.1, 2.2, np.nan], False),
        ([0.0, 1.1, 2.2, 1e200], False),
    ],
)
def test_bound(x, bound):
    with np.errstate(over="ignore"):
        assert is_bound(np.array([[value, 0, 0] for value in x])) is bound


# Runs


@pytest.mark.parametrize("name", ["fire", "core:component"])
def test_clusters_together_run_as_each_alone(name):
    together = run_optimizer(name, STARTS, 0.01, 300)
    for i in (0, 3):
        alone = run_optimizer(name, STARTS[i : i + 1], 0.01, 300)
        for whole, part in zip(together, alone, strict=True):
            assert np.array_equal(whole[i], part[0])


@pytest.mark.parametrize("name", known_optimizers(System.CLUSTERS))
def test_every_name_runs(name):
    assert run_optimizer(name, STARTS[:1], 0.01, 5).calls[0] <= 5


def test_calls_are_counted_as_at_an_ase_calculator():
    ends = run_optimizer("ase:FIRE", STARTS[:1], 0.01, 10_000)
    atoms = atoms_of(STARTS[0])
    for _ in FIRE(atoms, logfile=None).irun(fmax=0.0):
        if np.linalg.norm(atoms.get_forces()) <= 0.01:
            break
    assert ends.calls[0] == atoms.calc.calls
    assert np.allclose(ends.x[0], atoms.positions)
    assert ends.converged[0]
    assert ends.why[0] == "converged"


def test_our_fire_takes_the_path_of_ase():
    ours, theirs = (run_optimizer(name, STARTS, 0.01, 10_000) for name in ("fire", "ase:FIRE"))
    assert (ours.calls == theirs.calls).all()
    assert np.allclose(ours.energies, theirs.energies)


@pytest.mark.parametrize("name", ["fire", "ase:FIRE", "ase:BFGSLineSearch", "ase:CG", "scipy:L-BFGS-B"])
def test_no_run_has_more_calls_than_the_cap(name):
    ends = run_optimizer(name, STARTS[:2], 0.01, 30)
    assert (ends.calls == 30).all()
    assert not ends.converged.any()
    assert (ends.why == "cap").all()


def test_one_call_is_enough_at_a_minimum():
    there = run_optimizer("scipy:L-BFGS-B", STARTS[:1], 1e-4, 10_000)
    for name in ("fire", "ase:FIRE", "ase:LBFGS", "scipy:L-BFGS-B"):
        assert run_optimizer(name, there.x, 0.01, 10_000).calls[0] == 1


def test_trial_points_of_line_searches_count():
    cluster = ClusterEnergy(STARTS[0], 10_000)
    optimizer = ase_class("BFGSLineSearch")(cluster, logfile=None)
    optimizer.run(fmax=0.01)
    assert optimizer.nsteps < cluster.calls
    assert cluster.calls == run_optimizer("ase:BFGSLineSearch", STARTS[:1], 0.01, 10_000).calls[0]


def test_the_faster_good_old_quasi_newton_is_the_same():
    ends = []
    for make in (ase_class("GoodOldQuasiNewton"), ase.optimize.GoodOldQuasiNewton):
        cluster = ClusterEnergy(STARTS[0], 10_000)
        make(cluster, logfile=None).run(fmax=0.01, steps=25)
        ends.append(cluster.evaluated)
    assert (ends[0] == ends[1]).all()


def test_an_optimizer_that_raises_has_failed(monkeypatch):
    class Broken(FIRE):
        def step(self):
            raise np.linalg.LinAlgError("no")

    monkeypatch.setattr(baselines, "ase_class", lambda name: Broken)
    row = row_of(Done("ase:BFGS", 0, run_one_by_one("ase:BFGS", STARTS[:2], 0.01, 100), 0.0))
    assert row["failures"] == {"LinAlgError": 2}
    assert row["calls"] == [1, 1]
    assert (row["failed"], row["evaporated"], row["mean"]) == (2, 0, CAP)


def test_evaporation_is_a_failure(in_process):
    row = run("ase:FIRE2")["rows"][0]
    assert row["failed"] == row["evaporated"] == 4
    assert row["failures"] == {"evaporated": 4}
    assert row["mean"] == row["median"] == row["min"] == row["max"] == CAP
    assert row["mean_energy"] is None
    assert max(row["calls"]) < 1000  # the forces vanished soon enough


# Rows and their file


def test_every_row_has_all_entries(in_process, tmp_path):
    out = tmp_path / "made" / "out.json"
    names = ["fire", "ase:CG", "scipy:L-BFGS-B"]
    run(",".join(names), out=out)
    results = json.loads(out.read_text())
    assert [row["optimizer"] for row in results["rows"]] == names
    assert results["n"] == 4
    assert results["seed"] == 38
    assert results["command"].endswith(f"--n 4 --seed 38 --optimizers {','.join(names)}")
    assert str(tmp_path) not in out.read_text()
    for row in results["rows"]:
        assert set(row) == FIELDS
        assert row["mean"] == np.mean(row["calls"])
        assert row["mean_energy"] == pytest.approx(np.mean(row["energies"]), abs=1e-5)
        text = "\n".join(f"{energy:.6f}" for energy in row["energies"])
        assert row["energies_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_results_do_not_depend_on_processes_or_parts(monkeypatch):
    first = run("ase:FIRE2,lbfgs")["rows"]
    monkeypatch.setattr(runs, "PART", 3)
    monkeypatch.setattr(runs, "FOREIGN_PART", 1)
    second = run("ase:FIRE2,lbfgs", jobs=2)["rows"]
    for a, b in zip(first, sorted(second, key=lambda row: row["optimizer"] != "ase:FIRE2"), strict=True):
        assert a | {"seconds": 0} == b | {"seconds": 0}


def test_resume_keeps_rows_that_are_up_to_date(in_process, tmp_path):
    out = tmp_path / "out.json"
    run("ase:FIRE2,scipy:L-BFGS-B", out=out)
    results = json.loads(out.read_text())
    for row in results["rows"]:
        row["seconds"] = -1.0
    results["rows"][0]["parameters"] = "FIRE2 as it was last week"
    out.write_text(json.dumps(results))
    run("ase:CG,ase:FIRE2,scipy:L-BFGS-B", out=out)
    seconds = {row["optimizer"]: row["seconds"] for row in json.loads(out.read_text())["rows"]}
    assert seconds.pop("scipy:L-BFGS-B") == -1
    assert set(seconds) == {"ase:CG", "ase:FIRE2"}
    assert min(seconds.values()) >= 0
    run("scipy:L-BFGS-B", out=out, resume=False)
    seconds = {row["optimizer"]: row["seconds"] for row in json.loads(out.read_text())["rows"]}
    assert len(seconds) == 3
    assert seconds["scipy:L-BFGS-B"] >= 0


def test_rows_of_other_starts_are_neither_mixed_nor_lost(in_process, tmp_path):
    out = tmp_path / "out.json"
    run("scipy:L-BFGS-B", out=out)
    before = out.read_text()
    with pytest.raises(ValueError, match="other starts"):
        run("scipy:L-BFGS-B", out=out, n=2)
    assert out.read_text() == before
    run("scipy:L-BFGS-B", out=out, n=2, resume=False)
    assert json.loads(out.read_text())["n"] == 2


def test_a_file_that_is_no_result_is_left_alone(in_process, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes")
    for resume in (True, False):
        with pytest.raises(ValueError, match="holds no results"):
            run("scipy:L-BFGS-B", out=out, resume=resume)
    assert out.read_text() == "my notes"


def test_the_table_has_published_figures(in_process):
    results = run("ase:FIRE2,scipy:L-BFGS-B")
    rows = table_rows(results)
    assert [cells[0] for cells in rows] == ["scipy:L-BFGS-B", "ase:FIRE2"]
    assert rows[0][-4:] == ["230", "105", "545", "SciPy L-BFGS"]
    page = as_markdown(results)
    assert as_markdown(json.loads(json.dumps(results))) == page
    assert "- ase:FIRE2: evaporated 4" in page
    assert "| newton-method (exact Hessians) | 79 | 46 | 144 | 0 |" in page


# Command line


def test_the_command_writes_results_and_renders_them_again(tmp_path):
    out, page, again = tmp_path / "out.json", tmp_path / "out.md", tmp_path / "again.md"
    done = command(
        "--n", "3", "--optimizers", "lbfgs,scipy:L-BFGS-B", "--json", str(out), "--table", str(page)
    )
    assert done.returncode == 0, done.stderr
    assert "scipy:L-BFGS-B" in done.stdout
    assert {row["optimizer"] for row in json.loads(out.read_text())["rows"]} == {"lbfgs", "scipy:L-BFGS-B"}
    done = command("--render", str(out), "--table", str(again))
    assert done.returncode == 0, done.stderr
    assert again.read_text() == page.read_text()


def test_the_generator_has_the_published_numbers():
    assert (clusters.COVALENT_RADIUS, clusters.PACKING, clusters.WINDOW) == (0.31, 0.1, (0.496, 0.806))
    assert (STOP, CAP) == (0.01, 10_000)
