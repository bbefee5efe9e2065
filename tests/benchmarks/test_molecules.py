"""The benchmark of molecules, on a few of them."""

from __future__ import annotations

import json
import sys
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.collections import g2
from commands import call

from benchmarks import readme
from benchmarks.molecules import __main__ as molecules
from benchmarks.molecules import results as result_rows
from benchmarks.molecules.results import SCHEMA
from benchmarks.molecules.runs import bonds_of, change, pieces, run
from benchmarks.molecules.sets import G2_OPTIMIZERS
from benchmarks.molecules.starts import excluded_text, load, reason_to_exclude
from benchmarks.molecules.starts import molecules as set_for
from benchmarks.molecules.tables import as_markdown, notes
from relax.analysis.comparison.minimizers.names import TUNED_PRECON
from relax.core.errors import CalculatorError

pytestmark = pytest.mark.slow

command = partial(call, molecules.main)
molecules_for = partial(set_for, "g2")
OURS = ("core", "frankenstein", "fire", "lbfgs")
THEIRS = tuple(name for name in G2_OPTIMIZERS if name.startswith("ase:"))


def start(name="NH3", rattle=0.1):
    atoms = molecule(name)
    atoms.rattle(rattle, seed=1)
    return atoms


class Springs(Calculator):
    """Springs between all atoms, which may fail at one call."""

    implemented_properties = ("energy", "forces")

    def __init__(self, geometry, fails_at=0, strength=10.0):
        super().__init__()
        self.rest, self.fails_at, self.strength, self.asked = (
            geometry.get_all_distances(),
            fails_at,
            strength,
            0,
        )

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.asked += 1
        if self.asked == self.fails_at:
            raise RuntimeError("SCF not converged")
        apart = atoms.positions[:, None] - atoms.positions
        d = np.linalg.norm(apart, axis=-1) + np.eye(len(atoms))
        off = (d - np.eye(len(atoms)) - self.rest) * (1 - np.eye(len(atoms)))
        forces = -self.strength * (off / d)[..., None] * apart
        self.results = {"energy": self.strength * (off**2).sum() / 4, "forces": forces.sum(axis=1)}


# Starts


def test_single_atoms_are_left_out_with_the_reason():
    found = molecules_for(EMT(), 0.1, 1, ["H2", "O", "CO"])
    assert found.excluded == {"O": "a single atom"}
    assert [atoms.info["name"] for atoms in found.starts] == [n for n in g2.names if n in ("H2", "CO")]
    assert excluded_text(found.excluded) == "a single atom: O"


def test_the_start_of_a_molecule_does_not_depend_on_the_others():
    (alone,) = molecules_for(EMT(), 0.1, 1, ["CO"]).starts
    beside = molecules_for(EMT(), 0.1, 1, ["H2", "CO", "N2"])
    (same,) = [atoms for atoms in beside.starts if atoms.info["name"] == "CO"]
    assert (alone.positions == same.positions).all()
    (other,) = molecules_for(EMT(), 0.1, 2, ["CO"]).starts
    assert not np.allclose(alone.positions, other.positions)
    (geometry,) = molecules_for(EMT(), 0.1, 1, ["CO"]).geometries
    assert (geometry.positions == molecule("CO").positions).all()
    assert not alone.pbc.any()


def test_spins_are_those_of_the_set():
    (oxygen,) = molecules_for(EMT(), 0.1, 1, ["O2"]).starts
    assert oxygen.get_initial_magnetic_moments().sum() == 2


def test_unsupported_molecules_are_left_out_before_any_run():
    assert reason_to_exclude(molecule("LiF"), EMT()) == "of elements that the calculator does not know"
    water = molecule("H2O")
    assert reason_to_exclude(water, Springs(water)) == ""
    assert (
        reason_to_exclude(water, Springs(water, fails_at=1))
        == "the calculator fails at the start: RuntimeError"
    )
    assert (
        reason_to_exclude(water, Springs(water, strength=np.nan))
        == "no finite energy and forces at the start"
    )
    with pytest.raises(ValueError, match="no molecule is left: a single atom: O"):
        molecules_for(EMT(), 0.1, 1, ["O"])
    with pytest.raises(ValueError, match="the set g2 has no molecule 'H3O'"):
        molecules_for(EMT(), 0.1, 1, ["H3O"])


# Bonds


def test_every_molecule_of_the_set_is_connected():
    assert all(pieces(bonds_of(molecule(name))) == 1 for name in g2.names)


def test_changes_of_bonds():
    water = molecule("H2O")
    assert change(start("H2O", 0.02), water) == "kept"
    far = water.copy()
    far.positions[1] += [0, 5, 0]
    assert change(far, water) == "dissociated"
    bent = water.copy()
    bent.positions[1:] = water.positions[0] + [[0.96, 0, 0], [0.8, 0.5, 0]]
    assert change(bent, water) == "rearranged"


# Runs


@pytest.mark.parametrize("name", [*OURS, *THEIRS])
def test_all_optimizers_relax_a_molecule(name):
    geometry = molecule("NH3")
    inner = Springs(geometry)
    end = run(name, start(), geometry, inner, 0.01, 200, True)
    assert (end.status, end.bonds) == ("converged", "kept"), end.reason
    assert end.calls == inner.asked
    assert end.energy == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["lbfgs", "ase:LBFGS", TUNED_PRECON])
def test_failures_are_named(name):
    geometry = molecule("NH3")
    assert run(name, start(), geometry, Springs(geometry), 1e-6, 3, True).status == "cap"
    end = run(name, start(), geometry, Springs(geometry, fails_at=2), 0.01, 200, True)
    assert end.status == "error"
    assert "SCF not converged" in end.reason


def test_another_molecule_is_a_failure_where_bonds_count():
    geometry, away = molecule("NH3"), molecule("NH3")
    away.positions[1] += 0.7 * (away.positions[1] - away.positions[0])
    for bonded, status in ((True, "dissociated"), (False, "converged")):
        end = run("lbfgs", start(), geometry, Springs(away), 0.01, 200, bonded)
        assert (end.status, end.bonds) == (status, "dissociated")


# GFN2-xTB


def test_xtb_relaxes_water_and_oxygen_with_its_spin():
    pytest.importorskip("tblite", reason='GFN2-xTB is an extra: pip install "relax[xtb]"')
    calculator, energies = load("xtb"), {}
    for name in ("H2O", "O2"):
        end = run("lbfgs", start(name), molecule(name), calculator, 0.05, 100, True)
        assert (end.status, end.bonds) == ("converged", "kept")
        energies[name] = end.energy
    assert energies["H2O"] == pytest.approx(-137.98 / 3, abs=0.01)
    singlet = molecule("O2")
    singlet.set_initial_magnetic_moments(None)
    end = run("lbfgs", singlet, molecule("O2"), calculator, 0.05, 100, True)
    assert abs(end.energy - energies["O2"]) > 1e-4


def test_the_extra_for_xtb_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    monkeypatch.setitem(sys.modules, "tblite", None)
    with pytest.raises(CalculatorError, match=r'pip install "relax\[xtb\]"'):
        load("xtb")


# The command

FAST = [
    "--set",
    "g2",
    "--calculator",
    "emt",
    "--only",
    "N2,CO,H2O,O",
    "--optimizers",
    "lbfgs,ase:FIRE,ase:BFGS",
]


@pytest.fixture
def made(monkeypatch):
    """Make the runs here, for processes take seconds to start; return what was made."""
    tasks = []

    def here(asked, optimizers, jobs):
        for task in asked:
            tasks.append(task.key)
            yield molecules.run_task(task)

    monkeypatch.setattr(molecules, "in_processes", here)
    return tasks


def test_two_tables_with_all_their_rows(made, tmp_path):
    out, page = tmp_path / "made" / "out.json", tmp_path / "page.md"
    done = command(*FAST, "--json", out, "--table", page)
    assert done.exit_code == 0, done.output
    results = SCHEMA.read(out)
    assert [(row["fmax"], row["optimizer"]) for row in results["rows"]] == [
        (fmax, name) for fmax in (0.05, 0.01) for name in ("lbfgs", "ase:FIRE", "ase:BFGS")
    ]
    assert sorted(results["structures"]) == ["CO", "H2O", "N2"]
    assert results["excluded"] == {"O": "a single atom"}
    assert results["command"].endswith(
        "--set g2 --calculator emt --only N2,CO,H2O,O --rattle 0.1 --seed 1 --cap 500 "
        "--fmax 0.05 --fmax 0.01 --optimizers lbfgs,ase:FIRE,ase:BFGS"
    )
    assert str(tmp_path) not in out.read_text()
    for row in results["rows"]:
        good = np.array(row["status"]) == "converged"
        assert row["mean"] == pytest.approx(np.where(good, row["calls"], 500).mean(), abs=1e-3)
        assert row["other_bonds"] == sum(bonds != "kept" for bonds in row["bonds"])
        assert set(row["beside"]) == {"ase:FIRE", "ase:BFGS"}
    assert page.read_text() == as_markdown(results)
    assert page.read_text().count("## 3 molecules, EMT, starts rattled by 0.1 A, fmax") == 2
    assert "a single atom: O" in notes(results)
    assert command("--render", out).stdout == done.stdout


def test_only_rows_that_are_missing_or_changed_are_made(made, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    command(*FAST, "--json", out, "--fmax", 0.05)
    assert len(made) == 9
    made.clear()
    assert command(*FAST, "--json", out, "--fmax", 0.05).exit_code == 0
    assert made == []
    command(*FAST, "--json", out, "--fmax", 0.05, "--optimizers", "core")
    assert {key[:2] for key in made} == {(0.05, "core")}
    assert len(SCHEMA.read(out)["rows"]) == 4
    made.clear()
    known = result_rows.settings_text
    monkeypatch.setattr(
        result_rows, "settings_text", lambda name, system: known(name, system) + " anew" * (name == "lbfgs")
    )
    done = command(*FAST, "--json", out, "--fmax", 0.05)
    assert {key[:2] for key in made} == {(0.05, "lbfgs")}
    assert "out of date, not kept: lbfgs" in done.stderr


def test_runs_are_kept_when_the_command_is_stopped(made, tmp_path, monkeypatch):
    out, work = tmp_path / "out.json", molecules.run_task

    def breaks(task):
        if (task.key.optimizer, task.key.structure) == ("ase:FIRE", "H2O"):
            raise KeyboardInterrupt
        return work(task)

    monkeypatch.setattr(molecules, "run_task", breaks)
    command(*FAST, "--json", out, "--fmax", 0.05)
    assert [row["optimizer"] for row in SCHEMA.read(out)["rows"]] == ["lbfgs"]
    partial = out.with_name("out.json.partial.jsonl")
    kept = [json.loads(line)["key"] for line in partial.read_text().splitlines()[1:]]
    assert kept == [list(key) for key in made[3:-1]]
    monkeypatch.setattr(molecules, "run_task", work)
    made.clear()
    assert command(*FAST, "--json", out, "--fmax", 0.05).exit_code == 0
    assert len(made) == 6 - len(kept)
    assert len(SCHEMA.read(out)["rows"]) == 3
    assert not partial.exists()


def test_results_of_other_starts_are_neither_mixed_nor_lost(made, tmp_path):
    out = tmp_path / "out.json"
    words = [*FAST, "--json", out, "--fmax", 0.05]
    command(*words)
    before = out.read_text()
    for other in (["--seed", 2], ["--rattle", 0.05], ["--cap", 100], ["--only", "N2"]):
        done = command(*words, *other)
        assert done.exit_code == 2
        assert "other starts or another protocol" in done.stderr
        assert out.read_text() == before
    assert command(*words, "--seed", 2, "--no-resume").exit_code == 0
    assert json.loads(out.read_text())["seed"] == 2


def test_the_table_of_the_readme(made, tmp_path, monkeypatch):
    command(*FAST, "--json", tmp_path / "molecules_x.json")
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    lines = readme.molecules("molecules_x").splitlines()
    assert lines[0].count("failed") == 2
    assert {line.split("|")[1].strip() for line in lines[2:]} == {"`lbfgs`", "`ase:FIRE`", "`ase:BFGS`"}
    assert len({line.count("|") for line in lines}) == 1


def test_runs_are_made_in_a_process():
    found = molecules_for(EMT(), 0.1, 1, ["N2"])
    key = molecules.Key(0.05, "lbfgs", "N2")
    task = molecules.Task(key, "emt", 50, True, found.starts[0], found.geometries[0])
    ((same, end),) = molecules.in_processes([task], ["lbfgs"], 1)
    assert (same, end.status) == (key, "converged")
    assert isinstance(found.starts[0], Atoms)
