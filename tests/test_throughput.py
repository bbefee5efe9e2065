"""The throughput benchmark: its parts on few structures, and its tables."""

from __future__ import annotations

import json

import pytest

import relax
from benchmarks import throughput, throughput_parts, throughput_table
from benchmarks.throughput_table import named, page, table_of

MODEL = str(throughput.MINI)


def speed(method, rate, **more):
    row = {
        "method": method, "structures": 4, "structures_per_s": rate, "structures_per_processor_s": rate,
        "force_calls": 10.0, "ended": {"converged": 4}, "meV_above_lowest": 0.0, "within_10_meV": 100.0,
    }  # fmt: skip
    return row | more


RECORD = {
    "commands": dict.fromkeys(("crystals", "profile", "stream"), "python -m benchmarks.throughput"),
    "versions": {"relax": "0"},
    "processor": "one",
    "fmax": 0.05,
    "mini": [
        speed("torch_sim:FIRE", 2.0), speed("torch_sim:FIRE:kept memory", 2.5), speed("torch_sim:lbfgs", 9.0),
        speed("relax:fire", 5.0), speed("relax:lbfgs", 10.0), speed("ase:FIRE", 1.0),
    ],
    "larger": [speed("relax:fire", 1.0), speed("torch_sim:FIRE", 0.5)],
    "profile": [],
    "stream": [],
    "gpu": [],
}  # fmt: skip


def test_the_fastest_are_compared_with_the_best_of_torch_sim():
    sheet = named(RECORD, "mini")
    assert [row[0] for row in sheet.rows[:2]] == ["`relax:lbfgs`", "`torch_sim:lbfgs`"]
    assert [row[2] for row in sheet.rows] == ["4.00", "3.60", "2.00", "1.00", "0.80", "0.40"]
    assert sheet.notes == [
        "fastest of relax (relax:lbfgs): 4.00 times the best torch-sim FIRE",
        "relax:fire (relax:fire): 2.00 times the best torch-sim FIRE",
    ]


def test_a_page_has_every_table_and_says_that_there_was_no_gpu():
    text = page(RECORD)
    assert text.count("## ") == 5
    assert "No GPU was to be had where this was measured: skipped." in text
    assert table_of(named(RECORD, "larger")) in text


def test_the_screen_shows_names_as_they_are(capsys):
    throughput_table.show(RECORD)
    out = capsys.readouterr().out
    assert "torch_sim:FIRE:kept memory" in out  # which rich would make a picture of


def test_rows_have_a_method_and_a_rate():
    rows = throughput.rows_of(RECORD)
    assert len(rows) == 8
    assert {row["model"] for row in rows} == {"mini", "larger"}
    assert all(row["method"] and row["structures_per_s"] > 0 for row in rows)


def test_a_stream_is_counted():
    row = throughput_parts.stream(60)
    assert row["ended"] == {"converged": 60}
    assert row["structures_per_s"] == pytest.approx(1e3 / row["ms_per_structure"])
    assert row["peak_MB"] >= row["after_a_tenth_MB"] >= row["before_MB"] > 0


def test_a_step_far_uphill_is_left_to_a_rule_that_undoes_it():
    """Some of these clusters, in reduced units, meet an overlap of atoms on their way."""
    starts = list(throughput_parts.clusters(40))
    together = sorted(relax.relax_many(starts, "lj"), key=lambda done: done.index)
    for done, atoms in zip(together, starts, strict=True):
        alone = relax.relax(atoms, "lj")
        assert done.result.converged
        assert alone.converged
        assert done.result.force_calls == alone.force_calls


@pytest.mark.slow
def test_the_parts_of_the_time_are_all_of_it():
    row = throughput_parts.profile("lbfgs", MODEL, 3)
    assert row["converged"] == 3
    assert sum(row["shares"].values()) == pytest.approx(1.0)
    assert row["outside"] == pytest.approx(1 - row["shares"]["model"])


@pytest.mark.slow
def test_a_part_runs_in_a_process_of_its_own(tmp_path):
    row = throughput.measured("stream", 20)
    assert row["structures"] == 20
    with pytest.raises(RuntimeError, match="nosuch"):
        throughput.measured("nosuch")


@pytest.mark.slow
def test_all_methods_end_alike(tmp_path):
    begun = [throughput_parts.alloy(seed) for seed in range(2)]
    given = tmp_path / "starts.traj"
    throughput.write(given, begun)
    rows = [
        throughput_parts.crystals(method, MODEL, str(given), 2)
        for method in ("relax:lbfgs", "relax:lbfgs:one by one", "torch_sim:lbfgs", "torch_sim:FIRE")
        if method.startswith("relax") or pytest.importorskip("torch_sim")
    ]
    json.dumps(rows)
    compared = throughput.compared(rows, throughput.MINI, begun)
    assert all(row["ended"]["converged"] == 2 for row in compared)
    assert all(row["meV_above_lowest"] < 2 for row in compared)
    assert compared[0]["force_calls"] == compared[1]["force_calls"]
