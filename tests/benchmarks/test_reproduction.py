"""The page of claims: each has a verdict, which follows the files of results."""

from __future__ import annotations

import json

import pytest

from benchmarks.readme import RESULTS
from benchmarks.reproduction.claims import published
from benchmarks.reproduction.tables import ALL_JUDGES, PARTS, table
from benchmarks.reproduction.verdicts import VERDICTS, Results


def cells(folder, part):
    """Return here and verdict of each claim of a part."""
    found = Results(folder)
    return {claim["claim"]: ALL_JUDGES[claim["claim"]](found, claim) for claim in published()[part]}


def with_rows(folder, source, name, change):
    """Write the results ``name`` of ``source`` into ``folder``, each row changed."""
    results = json.loads((source / f"{name}.json").read_text())
    for row in results["rows"]:
        change(row)
    (folder / f"{name}.json").write_text(json.dumps(results))


def alloy(energies, segments=100):
    """Return rows of one box of the alloy."""
    box = {"size": 1000, "grains": 2, "seed": 1, "status": "converged", "segments": segments, "length": 1.0}
    return [box | {"optimizer": name, "energy": energy} for name, energy in energies.items()]


@pytest.mark.parametrize("part", PARTS)
def test_every_claim_has_a_verdict(part):
    rows = table(RESULTS, part)[2:]
    assert len(rows) == len(published()[part])
    for row in rows:
        assert row.split(" | ")[-1].split("**")[1] in VERDICTS


def test_verdicts_on_clusters_follow_the_results(tmp_path):
    def printed_form_ends(row):
        if row["optimizer"] == "frankenstein:paper":
            row |= {"mean": 380.0, "median": 300.0, "failed": 0, "min": 100, "max": 900}

    assert cells(RESULTS, "lj38")["frankenstein_calls"].verdict.startswith("partly")
    with_rows(tmp_path, RESULTS, "lj38", printed_form_ends)
    assert cells(tmp_path, "lj38")["frankenstein_calls"].verdict == "reproduced"


def test_verdicts_on_the_alloy_follow_the_boxes(tmp_path):
    assert cells(tmp_path, "alloy")["alloy_energy"].verdict.startswith("not measured yet")
    component = "frankenstein:granularity=component"
    for form, energy, boxes, verdict in (
        ("frankenstein", -10.0, 3, "reproduced"),
        (component, -10.0, 3, "reproduced"),
        (component, -10.0, 2, "partly"),
        ("frankenstein", -8.0, 3, "not:"),
    ):
        one = alloy({form: energy, "lammps:fire": -9.0, "default": -20.0})
        rows = [row | {"seed": seed} for seed in range(boxes) for row in one]
        (tmp_path / "alloy.json").write_text(json.dumps({"rows": rows}))
        found = cells(tmp_path, "alloy")["alloy_energy"]
        assert found.verdict.startswith(verdict)
        assert "default" not in found.here
        assert f"mean of {boxes} boxes: " in found.here


def test_verdicts_on_paths_follow_the_runs(tmp_path):
    def verdict(calls, energy):
        runs = [
            {"optimizer": "frankenstein", "status": "converged", "calls": calls, "energy": energy},
            {"optimizer": "ase:CG", "status": "converged", "calls": 100, "energy": -5.0},
        ]
        rows = [{"case": "alloy", "atoms": 2000, "runs": runs}]
        (tmp_path / "landscapes.json").write_text(json.dumps({"rows": rows}))
        return cells(tmp_path, "landscapes")["alloy_path"].verdict.split(":")[0]

    assert cells(tmp_path, "landscapes")["alloy_path"].verdict.startswith("not measured yet")
    assert verdict(50, -6.0) == "reproduced"
    assert verdict(50, -4.0) == "partly"
    assert verdict(200, -4.0) == "not"
