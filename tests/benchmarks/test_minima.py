"""The benchmark of the minimum check: its structures, its Hessians, what counts as right, and its file."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from commands import ROOT, call

from benchmarks.minima import __main__ as minima
from benchmarks.minima import results as results_file
from benchmarks.minima.runs import checked, measured, stationary, true_curvature
from benchmarks.minima.structures import (
    BOND,
    STRUCTURES,
    bipyramid,
    cuboctahedron,
    eclipsed_ethane,
    icosahedron,
    lj_cluster,
    planar_biphenyl,
)
from benchmarks.minima.tables import LEVELS, right, sheet, summary
from benchmarks.readme import minima as in_docs
from relax.analysis.comparison.runs.run import overlap

CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
SMALL = {
    "pair": lj_cluster(partial(Atoms, "H2", [[0, 0, 0], [1.1, 0, 0]])),
    "square": lj_cluster(partial(Atoms, "H4", 1.1 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))),
    "tetrahedron": lj_cluster(partial(Atoms, "H4", 0.4 * CORNERS)),
}


def neighbours(atoms):
    distances = atoms.get_all_distances()
    return int((np.triu(distances, 1) * (distances < 1.2 * BOND)).astype(bool).sum())


def test_there_are_twenty_structures_and_none_overlaps():
    assert len(STRUCTURES) == 20
    for structure in STRUCTURES.values():
        assert overlap(structure.make()) == ("", "")


def test_shapes_have_the_neighbours_that_are_known_of_them():
    assert neighbours(icosahedron()) == 42
    assert neighbours(cuboctahedron()) == 36
    assert neighbours(bipyramid()) == 16  # the poles touch, too
    assert np.ptp(planar_biphenyl().positions[:, 2]) == 0.0
    dihedrals = [eclipsed_ethane().get_dihedral(2, 0, 1, k) for k in (5, 6, 7)]
    assert min(min(angle, 360 - angle) for angle in dihedrals) == pytest.approx(0, abs=1e-3)


def test_the_curvature_of_a_pair_is_that_of_the_potential():
    # At the minimum 2^(1/6) the second derivative is 72 / 2^(1/3), and both atoms move.
    atoms, fmax = stationary(SMALL["pair"])
    assert fmax <= 1e-3
    assert atoms.get_distance(0, 1) == pytest.approx(2 ** (1 / 6), abs=1e-4)
    assert true_curvature(SMALL["pair"], atoms)[0] == pytest.approx(2 * 72 / 2 ** (1 / 3), rel=0.01)


@pytest.mark.parametrize(("name", "saddle"), [("square", True), ("tetrahedron", False)])
def test_four_atoms_are_at_a_saddle_in_a_square_and_at_a_minimum_in_a_tetrahedron(name, saddle):
    row = measured(SMALL[name], LEVELS)
    assert row["atoms"] == 4
    assert (row["lowest"][0] < 0) == (row["lowest"][1] < 0) == saddle
    assert all(right(row, level) for level in LEVELS)
    for level in LEVELS:
        assert row["levels"][level]["status"] == ("saddle" if saddle else "converged")


def test_calls_are_those_that_the_optimizer_reports():
    atoms, _ = stationary(SMALL["tetrahedron"])
    before = atoms.positions.copy()
    run = checked(SMALL["tetrahedron"], atoms, "minimum")
    assert 2 <= run["calls"] <= 21  # one where it starts, and the check has twenty
    np.testing.assert_array_equal(atoms.positions, before)


def row(lowest, status, curvature=0.1, name="a"):
    runs = {level: {"curvature": curvature, "status": status, "calls": 4} for level in LEVELS}
    return {"structure": name, "atoms": 2, "lowest": [lowest, lowest], "levels": runs}


@pytest.mark.parametrize(
    ("lowest", "status", "expected"),
    [
        (-0.2, "saddle", True),
        (-0.2, "converged", False),
        (-0.001, "converged", False),
        (0.2, "converged", True),
        (0.2, "saddle", False),
        (0.2, "max_steps", False),
        (-0.2, "max_steps", False),
    ],
)
def test_a_check_is_right_if_it_says_saddle_where_there_is_one(lowest, status, expected):
    assert right(row(lowest, status), "tight") is expected


def test_the_summary_counts_what_is_right():
    found = {
        "rows": [row(-0.2, "saddle"), row(-0.1, "converged", None, "b"), row(0.3, "converged", 0.4, "c")]
    }
    assert summary(found).startswith('check="minimum": 2 of 3 right, 4.0 calls on average; ')
    assert [cells[2:8] for cells in sheet(found).rows] == [
        ["-0.200", "-0.200", "0.100", "saddle", "right", "4"],
        ["-0.100", "-0.100", "", "converged", "wrong", "4"],
        ["0.300", "", "0.400", "converged", "right", "4"],
    ]


def test_rows_are_kept_and_shown(tmp_path, monkeypatch):
    made = []

    def counted(structure, levels):
        made.append(structure)
        return measured(structure, levels)

    for module in (minima, results_file):
        monkeypatch.setattr(module, "STRUCTURES", SMALL)
    monkeypatch.setattr(minima, "measured", counted)
    out = tmp_path / "out.json"
    first = call(minima.main, "--structure", "tetrahedron", "--json", out)
    assert first.exit_code == 0, first.output
    assert call(minima.main, "--json", out).exit_code == 0
    assert len(made) == 3
    found = json.loads(out.read_text())
    assert [each["structure"] for each in found["rows"]] == list(SMALL)
    assert found["command"] == "python -m benchmarks.minima"
    shown = call(minima.main, "--render", out, "--table", tmp_path / "out.md")
    assert "3 of 3 right" in shown.output
    assert "| square | 4 |" in (tmp_path / "out.md").read_text()
    assert len(made) == 3


def test_bad_input_is_one_line(tmp_path):
    unknown = call(minima.main, "--structure", "benzene")
    other = call(minima.main, "--render", ROOT / "benchmarks" / "results" / "disturbed.json")
    for result, message in ((unknown, "there is no structure 'benzene'"), (other, "holds no results")):
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_docs_have_a_line_for_each_structure():
    lines = in_docs().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:22]] == list(STRUCTURES)
