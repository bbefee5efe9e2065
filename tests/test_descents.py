"""The figure of descents, on small structures."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import typer
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from typer.testing import CliRunner

from benchmarks import clusters, descents
from benchmarks.descent_figure import LOOKS, curves, draw
from benchmarks.descents import FIGURE, OPTIMIZERS, SYSTEMS, Spec, System, read_results, run, table
from benchmarks.metal_runs import crystal
from benchmarks.readme import RESULTS

SPEC = Spec("title", "of {formula}", "made here", "emt", 1, False, 0.05, 100, 1e-6)


def alloy():
    atoms = bulk("CuAu", "cesiumchloride", a=3.2)
    atoms.rattle(0.08, seed=1)
    return atoms


COPPER = System(SPEC, lambda: crystal(32, 0.1, 1), EMT)
ALLOY = System(replace(SPEC, cell=True), alloy, EMT)
CLUSTER = System(
    replace(SPEC, calculator="lj", cap=400),
    descents.cluster,
    clusters.ClusterCalculator,
    ["lbfgs", "ase:FIRE"],
)


def ran(system, name):
    return run(system, name, system.start(), system.calculator())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("system", [COPPER, ALLOY], ids=["positions", "cell"])
def test_every_force_call_is_recorded(system, name):
    row = ran(system, name)
    assert row["status"] == "converged"
    assert len(row["energy"]) == len(row["force"]) == row["calls"] > 3
    start = system.start()
    start.calc = EMT()
    seen = FrechetCellFilter(start) if system.spec.cell else start
    assert row["energy"][0] == pytest.approx(start.get_potential_energy() / len(start), rel=1e-9)
    assert row["force"][0] == pytest.approx(np.linalg.norm(seen.get_forces(), axis=1).max(), rel=1e-6)
    assert row["force"][-1] <= 0.05 < min(row["force"][:-1])
    assert row["energy"][-1] < row["energy"][0]


def test_steps_that_fail_are_recorded_too():
    row = ran(CLUSTER, "frankenstein")
    assert row["status"] == "converged"
    assert max(np.diff(row["energy"])) > 0


def test_the_cap_ends_a_run():
    row = ran(replace(COPPER, spec=replace(SPEC, cap=3)), "lbfgs")
    assert (row["status"], row["calls"], len(row["force"])) == ("cap", 3, 3)
    row = ran(replace(COPPER, calculator=lambda: Broken()), "lbfgs")
    assert (row["status"], row["calls"]) == ("error: ValueError: out of order", 3)
    assert len(row["force"]) == 2


class Broken(EMT):
    """EMT that gives up at the third call."""

    asked = 0

    def calculate(self, *args, **kwargs):
        self.asked += 1
        if self.asked == 3:
            raise ValueError("out of order")
        super().calculate(*args, **kwargs)


def test_structures_are_those_of_the_other_benchmarks():
    starts = {name: system.start() for name, system in SYSTEMS.items() if name != "crystal"}
    assert (starts["lj38"].positions == clusters.random_clusters(2, 38)[0]).all()
    assert len(starts["copper"]) == 499
    assert set(LOOKS) == set(OPTIMIZERS)


@pytest.mark.slow
def test_the_crystal_with_chgnet():
    pytest.importorskip("chgnet")
    row = ran(SYSTEMS["crystal"], "pair-lbfgs")
    assert row["status"] == "converged"
    assert row["force"][-1] <= 0.01


@pytest.fixture
def small(monkeypatch):
    """Put small structures in place of those of the figure."""
    copper = replace(COPPER, optimizers=["pair-lbfgs", "lbfgs", "ase:LBFGS"])
    monkeypatch.setattr(descents, "SYSTEMS", {"copper": copper, "cluster": CLUSTER})


def command(*words):
    app = typer.Typer()
    app.command()(descents.main)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_a_command_goes_on_where_it_was_and_draws(small, tmp_path, monkeypatch):
    out, figure = tmp_path / "out.json", tmp_path / "figures" / "made"
    words = ["--json", out, "--figure", figure]
    done = command(*words)
    assert done.exit_code == 0, done.output
    results = read_results(out)
    assert [row["system"] for row in results["rows"]] == ["copper"] * 3 + ["cluster"] * 2
    assert str(tmp_path) not in out.read_text()
    first = figure.with_suffix(".svg").read_text()
    assert all(row["optimizer"] in first for row in results["rows"])
    assert figure.with_suffix(".png").stat().st_size > 10_000

    def none(*args):
        raise AssertionError("made again")

    monkeypatch.setattr(descents, "run", none)
    again = command(*words)
    assert again.exit_code == 0, again.output
    assert read_results(out) == results
    assert figure.with_suffix(".svg").read_text() == first
    out.write_text(json.dumps(results | {"rows": results["rows"][:-1]}))
    assert isinstance(command(*words).exception, AssertionError)
    out.write_text(json.dumps(results))
    rendered = command(*words, "--render")
    assert rendered.exit_code == 0, rendered.output
    assert "ase:FIRE" in rendered.stdout


def test_rows_of_other_parameters_are_made_again(small, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    words = ["--json", out, "--figure", tmp_path / "made"]
    monkeypatch.setattr(descents, "draw", lambda results, stem: None)
    command(*words)
    results = json.loads(out.read_text())
    results["rows"][0]["parameters"] = "others"
    out.write_text(json.dumps(results))
    done = command(*words)
    assert "has changed since: pair-lbfgs" in done.stderr
    assert "copper, pair-lbfgs: converged" in done.stderr
    assert done.stderr.count("\n") == 2


def row(name, status="converged", energy=(2.0, 1.0), force=(1.0, 0.01)):
    return {"system": "a", "optimizer": name, "status": status, "energy": list(energy), "force": list(force)}


def results_of(*rows):
    spec = {"title": "t", "subtitle": "{formula}", "formula": "Cu", "fmax": 0.05, "lowest": 1e-6}
    return {"benchmark": "descents", "systems": {"a": spec}, "rows": list(rows)}


def test_energies_are_above_the_lowest_end_of_those_that_converged(tmp_path):
    results = results_of(
        row("lbfgs"), row("ase:FIRE", energy=(2.0, 1.5)), row("ase:LBFGS", "cap", (2.0, 0.5))
    )
    above = {curve.name: list(curve.above) for curve in curves(results, "a")}
    assert above == {"lbfgs": [1.0, 0.0], "ase:FIRE": [1.0, 0.5], "ase:LBFGS": [1.0, -0.5]}
    assert "| `ase:LBFGS` | 2 (cap) | -500.00 |" in table(results)
    failed = results_of(row("lbfgs", "cap"), row("ase:FIRE", "error", (), ()))
    assert [list(curve.above) for curve in curves(failed, "a")] == [[1.0, 0.0]]
    draw(failed, tmp_path / "made")


def test_what_is_no_file_of_results_is_told_in_one_line(small, tmp_path):
    for words in (["--render"], []):
        done = command("--json", "pyproject.toml", "--figure", tmp_path / "made", *words)
        assert done.exit_code == 2
        assert "holds no results" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_figure_of_the_docs_is_there():
    results = read_results(RESULTS / "descents.json")
    made = {(row["system"], row["optimizer"]) for row in results["rows"]}
    assert made == {(name, made) for name, system in SYSTEMS.items() for made in system.optimizers}
    assert FIGURE.with_suffix(".png").exists()
    assert FIGURE.with_suffix(".svg").exists()
    page = FIGURE.parents[1] / "metric.md"
    assert f"figures/{FIGURE.name}.png" in page.read_text()
