"""Tables and statistics, worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.crystals.profiles import draw
from benchmarks.crystals.results import RAW
from benchmarks.crystals.statistics import of_crystals
from benchmarks.descents.__main__ import table
from benchmarks.descents.figure import curves
from benchmarks.metals.runs import End
from benchmarks.metals.tables import COLUMNS, cells
from benchmarks.throughput.__main__ import rows_of, show
from benchmarks.throughput.tables import named, page, table_of
from relax.analysis.comparison.profiles import profile, ratios
from relax.analysis.comparison.statistics import interval, summarized, with_interval

# Statistics of crystals


def row(name: str, calls: list[int], energy: list[float | None], status: str = "") -> dict:
    n = len(calls)
    words = {"f": "cap"}
    return {
        "optimizer": name, "rattle": 0.0, "calls": calls, "energy": energy,
        "status": [words.get(letter, "converged") for letter in (status or "." * n)],
        "smax": [0.1 * (i + 1) for i in range(n)],
        "spacegroup": [[221, 221]] * n, "operations": [[48, 48]] * n, "lowest": [None] * n,
        "seconds_calculator": [0.5] * n, "seconds_outside": [0.25] * n, "reasons": {},
        "parameters": "", "versions": {},
    }  # fmt: skip


def summary(rows, cap, reference=()):
    return summarized(rows, "rattle", cap, RAW, lambda row: of_crystals(row, reference))


def test_a_table_worked_out_by_hand():
    ours = row("core", [10, 20, 30, 40], [-1.0, -2.0, -3.0, -9.0], "...f")
    fire = row("ase:FIRE", [20, 20, 60, 50], [-1.0005, -1.995, -2.9, -4.0])
    bfgs = row("ase:BFGS", [10, 10, 10, 10], [None, -2.0, -3.0, -4.0005], "f...")
    found = {r["optimizer"]: r for r in summary([ours, fire, bfgs], 100, [-1.0, 0.0, -9.0, -4.0])}
    core = found["core"]
    assert (core["mean"], core["median"], core["max"], core["failed"]) == (40.0, 25.0, 100, 1)
    assert core["failures"] == {"cap": 1}
    # A failure does not count as the lowest, however low, nor as near it.
    assert (core["within_1"], core["within_10"]) == (75.0, 75.0)
    assert (found["ase:FIRE"]["within_1"], found["ase:FIRE"]["within_10"]) == (50.0, 75.0)
    assert core["excess"] == pytest.approx(0.5 / 3, abs=1e-3)
    assert found["ase:FIRE"]["excess"] == pytest.approx((0 + 5 + 100 + 0.5) / 4, abs=1e-3)
    assert (core["smax_median"], core["smax_max"]) == (0.2, 0.3)
    assert (core["ms_calculator"], core["ms_outside"]) == (20.0, 10.0)
    # BFGS needs 32.5 calls with its failure, FIRE 37.5.
    assert set(core["beside"]) == {"ase:FIRE", "ase:BFGS"}
    assert core["beside"]["ase:FIRE"]["calls"][0] == pytest.approx(160 / 150, abs=1e-4)
    assert core["beside"]["ase:BFGS"]["calls"][0] == pytest.approx(160 / 130, abs=1e-4)
    assert core["beside"]["ase:BFGS"]["within_10"][0] == 0.0
    # Against references every end counts: errors of 0, 2, 6 and 5 eV/atom.
    assert core["reference"] == {
        "errors_above_1": 3,
        "mae": 0.0,
        "matbench_mae": pytest.approx(7000 / 3, abs=1e-3),
    }
    assert found["ase:BFGS"]["reference"]["errors_above_1"] == 3


def test_saddles_are_counted_by_gradients_and_by_energies():
    checked = row("core", [1] * 4, [0.0] * 4, "...f")
    checked["lowest"] = [[0.3, 0.3], [-0.2, 0.1], [-0.06, -0.051], None]
    plain = row("ase:FIRE", [1] * 4, [0.0] * 4)
    found = {r["optimizer"]: r["saddles"] for r in summary([checked, plain], 10)}
    # A run that failed counts, too: nobody knows where it ended.
    assert found == {"core": [3, 2], "ase:FIRE": None}


def test_symmetry_is_kept_lost_or_gained():
    changed = row("core", [1] * 5, [0.0] * 5, "....f")
    changed["spacegroup"] = [[221, 221], [221, 123], [123, 221], [221, None], [221, 1]]
    changed["operations"] = [[48, 48], [48, 16], [16, 48], [48, None], [48, 1]]
    (found,) = summary([changed], 10)
    assert found["symmetry"] == {"kept": 1, "lost": 1, "gained": 1}
    assert found["beside"] == {}


def test_intervals_of_known_cases():
    # A ratio that is the same for every structure has no uncertainty.
    ours, theirs = np.array([2.0, 8.0, 20.0]), np.array([1.0, 4.0, 10.0])
    assert with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), 3) == [2.0, 2.0, 2.0]
    # Of two structures, both are drawn half of the time and either one twice a quarter of it.
    values = np.array([0.0, 100.0])
    assert interval(lambda drawn: values[drawn].mean(-1), 2) == [0.0, 100.0]
    # The mean of many is normal, with the standard error of the mean.
    values = 100.0 * (np.arange(400) % 2)
    low, high = interval(lambda drawn: values[drawn].mean(-1), 400)
    assert (low, high) == (pytest.approx(50 - 1.96 * 2.5, abs=0.5), pytest.approx(50 + 1.96 * 2.5, abs=0.5))
    assert interval(lambda drawn: values[drawn].mean(-1), 400) == [low, high]


def test_profiles_worked_out_by_hand():
    rows = [row("a", [10, 30, 10, 7], [0.0] * 4, "...f"), row("b", [20, 10, 5, 9], [0.0] * 4, "..ff")]
    assert (ratios(rows) == [[1, 3, 1, np.inf], [2, 1, np.inf, np.inf]]).all()
    factors = np.array([1.0, 1.9, 2.0, 3.0, 100.0])
    first, second = (profile(ratio, factors) for ratio in ratios(rows))
    assert (first == [0.5, 0.5, 0.5, 0.75, 0.75]).all()
    assert (second == [0.25, 0.25, 0.5, 0.5, 0.5]).all()


def test_figures_are_the_same_every_time(tmp_path):
    rows = [row("core", [10, 20], [0.0, 0.0]), row("ase:FIRE", [20, 20], [0.0, 0.0], ".f")]
    results = {"rows": rows, "structures": ["a", "b"], "calculator": "emt"}
    for name in ("a", "b"):
        draw(results, tmp_path / name)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert "ase:FIRE" in (tmp_path / "a.svg").read_text()


# Large crystals


def test_cells_of_a_large_crystal():
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


# Descents


def run_of(name, status="converged", energy=(2.0, 1.0), force=(1.0, 0.01)):
    return {"system": "a", "optimizer": name, "status": status, "energy": list(energy), "force": list(force)}


def results_of(*rows):
    spec = {"title": "t", "subtitle": "{formula}", "formula": "Cu", "fmax": 0.05, "lowest": 1e-6}
    return {"benchmark": "descents", "systems": {"a": spec}, "rows": list(rows)}


def test_energies_are_above_the_lowest_end_of_those_that_converged():
    results = results_of(
        run_of("lbfgs"), run_of("ase:FIRE", energy=(2.0, 1.5)), run_of("ase:LBFGS", "cap", (2.0, 0.5))
    )
    above = {curve.name: list(curve.above) for curve in curves(results, "a")}
    assert above == {"lbfgs": [1.0, 0.0], "ase:FIRE": [1.0, 0.5], "ase:LBFGS": [1.0, -0.5]}
    assert "| `ase:LBFGS` | 2 (cap) | -500.00 |" in table(results)
    failed = results_of(run_of("lbfgs", "cap"), run_of("ase:FIRE", "error", (), ()))
    assert [list(curve.above) for curve in curves(failed, "a")] == [[1.0, 0.0]]


# Throughput


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


def test_the_default_rule_is_compared_with_the_newest_torch_sim_in_each_precision():
    newer = {"torch_sim": "0.6.2"}
    rows = [
        speed("relax:internal-lbfgs", 12.0),
        speed("relax:internal-lbfgs:float32", 15.0),
        speed("torch_sim:FIRE", 3.0, torch_sim="0.3.0"),
        speed("newer_torch_sim:lbfgs", 5.0, **newer),
        speed("newer_torch_sim:lbfgs:kept memory", 6.0, **newer),
        speed("newer_torch_sim:lbfgs:float32", 10.0, **newer),
        speed("newer_torch_sim:fire", 2.0, **newer),
    ]
    sheet = named(RECORD | {"mini": rows}, "mini")
    # The best of the peer counts, in the same precision, and the newer FIRE and not a faster older one.
    assert [note.split(", ")[0] for note in sheet.notes[-3:]] == [
        "the default rule in float64: 2.00 times torch_sim 0.6.2:lbfgs:kept memory in float64",
        "the default rule in float64: 6.00 times torch_sim 0.6.2:fire in float64",
        "the default rule in float32: 1.50 times torch_sim 0.6.2:lbfgs:float32 in float32",
    ]
    by_method = {row[0]: row for row in sheet.rows}
    assert by_method["`torch_sim 0.3.0:FIRE`"][2:4] == ["1.50", "0.50"]


def test_a_page_has_every_table_and_says_that_there_was_no_gpu():
    text = page(RECORD)
    assert text.count("## ") == 5
    assert "Not measured: no GPU available." in text
    assert table_of(named(RECORD, "larger")) in text


def test_names_are_printed_as_they_are(capsys):
    show(RECORD)
    out = capsys.readouterr().out
    assert "torch_sim:FIRE:kept memory" in out  # rich would print :FIRE: as an emoji


def test_rows_have_a_method_and_a_rate():
    rows = rows_of(RECORD)
    assert len(rows) == 8
    assert {row["model"] for row in rows} == {"mini", "larger"}
    assert all(row["method"] and row["structures_per_s"] > 0 for row in rows)
