"""The figure over all sets, and the table of the same: worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import call

from benchmarks import readme
from benchmarks.profile.__main__ import main
from benchmarks.profile.figure import panels
from benchmarks.profile.sets import all_sets
from benchmarks.profile.table import Other, sentences


def row(name: str, calls: list[int], **more) -> dict:
    status = ["converged" if n < 300 else "cap" for n in calls]
    failed = status.count("cap")
    return {
        "optimizer": name,
        "calls": calls,
        "status": status,
        "mean": np.mean(calls),
        "failed": failed,
    } | more


def write(folder: Path, stem: str, rows: list[dict], **head) -> None:
    structures = [str(i) for i in range(len(rows[0]["calls"]))]
    (folder / f"{stem}.json").write_text(
        json.dumps(head | {"cap": 300, "structures": structures, "rows": rows})
    )


@pytest.fixture
def results(tmp_path):
    rows = [row("default", [10, 20]), row("sella", [20, 10]), row("default:memory=3", [1, 1])]
    write(tmp_path, "molecules_baker", [one | {"fmax": 0.01} for one in [*rows, row("ase:FIRE", [80, 300])]])
    write(tmp_path, "molecules_drugs", [row("sella", [5], fmax=0.01)])
    rows = [
        row("default", [10]),
        row("ase:PreconLBFGS", [15]),
        row("pair-lbfgs", [12]),
        row("ase:FIRE", [40]),
    ]
    write(tmp_path, "materials_chgnet_slabs", rows, fmax=0.02)
    return tmp_path


def test_sets_without_a_default_and_rows_with_settings_do_not_count(results):
    molecules, slabs = all_sets(results)
    assert (molecules.family, molecules.structures, molecules.fmax) == ("molecules", 2, 0.01)
    assert list(molecules.rows) == ["default", "sella", "ase:FIRE"]
    assert (slabs.family, slabs.structures, slabs.fmax) == ("materials", 1, 0.02)


def test_every_structure_has_one_vote_and_the_fewest_calls_are_those_of_its_set(results):
    every, molecules, materials = panels(all_sets(results))
    assert every.title == "all sets: 3 structures"
    assert every.curves["default"].tolist() == [1.0, 2.0, 1.0]
    assert every.curves["ase:FIRE"].tolist() == [8.0, np.inf, 4.0]
    assert "pair-lbfgs" in every.missing
    assert list(molecules.curves) == ["default", "sella", "ase:FIRE"]
    assert materials.curves["ase:PreconLBFGS"].tolist() == [1.5]


def test_one_family_has_one_panel(results):
    (only,) = panels(all_sets(results)[:1])
    assert list(only.curves) == ["default", "sella", "ase:FIRE"]


def test_the_figure_is_the_same_each_time(results):
    for name in ("a", "b"):
        done = call(main, "--results", results, "--plot", results / name)
        assert "all sets: 3 structures; not run on every set: pair-lbfgs" in done.stderr
    for suffix in (".png", ".svg"):
        first, second = ((results / name).with_suffix(suffix).read_bytes() for name in ("a", "b"))
        assert first == second


def test_without_results_there_is_no_figure(tmp_path):
    done = call(main, "--results", tmp_path, "--plot", tmp_path / "a")
    assert done.exit_code != 0
    assert "no set has a row of default" in done.stderr


def test_the_table_has_the_best_of_other_packages(results, monkeypatch):
    monkeypatch.setattr(readme, "RESULTS", results)
    _, _, molecules, slabs, _, fewer, equal = readme.kinds().splitlines()
    assert "| 2 | 0.01 | 15.0 | 0 | `sella` | 15.0 | 1.00 (0.50 to 2.00) |  |" in molecules
    assert "| 1 | 0.02 | 10.0 | 0 | `ase:PreconLBFGS` | 15.0 | 0.67 (0.67 to 0.67) | 12.0 |" in slabs
    assert fewer.endswith(": for none of these.")
    assert equal.endswith(": molecules of Baker's set (`sella`).")


def test_where_another_package_needs_fewer_calls_is_said():
    better, same = Other("sella", 5, 1.5, 1.2, 1.8), Other("pyberny", 5, 1.0, 0.9, 1.1)
    fewer, equal = sentences([("drugs", better), ("clusters", same)])
    assert fewer == "Another package needs fewer calls on average: drugs (`sella`)."
    assert equal == "No clear difference, the interval includes 1: clusters (`pyberny`)."
