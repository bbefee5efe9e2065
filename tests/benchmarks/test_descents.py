"""The figure of descents, on small structures."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from commands import alloy, call

from benchmarks.common.provenance import RESULTS
from benchmarks.descents import __main__ as descents
from benchmarks.descents import results as result_rows
from benchmarks.descents.__main__ import FIGURE
from benchmarks.descents.figure import STYLES
from benchmarks.descents.results import SCHEMA
from benchmarks.descents.runs import run
from benchmarks.descents.systems import CASES, OPTIMIZERS, Case, Spec, first_cluster
from benchmarks.lj38 import clusters
from benchmarks.metals.runs import crystal

pytestmark = pytest.mark.slow

command = partial(call, descents.main)
SPEC = Spec("title", "of {formula}", "made here", "emt", 1, False, 0.05, 100, 1e-6)


COPPER = Case(SPEC, lambda: crystal(32, 0.1, 1), EMT)
ALLOY = Case(replace(SPEC, cell=True), alloy, EMT)
CLUSTER = Case(
    replace(SPEC, calculator="lj", cap=400),
    first_cluster,
    clusters.ClusterCalculator,
    ["lbfgs", "ase:FIRE"],
)


def ran(case, name):
    return run(case, name, case.start(), case.calculator())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("case", [COPPER, ALLOY], ids=["positions", "cell"])
def test_every_force_call_is_recorded(case, name):
    row = ran(case, name)
    assert row["status"] == "converged"
    assert len(row["energy"]) == len(row["force"]) == row["calls"] > 3
    start = case.start()
    start.calc = EMT()
    seen = FrechetCellFilter(start) if case.spec.cell else start
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
    """EMT that fails at the third call."""

    asked = 0

    def calculate(self, *args, **kwargs):
        self.asked += 1
        if self.asked == 3:
            raise ValueError("out of order")
        super().calculate(*args, **kwargs)


def test_structures_are_those_of_the_other_benchmarks():
    starts = {name: case.start() for name, case in CASES.items() if name != "crystal"}
    assert (starts["lj38"].positions == clusters.random_clusters(2, 38)[0]).all()
    assert len(starts["copper"]) == 499
    assert set(STYLES) == set(OPTIMIZERS)


def test_the_crystal_with_chgnet():
    pytest.importorskip("chgnet")
    row = ran(CASES["crystal"], "pair-lbfgs")
    assert row["status"] == "converged"
    assert row["force"][-1] <= 0.01


@pytest.fixture
def small(monkeypatch):
    """Put small structures in place of those of the figure."""
    copper = replace(COPPER, optimizers=["pair-lbfgs", "lbfgs", "ase:LBFGS"])
    for module in (descents, result_rows):
        monkeypatch.setattr(module, "CASES", {"copper": copper, "cluster": CLUSTER})


def test_a_command_continues_where_it_was_and_draws(small, tmp_path, monkeypatch):
    out, figure = tmp_path / "out.json", tmp_path / "figures" / "made"
    words = ["--json", out, "--figure", figure]
    done = command(*words)
    assert done.exit_code == 0, done.output
    results = SCHEMA.read(out)
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
    assert SCHEMA.read(out) == results
    assert figure.with_suffix(".svg").read_text() == first
    out.write_text(json.dumps(results | {"rows": results["rows"][:-1]}))
    assert isinstance(command(*words).exception, AssertionError)
    out.write_text(json.dumps(results))
    rendered = command(*words, "--render")
    assert rendered.exit_code == 0, rendered.output
    assert "ase:FIRE" in rendered.stdout


def test_rows_with_other_settings_are_made_again(small, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    words = ["--json", out, "--figure", tmp_path / "made"]
    monkeypatch.setattr(descents, "draw", lambda results, stem: None)
    command(*words)
    results = json.loads(out.read_text())
    results["rows"][0]["parameters"] = "others"
    out.write_text(json.dumps(results))
    done = command(*words)
    assert "out of date, not kept: pair-lbfgs" in done.stderr
    assert "copper, pair-lbfgs: converged" in done.stderr
    assert done.stderr.count("\n") == 2


def test_the_figure_of_the_docs_is_there():
    results = SCHEMA.read(RESULTS / "descents.json")
    made = {(row["system"], row["optimizer"]) for row in results["rows"]}
    assert made == {(name, made) for name, case in CASES.items() for made in case.optimizers}
    assert FIGURE.with_suffix(".png").exists()
    assert FIGURE.with_suffix(".svg").exists()
    page = FIGURE.parents[1] / "explanation" / "metric.md"
    assert f"figures/{FIGURE.name}.png" in page.read_text()
