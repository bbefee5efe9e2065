"""Landscapes of benchmarks: runs that are kept, files of results, figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from commands import call

from benchmarks.common.provenance import RESULTS
from benchmarks.landscapes import __main__ as landscapes
from benchmarks.landscapes import results as result_rows
from benchmarks.landscapes import runs
from benchmarks.landscapes.__main__ import FIGURES
from benchmarks.landscapes.cases import CASES, Case, Spec
from benchmarks.landscapes.results import SCHEMA, landscape_of
from benchmarks.lj38.batched_runs import Clusters
from benchmarks.lj38.clusters import ClusterCalculator

pytestmark = pytest.mark.slow

command = partial(call, landscapes.main)
SPEC = Spec("A cluster of {atoms} atoms", "made here", "lj", 1, 0.05, 300, 5, ("lbfgs", "ase:CG"))


def start():
    """Return eight atoms at the corners of a cube, displaced."""
    corners = np.stack(np.meshgrid(*[[0, 1.2]] * 3), axis=-1).reshape(-1, 3)
    return Atoms("H8", corners + np.random.default_rng(0).normal(0, 0.1, (8, 3)))


@pytest.fixture
def small(monkeypatch):
    """Put a small cluster in place of the cases."""
    for module in (landscapes, result_rows):
        monkeypatch.setattr(module, "CASES", {"small": Case(SPEC, start, ClusterCalculator, Clusters)})


def test_a_command_continues_where_it_was_and_draws(small, tmp_path, monkeypatch):
    words = ["--json", tmp_path / "out.json", "--figures", tmp_path, "--work", tmp_path / "work"]
    done = command(*words)
    assert done.exit_code == 0, done.output
    (row,) = SCHEMA.read(tmp_path / "out.json")["rows"]
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()
    picture = (tmp_path / "landscape_small.png").read_bytes()
    for run, path, distances in zip(
        row["runs"], row["plane"]["paths"].values(), row["plane"]["distances"].values(), strict=True
    ):
        assert run["status"] == "converged"
        assert len(path) == len(distances) == run["steps"] + 1
        assert run["calls"] > run["steps"]
    found = landscape_of(row)
    np.testing.assert_allclose(found.ends[:, 1], [run["energy"] for run in row["runs"]], atol=1e-5)
    np.testing.assert_array_equal(found.ends[0, 0], found.ends[1, 0])

    monkeypatch.setattr(runs, "run", lambda *_: pytest.fail("made again"))
    (tmp_path / "out.json").unlink()
    assert command(*words).exit_code == 0
    assert SCHEMA.read(tmp_path / "out.json")["rows"] == [row]
    monkeypatch.setattr(landscapes, "landscape", lambda *_, **__: pytest.fail("computed again"))
    for more in ((), ("--render",)):
        (tmp_path / "landscape_small.png").unlink()
        rendered = command(*words, *more)
        assert rendered.exit_code == 0, rendered.output
        assert (tmp_path / "landscape_small.png").read_bytes() == picture
        assert "| `ase:CG` |" in rendered.stdout


def test_runs_with_other_settings_are_made_again(small, tmp_path, monkeypatch):
    words = ["--json", tmp_path / "out.json", "--figures", tmp_path, "--work", tmp_path / "work"]
    command(*words)
    changed = Case(replace(SPEC, fmax=0.02), start, ClusterCalculator, Clusters)
    for module in (landscapes, result_rows):
        monkeypatch.setattr(module, "CASES", {"small": changed})
    assert command(*words).exit_code == 0
    (row,) = SCHEMA.read(tmp_path / "out.json")["rows"]
    assert all(run["force"] <= 0.02 for run in row["runs"])


def test_a_case_that_there_is_not(small, tmp_path):
    done = command("--case", "large", "--json", tmp_path / "out.json")
    assert done.exit_code == 2
    assert "there is no case 'large' (there are: small)" in done.stderr


def test_the_figures_of_the_docs_are_those_of_the_results():
    results = SCHEMA.read(RESULTS / "landscapes.json")
    assert [row["case"] for row in results["rows"]] == list(CASES)
    for row in results["rows"]:
        assert [run["optimizer"] for run in row["runs"]] == list(CASES[row["case"]].spec.optimizers)
        name = f"landscape_{row['case']}.png"
        assert (FIGURES / name).exists()
        assert f"figures/{name}" in (FIGURES.parent / "how-to" / "landscape.md").read_text()
