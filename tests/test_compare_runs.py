"""``relax.compare``: what is counted, where runs start and end, and the statistics, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, BFGSLineSearch
from comparisons import alloy, slab

import relax as package
from relax.analysis.comparison.results import tables
from relax.analysis.comparison.runs import tasks
from relax.analysis.comparison.starts import rattled
from relax.cli.comparing.compare_options import CompareOptions


class Counting(EMT):
    """EMT that keeps the largest force of each of its calls."""

    def __init__(self):
        super().__init__()
        self.largest = []

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.largest.append(np.linalg.norm(self.results["forces"], axis=1).max())


def test_calls_are_those_of_ase_by_hand():
    for cell, start in ((False, alloy()), (True, alloy()), (False, slab())):
        for name, kind in (("ase:BFGS", BFGS), ("ase:FIRE", FIRE)):
            atoms = start.copy()
            atoms.calc = Counting()
            kind(FrechetCellFilter(atoms) if cell else atoms, logfile=None).run(fmax=0.02)
            (row,) = package.compare([start], EMT(), name, cell=cell, fmax=0.02, stop="optimizer")
            assert row["calls"] == len(atoms.calc.largest), name
            assert row["energy"] == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-6)
            assert row["status"] == "converged"


def test_the_calculator_ends_a_run_at_the_first_call_below_fmax():
    atoms = alloy()
    atoms.calc = Counting()
    BFGSLineSearch(atoms, logfile=None).run(fmax=0.002)
    first = next(n for n, force in enumerate(atoms.calc.largest, 1) if force <= 0.05)
    (row,) = package.compare([alloy()], EMT(), ["ase:BFGSLineSearch"])
    assert (row["calls"], row["status"]) == (first, "converged")
    assert row["fmax"] == pytest.approx(atoms.calc.largest[first - 1], abs=1e-6)


def test_rows_are_flat_and_structures_stay_as_they_are():
    pandas = pytest.importorskip("pandas")
    starts = [slab(), alloy()]
    before = [atoms.copy() for atoms in starts]
    rows = package.compare(starts, "emt", "default,ase:FIRE", rattles=(0, 0.05), draws=2, cap=12)
    assert starts == before
    assert len(rows) == (1 + 2) * 2 * 2
    frame = pandas.DataFrame(rows)
    assert set(frame["rule"]) == {"default", "ase:FIRE"}
    failed = frame[frame["status"] != "converged"]
    assert len(failed)
    assert (failed["scored_calls"] == 12).all()
    assert failed["above_lowest"].isna().all()
    good = frame[frame["status"] == "converged"]
    lowest = good.groupby("structure")["energy"].transform("min")
    np.testing.assert_allclose(good["above_lowest"], 1e3 * (good["energy"] - lowest), atol=1e-3)


def test_starts_are_rattled_by_seed_and_draw_and_constraints_hold(monkeypatch):
    starts = []
    run = tasks.run
    monkeypatch.setattr(
        tasks, "run", lambda name, start, *rest: starts.append(start) or run(name, start, *rest)
    )
    package.compare([alloy(), slab()], EMT(), "ase:FIRE", rattles=(0.05,), draws=2, seed=3, cap=1)
    for n, (atoms, seed, index) in enumerate(
        ((alloy(), 3, 0), (slab(), 3, 1), (alloy(), 4, 0), (slab(), 4, 1))
    ):
        assert (starts[n].positions == rattled(atoms, 0.05, seed, index).positions).all()
    moved = starts[1].positions - slab().positions
    assert not moved[:2].any()
    assert moved[2:].all()


def test_a_file_continues_in_python_too(tmp_path, monkeypatch):
    keywords = {"rattles": (0, 0.1), "path": tmp_path / "out.json"}
    rows = package.compare([alloy()], EMT(), ["ase:FIRE"], **keywords)
    monkeypatch.setattr(tasks, "run", lambda *_: pytest.fail("all runs are there"))
    assert package.compare([alloy()], EMT(), ["ase:FIRE"], **keywords) == rows
    with pytest.raises(ValueError, match="other starts"):
        package.compare([alloy()], EMT(asap_cutoff=True), ["ase:FIRE"], **keywords)
    fixed = alloy()
    fixed.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match="constraints_sha256"):
        package.compare([fixed], EMT(), ["ase:FIRE"], **keywords)


def test_the_cell_of_a_slab_relaxes_in_its_plane():
    start = slab()
    start.set_constraint()
    start.set_cell(start.cell * [[1.04], [1.04], [1.0]], scale_atoms=True)
    known = start.copy()
    known.calc = EMT()
    mask = [True, True, False, False, False, True]
    BFGS(FrechetCellFilter(known, mask=mask), logfile=None).run(fmax=0.001)
    assert known.cell[2] == pytest.approx(start.cell[2])
    rules = ["default", "frankenstein", "ase:BFGS", "ase:FIRE", "ase:PreconLBFGS"]
    for row in package.compare(start, EMT(), rules, cell=True, fmax=0.005):
        assert (row["status"], row["cell"]) == ("converged", True), row
        assert row["energy"] == pytest.approx(known.get_potential_energy() / len(known), abs=2e-4), row[
            "rule"
        ]


@pytest.mark.parametrize("stop", ["calculator", "optimizer"])
def test_the_end_of_a_run_is_where_the_calculator_was_last_though_fixed_atoms_follow_the_cell(stop):
    start, last = slab(), []
    start.set_cell(start.cell * [[1.04], [1.04], [1.0]], scale_atoms=True)

    class Keeping(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            last.append(self.results["energy"])

    for rule in ("default", "core", "ase:BFGS", "ase:FIRE"):
        last.clear()
        (row,) = package.compare(start, Keeping(), rule, cell=True, fmax=0.02, stop=stop)
        assert (row["status"], row["calls"]) == ("converged", len(last)), rule
        assert row["energy"] == pytest.approx(last[-1] / len(start), abs=1e-6)


def test_one_structure_needs_no_list_and_a_bar_is_for_terminals(capsys):
    rows = package.compare(alloy(), EMT(), "ase:FIRE", progress=True)
    assert [row["structure"] for row in rows] == ["0000-Au2Cu2"]
    assert capsys.readouterr() == ("", "")


def test_starts_that_differ_in_their_periodicity_alone_are_not_mixed(tmp_path):
    free = alloy()
    free.pbc = False
    package.compare([alloy()], EMT(), "ase:FIRE", cap=2, path=tmp_path / "out.json")
    with pytest.raises(ValueError, match=r"another protocol \(periodic\)"):
        package.compare([free], EMT(), "ase:FIRE", cap=2, path=tmp_path / "out.json")


@pytest.mark.parametrize(
    ("structures", "keywords", "message"),
    [
        ([], {}, "there is no structure"),
        ([Atoms()], {}, "there are no atoms"),
        ([bulk("Fe")], {}, "structure 0: EMT does not know"),
        ([alloy()], {"rules": "fier"}, "did you mean 'fire'"),
        ([alloy()], {"rules": "sella"}, "sella is for free molecules, and .* is periodic"),
        ([alloy()], {"draws": 0}, "draws must be 1 or more"),
        ([alloy()], {"rattles": (-1,)}, "rattles must be"),
        ([alloy()], {"fmax": 0}, "fmax must be greater than 0"),
        ([alloy()], {"stop": "late"}, "stop must be calculator or optimizer"),
        ([alloy()], {"calculator": object()}, "calls are counted at ASE calculators only"),
    ],
)
def test_bad_arguments(structures, keywords, message):
    if keywords.get("rules") == "sella":
        pytest.importorskip("sella")
    with pytest.raises(ValueError, match=message):
        package.compare(structures, **{"calculator": EMT(), **keywords})


def test_molecules_are_compared_with_peers():
    pytest.importorskip("sella")
    water = molecule("H2O", vacuum=3.0)
    water.rattle(0.05, seed=0)
    rows = package.compare([water], EMT(), "default,sella", fmax=0.02)
    assert [row["status"] for row in rows] == ["converged"] * 2
    assert rows[1]["energy"] == pytest.approx(rows[0]["energy"], abs=1e-3)


def test_command_and_function_have_the_same_defaults():
    options = CompareOptions(files=[])
    declared = package.compare.__kwdefaults__ | {"rules": package.compare.__defaults__[0]}
    assert tuple(options.rules.split(",")) == declared["rules"]
    for name in ("cell", "draws", "seed", "fmax", "cap", "stop", "jobs"):
        assert getattr(options, name) == declared[name], name


# Statistics


def test_statistics_by_hand():
    def row(name, draw, calls, energy, rattle=0.1, status="cc"):
        words = {"c": "converged", "f": "cap"}
        return {
            "rattle": rattle, "draw": draw, "optimizer": name, "calls": calls, "energy": energy,
            "status": [words[letter] for letter in status], "fmax": [0.01] * 2,
            "seconds_calculator": [1.0, 1.0], "seconds_outside": [0.5, 0.5],
        }  # fmt: skip

    rows = [
        row("a", 0, [10, 20], [-1.0, -2.0]), row("a", 1, [10, 30], [-1.0, -2.002]),
        row("b", 0, [20, 20], [-1.005, -2.0]), row("b", 1, [30, 9], [-1.0, -9.0], status="cf"),
        row("a", 0, [5, 5], [-1.0, -2.0205], rattle=0.0),
    ]  # fmt: skip
    head = {"starts": [[0.1, 0], [0.1, 1]], "names": ["a", "b"], "cap": 100}
    a, b = tables(head, rows)
    assert (a["mean"], b["mean"]) == (17.5, (20 + 20 + 30 + 100) / 4)
    assert (b["failed"], b["failures"]) == (1, {"cap": 1})
    # The lowest ends are -1.005, and -2.0205 of a start that was not asked for; -9 was a failure.
    assert (a["within_1"], a["within_10"]) == (0.0, 50.0)
    assert (b["within_1"], b["within_10"]) == (25.0, 50.0)
    assert a["calls"] is None
    # Draws of a structure are resampled together: b needs 50 / 20 calls for one and 120 / 50 for the other.
    assert b["calls"] == [round(170 / 70, 4), 2.4, 2.5]
    one = [{k: v[:1] if isinstance(v, list) else v for k, v in each.items()} for each in rows]
    assert tables(head, one)[1]["calls"] == [2.5, None, None]
