"""The page for choosing a rule, from small files of results whose answers are plain to see."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.choosing.advice import resists
from benchmarks.choosing.columns import Column, Measured
from benchmarks.choosing.names import canonical, is_variant, label
from benchmarks.choosing.page import ANSWERS, QUESTIONS, STARTS, summary
from benchmarks.profile.sets import RESULTS

CAP = 300
LOW, HIGH = -1.0, -0.5
ESCAPE, ESCAPED = "default:check=minimum,escape=true", '`default, check="minimum", escape=True`'


def row(name: str, calls: list[int], energy: list[float], **more) -> dict:
    """Return a row; runs that took as many calls as are allowed have failed."""
    good = [n < CAP for n in calls]
    return {
        "optimizer": name,
        "calls": calls,
        "status": ["converged" if each else "cap" for each in good],
        "energy": energy,
        "mean": np.mean(calls),
        "failed": good.count(False),
        "within_10": 100 * np.mean([each and e == LOW for each, e in zip(good, energy, strict=True)]),
    } | more


def write(folder, stem: str, rows: list[dict], **head) -> None:
    (folder / f"{stem}.json").write_text(json.dumps({"cap": CAP} | head | {"rows": rows}))


def crystals(folder, *more: dict) -> None:
    """Write rows of four crystals: the default stays at two saddle points, the check leaves one of them."""
    rows = [
        row("default", [5, 5, 5, 5], [LOW, LOW, HIGH, HIGH], rattle=0.0),
        row(ESCAPE, [20, 20, 20, 20], [LOW, LOW, LOW, HIGH], rattle=0.0),
        row("core:s_0=0.1", [1, 1, 1, 1], [LOW, LOW, LOW, LOW], rattle=0.0),
        row("ase:FIRE", [40, 40, 40, CAP], [HIGH, HIGH, HIGH, HIGH], rattle=0.0),
        row("ase:BFGS", [10, 10, 10, 10], [HIGH, HIGH, HIGH, HIGH], rattle=0.0),
        row("default", [7, 7, 7, 7], [LOW, LOW, LOW, HIGH], rattle=0.05),
        row("core", [50, 50, CAP, 50], [LOW, HIGH, HIGH, LOW], rattle=0.05),
    ]
    write(folder, "crystals_chgnet", [*rows, *more], fmax=0.05, structures=list("abcd"))


def forces(kind: str, noise: float, curl: float) -> list[dict]:
    """Return rows of disturbed forces: FIRE is the faster one, and fails in one column."""
    what = {"kind": kind, "noise": noise, "curl": curl}
    calls = 15 if curl else 10
    return [
        {"optimizer": "default", "calls": [calls, calls], "failed": 0} | what,
        {"optimizer": "fire", "calls": [8, 8], "failed": int(noise == 1e-2)} | what,
    ]


@pytest.fixture
def results(tmp_path):
    crystals(tmp_path)
    slabs = [row("default", [10, 12], [LOW, LOW]), row("ase:PreconLBFGS", [9, 11], [LOW, LOW])]
    write(tmp_path, "materials_chgnet_slabs", slabs, fmax=0.02, structures=["a", "b"])
    drugs = [row("default", [20, 30], [LOW, LOW], fmax=0.01), row("sella", [30, CAP], [LOW, HIGH], fmax=0.01)]
    write(tmp_path, "molecules_drugs", drugs, structures=["a", "b"])
    clusters = [
        {"optimizer": "default", "calls": [80, 90], "energies": [-160.0, -162.0], "mean_energy": -161.0}
        | {"failed": 0, "failed_clusters": []},
        {"optimizer": "core:metric", "calls": [100, 20], "energies": [-170.0, -1.0], "mean_energy": -170.0}
        | {"failed": 1, "failed_clusters": [1]},
        {"optimizer": "ase:FIRE", "calls": [9, 9], "energies": [-1.0, None], "mean_energy": None}
        | {"failed": 2, "failed_clusters": [0, 1]},
    ]
    write(tmp_path, "lj38", clusters, n=2, protocol={"cap": 1000})
    metals = [
        {"optimizer": "default", "atoms": 10975, "calls": 4, "status": "converged"},
        {"optimizer": "fire", "atoms": 10975, "calls": 50, "status": "exploded"},
    ]
    write(tmp_path, "metals", metals)
    how = [(0.0, 0.0), (1e-4, 0.0), (1e-3, 0.0), (1e-2, 0.0), (0.0, 0.05), (0.0, 0.3)]
    write(
        tmp_path, "disturbed", [one for k in ("lj38", "crystals") for h in how for one in forces(k, *h)], n=2
    )
    return tmp_path


def cells(folder, part: str, name: str, table: int = 0) -> list[str]:
    """Return the cells beside a name, in the first table that has it or in a later one."""
    return beside(ANSWERS[part](folder).lines(), name, table)


def beside(lines: list[str], name: str, table: int = 0) -> list[str]:
    found = [line for line in lines if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in found[table].strip("|").split("|")[1:]]


def text(folder, part: str) -> str:
    return "\n".join(ANSWERS[part](folder).lines())


def test_crystals_have_ends_and_calls_from_either_start(results):
    assert cells(results, "minimum", "*structures*") == ["*4*"] * 4
    assert cells(results, "minimum", "`default`") == ["**50**", "**5.0**", "**75**", "**7.0**"]
    assert cells(results, "minimum", ESCAPED) == ["**75**", "20.0", "-", "-"]
    assert cells(results, "minimum", "`core, metric=False`") == ["-", "-", "**50**", "112.5 (1)"]
    assert cells(results, "minimum", "`ase:BFGS`") == ["0", "10.0", "-", "-"]


def test_rows_of_other_settings_are_left_out_and_what_is_missing_is_said(results):
    found = text(results, "minimum")
    assert "s_0" not in found
    assert "Not measured here: `pair-lbfgs`; `core, metric=True`; `frankenstein, metric=True`; " in found
    assert "Not measured here" in text(results, "calls")


def test_the_lowest_end_is_advised_with_its_price(results):
    first, _, second, *_ = ANSWERS["minimum"](results).lines()
    assert first == (
        f"Starts as they are: take {ESCAPED}. 75 % end near the lowest energy, with `default` 50 %, in 4.0 "
        "times the calls. No clear difference: `default` (50 %, 1.0 times the calls)."
    )
    assert second.startswith("Starts rattled: take `default`. 75 % end near the lowest energy")


def test_draws_stand_on_the_page_once_they_are_measured(results):
    assert "draws" not in text(results, "minimum")
    crystals(results, row("default:draws=4", [30, 30, 30, 30], [LOW, LOW, LOW, LOW], rattle=0.0))
    assert cells(results, "minimum", "`default, draws=4`") == ["**100**", "30.0", "-", "-"]
    assert "Starts as they are: take `default, draws=4`. 100 %" in text(results, "minimum")


def test_ends_of_other_kinds_leave_out_those_where_all_end_alike(results):
    assert cells(results, "ends", "`default`") == ["-161.00", "**100**"]
    assert cells(results, "ends", "`core, metric=True`") == ["**-170.00 (1)**", "-"]
    assert cells(results, "ends", "`sella`") == ["-", "**50**"]
    found = text(results, "ends")
    assert "for 1 of 2 kinds of structures no other ends lower" in found
    assert "Another one does for: LJ38 clusters (`core, metric=True`)." in found
    assert found.endswith("on every structure: molecules on surfaces.")


def test_calls_of_all_kinds_with_failures_at_the_cap(results):
    assert cells(results, "calls", "`default`") == ["**85.0**", "**5.0**", "**7.0**", "**4**"]
    assert cells(results, "calls", "`core, metric=True`") == ["550.0 (1)", "-", "-", "-"]
    assert cells(results, "calls", "`fire`") == ["-", "-", "-", f"{CAP} (1)"]
    assert cells(results, "calls", "`ase:PreconLBFGS`") == ["**10.0**"]
    assert cells(results, "calls", "`default`", table=1) == ["11.0"]
    assert cells(results, "calls", "`sella`") == ["165.0 (1)"]
    found = text(results, "calls")
    assert "Take `default`: for 5 of 6 kinds of structures no other needs fewer calls" in found
    assert "Another one does for: molecules on surfaces (`ase:PreconLBFGS`)." in found


def test_polycrystals_have_the_optimizers_that_ran_on_all_boxes(results):
    runs = {"lammps:fire": [900, 900], "default": [400, 360], "core:metric=true": [200, CAP], "lbfgs": [100]}
    rows = [
        {"optimizer": name, "size": 10_000, "grains": 4, "seed": seed, "calls": calls}
        | {"status": "cap" if calls == CAP else "converged"}
        for name, each in runs.items()
        for seed, calls in enumerate(each, 1)
    ]
    write(results, "alloy", rows)
    assert cells(results, "calls", "`default`")[-1] == "380.0"
    assert cells(results, "calls", "`core, metric=True`")[-1] == "**250.0 (1)**"
    assert "lbfgs" not in text(results, "calls").partition("Not measured")[0]
    assert "polycrystals of 10,000 atoms (`core, metric=True`)" in text(results, "calls")


def test_who_fails_with_disturbed_forces_is_not_advised(results):
    assert cells(results, "disturbed", "`default`") == ["10.0"] * 4 + ["15.0"] * 2
    assert cells(results, "disturbed", "`fire`", table=1) == [f"**8.0{' (1)' * (n == 3)}**" for n in range(6)]
    advice = ANSWERS["disturbed"](results).lines()[0]
    assert advice.startswith(
        "Take `default`: with disturbed forces it never failed, and needs at most 1.50 times"
    )
    assert advice.endswith("Failed at least once: `fire`.")


def test_failures_without_a_disturbance_are_told_from_others():
    def table(*failed: int) -> list[Column]:
        return [Column("", 1, {"fire": Measured("", np.ones(1), n)}) for n in failed]

    assert resists([table(0, 1)], ["fire"]).why == "Every optimizer failed at least once: `fire`."
    assert resists([table(1, 1)], ["fire"]).why.endswith("none; without a disturbance too: `fire`.")


def test_the_summary_says_what_the_sections_say(results):
    taken = [line.strip("| ").split(" | ")[1] for line in summary(results)[2:]]
    assert taken == [f"{ESCAPED}, or `default`", "`default`", "`default`"]
    assert len(taken) == len(QUESTIONS)


def test_best_are_those_that_are_not_above_the_least_beyond_the_error():
    rng = np.random.default_rng(0)
    calls = {"a": rng.normal(20, 1, 50)}
    calls |= {"b": calls["a"] + rng.normal(0.01, 1, 50), "c": calls["a"] + 1}
    column = Column("", 50, {name: Measured("", each) for name, each in calls.items()})
    assert column.best(["c", "b", "a"]) == ["b", "a"]
    assert column.best(["e"]) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("default", "`default`"),
        ("core", "`core, metric=False`"),
        ("core:metric=true", "`core, metric=True`"),
        ("frankenstein", "`frankenstein`"),
        ("core:rattle=0.01", "`core, metric=False, rattle=0.01`"),
        (ESCAPE, ESCAPED),
        ("ase:PreconLBFGS:Exp", "`ase:PreconLBFGS:Exp`"),
    ],
)
def test_names_are_what_relax_takes(name, shown):
    assert label(canonical(name)) == shown


def test_variants_are_of_the_compared_rules_with_settings_of_a_search():
    assert is_variant("default:check=minimum,escape=true,draws=4")
    assert not any(map(is_variant, ("core:paper", "core:s_0=0.1", "adam", "ase:BFGS", "adam:draws=4")))
    assert canonical("core:metric") == "core:metric=true"


def test_cells_of_the_committed_results_are_those_of_the_file():
    lines = ANSWERS["minimum"](RESULTS).lines()
    for one in json.loads((RESULTS / "crystals_chgnet.json").read_text())["rows"]:
        if is_variant(one["optimizer"]):
            start = list(STARTS.values()).index(one["rattle"])
            share, calls = beside(lines, label(one["optimizer"]))[2 * start :][:2]
            assert share.strip("*") == f"{one['within_10']:.0f}"
            assert calls.strip("*").split()[0] == f"{one['mean']:.1f}"
