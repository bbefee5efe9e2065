"""The benchmark of materials: its runs, what is computed from them, and its command."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from commands import alloy, call

from benchmarks.materials import __main__ as materials
from benchmarks.materials import optimizers
from benchmarks.materials.results import read_all
from benchmarks.materials.runs import run
from benchmarks.materials.sets import SETS, starts
from benchmarks.materials.statistics import ends, pooled, summarized
from benchmarks.materials.tables import as_markdown
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.ends import largest_row, rows_below
from relax.analysis.comparison.runs.processes import calculators
from relax.calculators.registry import load

command = partial(call, materials.main)
pytestmark = pytest.mark.slow

SMALL = ["--set", "slabs", "--calculator", "emt", "--fmax", 0.1, "--optimizers", "lbfgs,ase:BFGS"]


# Runs


class Spring(Calculator):
    """A force of ``k * (x - 3)`` on the last atom, and a stress of ``pull`` (eV/A^3) on each axis."""

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, pull=0.0):
        super().__init__()
        self.pull = pull

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        forces = np.zeros((len(atoms), 3))
        forces[-1, 0] = -(self.atoms.positions[-1, 0] - 3.0)
        energy = 0.5 * forces[-1, 0] ** 2
        stress = np.array([self.pull] * 3 + [0.0] * 3)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces, "stress": stress}


@pytest.mark.parametrize("name", ["ase:FIRE", "lbfgs", "ase:PreconLBFGS", "ase:GoodOldQuasiNewton"])
@pytest.mark.parametrize("system", [System.POSITIONS, System.CRYSTALS])
def test_optimizers_converge_where_a_row_says_so(name, system):
    end = run(name, alloy(), EMT(), system, 0.05, 200)
    assert end.status == "converged"
    assert end.calls < 200


def test_the_cell_gradient_counts_where_the_cell_relaxes():
    atoms = bulk("CuAu", "cesiumchloride", a=4.0)
    atoms.positions[-1, 0] = 3.0
    pull = 0.1 * len(atoms) / atoms.get_volume()  # a row of 0.1 eV
    calculator = Spring(pull)
    atoms.calc = calculator
    assert largest_row(atoms, atoms) == pytest.approx(0.1)
    results = {key: atoms.calc.get_property(key, atoms) for key in ("forces", "stress")}
    assert rows_below(0.11, atoms, cell=True)(atoms, results)
    assert not rows_below(0.09, atoms, cell=True)(atoms, results)
    assert not rows_below(0.11, atoms, cell=True)(atoms, {"forces": results["forces"]})
    start = atoms.copy()
    assert run("ase:BFGS", start, calculator, System.POSITIONS, 0.09, 5).calls == 1
    assert run("ase:BFGS", start, calculator, System.CRYSTALS, 0.11, 5).calls == 1
    assert run("ase:BFGS", start, calculator, System.CRYSTALS, 0.09, 5).status == "cap"


def test_forces_on_fixed_atoms_do_not_count():
    start = SETS["slabs"].make(1)[0]
    end = run("ase:BFGS", start, EMT(), System.POSITIONS, 0.1, 100)
    assert end.status == "converged"
    free = start.copy()
    free.set_constraint()
    assert run("ase:BFGS", free, EMT(), System.POSITIONS, 0.1, 100).energy < end.energy


def test_names_mean_what_they_say_where_the_cell_is_held():
    assert optimizers.meant("ase:PreconLBFGS", System.POSITIONS) == "ase:PreconLBFGS:Exp"
    assert optimizers.meant("ase:PreconLBFGS", System.CRYSTALS) == "ase:PreconLBFGS"
    assert "Exp(A=3)" in optimizers.settings("ase:PreconLBFGS", System.POSITIONS)
    assert optimizers.chosen_optimizers(["sella"], System.POSITIONS) == ["sella"]
    assert "internal=False" in optimizers.settings("sella", System.POSITIONS)
    with pytest.raises(ValueError, match="no optimizer 'sella'"):
        optimizers.chosen_optimizers(["sella"], System.CRYSTALS)


def test_sella_runs_where_the_cell_is_held():
    pytest.importorskip("sella")
    end = run("sella", SETS["slabs"].make(1)[0], EMT(), System.POSITIONS, 0.1, 100)
    assert end.status == "converged"


# Statistics


def row(name, calls, energy, status=None):
    return {
        "optimizer": name,
        "status": status or ["converged"] * len(calls),
        "calls": calls,
        "energy": energy,
        "seconds_calculator": [0.1] * len(calls),
        "seconds_outside": [0.0] * len(calls),
    }


DEFAULT = row("default", [10, 20, 30], [-1.0, -2.0, -3.0])
OTHER = row("ase:BFGS", [20, 40, 7], [-1.002, -1.9995, -9.0], ["converged", "converged", "error"])


def test_statistics_of_two_rows_worked_by_hand():
    ours, theirs = summarized([DEFAULT, OTHER], 100)
    assert (ours["default_calls"], ours["ends"]) == (None, None)
    assert (theirs["mean"], theirs["median"], theirs["failed"]) == (pytest.approx(160 / 3, abs=1e-3), 40, 1)
    ratio, low, high = theirs["default_calls"]
    assert ratio == 60 / 160
    assert low == 0.3  # the third alone
    assert high == 0.5  # either of the others
    assert theirs["ends"] == {"lower": 1, "same": 1, "higher": 0}
    assert ends(DEFAULT, OTHER) == {"lower": 0, "same": 1, "higher": 1}
    assert (ours["within_1"], theirs["within_1"]) == (66.67, 66.67)


def test_without_a_default_there_is_nothing_beside_it():
    (only,) = summarized([OTHER], 100)
    assert (only["default_calls"], only["ends"]) == (None, None)


def test_rows_over_all_sets_are_of_optimizers_that_all_have():
    (both,) = pooled([[DEFAULT, OTHER], [row("default", [5], [-1.0])]])
    assert both["optimizer"] == "default"
    assert both["calls"] == [10, 20, 30, 5]
    assert summarized([both], 100)[0]["mean"] == 65 / 4


# The command


@pytest.fixture
def in_process(monkeypatch):
    """Make the runs here: processes take seconds to start."""

    def one_by_one(tasks, calculator, jobs):
        calculators[:] = [load(calculator)]
        yield from map(materials.run_task, tasks)

    monkeypatch.setattr(materials, "in_processes", one_by_one)


def test_a_file_for_each_set_with_all_its_rows(in_process, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "page.md"
    done = command(*SMALL, "--json", out, "--table", page)
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "out_slabs.json").read_text())
    assert [(r["set"], r["optimizer"]) for r in results["rows"]] == [
        ("slabs", "ase:BFGS"),
        ("slabs", "lbfgs"),
    ]
    assert (results["cell"], results["fmax"], results["cap"], results["seed"]) == (False, 0.1, 300, 1)
    assert "--set slabs --calculator emt --fmax 0.1 --cap 300 --seed 1" in results["command"]
    assert all(len(r["calls"]) == len(results["structures"]) for r in results["rows"])
    assert not list(tmp_path.glob("*partial*"))
    assert page.read_text() == as_markdown(results)
    assert page.read_text().startswith(f"# {len(results['structures'])} structures, emt")
    shown = command("--render", out)
    assert shown.stdout == done.stdout
    assert read_all(out, ["slabs", "layers"]) == [results]
    assert "none of out_layers.json" in command("--render", out, "--set", "layers").stderr


def test_a_stopped_command_continues_where_it_was(in_process, tmp_path, monkeypatch):
    out, work, made = tmp_path / "out.json", materials.run_task, []

    def stops(task):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(task.key)
        return work(task)

    monkeypatch.setattr(materials, "run_task", stops)
    command(*SMALL, "--json", out)
    assert len((tmp_path / "out_slabs.json.partial.jsonl").read_text().splitlines()) == 1 + len(made)
    again = []
    monkeypatch.setattr(materials, "run_task", lambda task: again.append(task.key) or work(task))
    assert command(*SMALL, "--json", out).exit_code == 0
    results = json.loads((tmp_path / "out_slabs.json").read_text())
    assert len(again) == 2 * len(results["structures"]) - 4
    assert not {*again} & {*made}


def test_one_optimizer_is_run_on_all_sets_before_the_next(in_process, tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(materials, "starts", lambda kind, seed, _: small(kind, seed))
    work = materials.run_task
    monkeypatch.setattr(materials, "run_task", lambda task: order.append(task.key[:2]) or work(task))
    words = ["--calculator", "emt", "--fmax", 1, "--optimizers", "lbfgs,ase:BFGS", "--plot", tmp_path / "p"]
    done = command("--set", "slabs,defects", *words)
    assert done.exit_code == 0, done.output
    kinds = [(kind, name) for name in ("lbfgs", "ase:BFGS") for kind in ("slabs", "defects")]
    assert list(dict.fromkeys(order)) == kinds
    assert "all sets: 4 structures" in done.stdout
    assert (tmp_path / "p.png").exists()
    assert (tmp_path / "p.svg").exists()


def small(kind, seed):
    """Return two structures that EMT knows."""
    found = starts("slabs", seed, EMT())
    found.kind, found.atoms = kind, found.atoms[:2]
    return found


def test_errors_take_one_line():
    assert command("--set", "slabs", "--optimizers", "nonsense").stderr.startswith("materials: there is no")
    assert command("--set", "nonsense").stderr.startswith("materials: there is no set")
