from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import typer
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import write
from ase.optimize import FIRE, BFGSLineSearch
from ase.units import GPa
from typer.testing import CliRunner

from benchmarks import crystal_results, crystal_runs, crystal_starts, crystals
from benchmarks.crystal_optimizers import (
    DEFAULTS,
    check_optimizer,
    known_optimizers,
    read_settings,
    settings_text,
    split_names,
)
from benchmarks.crystal_results import Protocol, header, read_results
from benchmarks.crystal_runs import End, Group, group_of, run
from benchmarks.crystal_starts import Source, bare, known_elements, rattled
from benchmarks.crystal_statistics import interval, summarized, with_interval
from benchmarks.crystal_table import as_markdown, tables
from benchmarks.meter import Meter
from benchmarks.profiles import draw, profile, ratios
from benchmarks.wbm import read_ids, read_references, read_wbm
from relax.calculators.registry import load
from relax.optimizers.named import CoReRelax

ROOT = Path(__file__).parents[1]
COPPER = bulk("Cu", a=3.8)


def alloy(rattle: float = 0.08) -> Atoms:
    atoms = bulk("CuAu", "cesiumchloride", a=3.2)
    atoms.rattle(rattle, seed=1)
    return atoms


def ended(name: str, start: Atoms, calculator: Calculator | None = None, cap: int = 200) -> End:
    return run(name, start, group_of(start), calculator or EMT(), 0.05, cap)


class Counting(EMT):
    """EMT that counts on its fingers."""

    count = 0

    def calculate(self, *args, **kwargs):
        self.count += 1
        super().calculate(*args, **kwargs)


class Toy(Calculator):
    """No forces and a hydrostatic stress (eV/A^3), but for what a test makes of it."""

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, stress: float = 0.0, force: float = 0.0):
        super().__init__()
        self.pull, self.push, self.asked = stress, force, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.asked += 1
        forces = np.full((len(atoms), 3), self.push)
        forces[1:] *= -1 / max(len(atoms) - 1, 1)
        stress = np.array([self.pull] * 3 + [0.0] * 3)
        self.results = {"energy": 0.0, "free_energy": 0.0, "forces": forces, "stress": stress}


# Runs


def test_calls_are_those_a_counter_in_the_calculator_sees():
    for name, make in (("ase:FIRE", FIRE), ("ase:BFGSLineSearch", BFGSLineSearch)):
        atoms = alloy()
        atoms.calc = Counting()
        make(FrechetCellFilter(atoms), logfile=None).run(fmax=0.05)
        end = ended(name, alloy())
        assert end.calls == atoms.calc.count
        assert end.energy == pytest.approx(atoms.get_potential_energy() / 2, abs=1e-6)
        assert end.smax == pytest.approx(abs(atoms.get_stress()).max() / GPa, abs=1e-4)


def test_calls_are_those_our_optimizers_report():
    atoms = alloy()
    atoms.calc = EMT()
    optimizer = CoReRelax(atoms, cell=True, logfile=None)
    optimizer.run(fmax=0.05)
    assert ended("core", alloy()).calls == optimizer.result.force_calls


def test_a_geometry_is_one_call_however_often_it_is_asked_for():
    class Reluctant(Toy):
        """Computes only what it is asked for."""

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            before = {} if system_changes else self.results
            super().calculate(atoms, properties, system_changes)
            self.results = before | {name: self.results[name] for name in properties}

    calculator, atoms = Reluctant(), COPPER.copy()
    atoms.calc = meter = Meter(calculator, COPPER, 10)
    for _ in range(2):
        atoms.get_forces(), atoms.get_stress(), atoms.get_potential_energy()
    assert (meter.calls, calculator.asked) == (1, 3)
    atoms.rattle(0.1)
    atoms.get_stress()
    assert meter.calls == 2


@pytest.mark.parametrize("name", DEFAULTS)
def test_no_run_has_more_calls_than_the_cap(name):
    counting = Counting()
    end = ended(name, alloy(), counting, cap=3)
    assert (end.status, end.calls, counting.count) == ("cap", 3, 3)
    assert "eV/A" in end.reason


def test_a_run_that_converges_at_the_cap_has_converged():
    calls = ended("ase:FIRE", alloy()).calls
    assert ended("ase:FIRE", alloy(), cap=calls).status == "converged"
    assert ended("ase:FIRE", alloy(), cap=calls - 1).status == "cap"


@pytest.mark.parametrize("name", ["ase:PreconLBFGS", "ase:CG", "lbfgs"])
def test_everyone_stops_by_the_criterion_of_the_filter(name):
    start = bulk("CuAu", "cesiumchloride", a=3.3)
    implied = 0.05 * len(start) / start.get_volume() / GPa  # what a row of 0.05 eV/A means for the stress
    end = ended(name, start)
    assert end.status == "converged"
    assert end.smax < 1.2 * implied


@pytest.mark.parametrize("name", ["ase:PreconLBFGS", "ase:FIRE", "core"])
def test_calculators_need_no_free_energy(name):
    class Identity(EMT):
        """Names its energy only once, as CHGNet does."""

        implemented_properties = ("energy", "forces", "stress")

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            del self.results["free_energy"]

    end, known = (ended(name, alloy(0.02), calculator) for calculator in (Identity(), EMT()))
    assert (end.status, end.calls, end.energy) == ("converged", known.calls, known.energy)


def test_nothing_is_left_from_the_last_run():
    calculator = EMT()
    runs = [ended("core", atoms, calculator) for atoms in (alloy(), COPPER, alloy())]
    fresh = ended("core", alloy())
    for end in (runs[0], runs[2]):
        assert (end.calls, end.energy, end.smax) == (fresh.calls, fresh.energy, fresh.smax)


def test_the_last_structure_looked_at_is_judged_when_the_cap_is_reached():
    """A line search may have gone on to a place that no force call has seen."""
    end = ended("ase:BFGSLineSearch", alloy(), cap=1)
    atoms = alloy()
    atoms.calc = EMT()
    assert end.energy == pytest.approx(atoms.get_potential_energy() / 2, abs=1e-6)


class NaNs(Toy):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        if self.asked > 2:
            self.results["forces"][0] = np.nan


class Breaks(Toy):
    def calculate(self, *args, **kwargs):
        if self.asked == 2:
            raise ArithmeticError("no\nmore")
        super().calculate(*args, **kwargs)


@pytest.mark.parametrize("name", ["ase:FIRE", "fire"])
@pytest.mark.parametrize(
    ("calculator", "status", "reason"),
    [
        (Toy(), "converged", ""),
        (Toy(stress=-1.0), "exploded", "volume"),
        (Toy(stress=1.0), "collapsed", "volume"),
        (NaNs(force=1.0), "nonfinite", "not a number"),
        (Breaks(force=1.0), "error", "ArithmeticError: no more"),
    ],
)
def test_every_end_has_its_status(name, calculator, status, reason):
    calculator.asked = 0
    end = ended(name, alloy(), calculator)
    assert (end.status, reason in end.reason) == (status, True)
    assert "\n" not in end.reason


def test_atoms_on_top_of_each_other_are_a_collapse(monkeypatch):
    class Squeeze(FIRE):
        def run(self, fmax, steps):
            self.atoms.atoms.positions[1] = [0.2, 0, 0]
            return True

    monkeypatch.setattr(crystal_runs, "make", lambda name, atoms: Squeeze(FrechetCellFilter(atoms)))
    end = ended("ase:FIRE", alloy(), Toy())
    assert end.status == "collapsed"
    assert "covalent radii" in end.reason


def test_an_optimizer_is_not_taken_at_its_word(monkeypatch):
    class Liar(FIRE):
        def converged(self, *_):
            return True

        gradient_converged = converged

    monkeypatch.setattr(
        crystal_runs, "make", lambda name, atoms: Liar(FrechetCellFilter(atoms), logfile=None)
    )
    end = ended("ase:FIRE", alloy())
    assert (end.status, end.calls) == ("gave up", 1)
    assert "the largest row is" in end.reason


def test_space_groups_are_those_before_any_rattle():
    start = bulk("CuAu", "cesiumchloride", a=3.1)
    before = group_of(start)
    assert before == Group(221, 48)
    end = run("core", rattled(start, 0.05, 1, 0), before, EMT(), 0.05, 200)
    assert end.spacegroup[0] == 221
    assert group_of(Atoms("Cu2", [[0, 0, 0]] * 2, cell=[3] * 3, pbc=True)) == Group()


# Starts


def test_rattles_are_seeded_and_of_the_size_asked_for():
    atoms = bulk("Cu", cubic=True) * (8, 8, 8)
    moved = rattled(atoms, 0.05, 1, 0)
    shifts = moved.positions - atoms.positions
    assert shifts.std() == pytest.approx(0.05, rel=0.03)
    assert abs(shifts.mean()) < 0.002
    assert (moved.cell == atoms.cell).all()
    assert (rattled(atoms, 0.05, 1, 0).positions == moved.positions).all()
    for seed, index in ((2, 0), (1, 1)):
        assert not np.allclose(rattled(atoms, 0.05, seed, index).positions, moved.positions)
    assert (rattled(atoms, 0.0, 1, 0).positions == atoms.positions).all()


def test_crystals_have_names_of_their_own_and_nothing_else():
    named = [COPPER.copy(), alloy()]
    named[0].info["name"], named[1].info["material_id"] = "one", "two"
    assert [atoms.info for atoms in bare(named)] == [{"name": "one"}, {"name": "two"}]
    assert [a.info["name"] for a in bare([COPPER, COPPER])] == ["0000-Cu", "0001-Cu"]


def test_elements_are_those_the_calculator_knows():
    assert known_elements(EMT()) == ["C", "N", "O", "Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"]
    assert known_elements(load("lj")) == []


def test_crystals_are_made_of_known_elements_and_the_output_says_so(monkeypatch, capsys):
    asked = []

    def few(*args):
        asked.append(args)
        return [alloy()]

    monkeypatch.setattr(crystal_starts, "wbm_like", few)
    made, elements = crystals.prepare(Source(wbm_like=1), 7, "emt")
    assert asked == [(1, 7, Source.largest, 2, elements)]
    assert "Pt" in elements
    assert "Pt" in capsys.readouterr().err
    results = header(made, Protocol("--wbm-like 1", "emt", 0.05, 9, 7, elements))
    assert results["elements"] == elements


@pytest.mark.slow
def test_crystals_like_wbms_have_no_other_elements():
    made = Source(wbm_like=3, largest=4).read(1, ["Cu", "Au", "Al", "Ni", "Pd"])
    assert len(made) == 3
    assert all({*atoms.symbols} <= {"Cu", "Au", "Al", "Ni", "Pd"} for atoms in made)


def test_what_the_calculator_cannot_take_is_refused():
    for atoms, message in (
        (bulk("Si"), "EMT does not know the element"),
        (Atoms("Cu"), "is no crystal"),
    ):
        with pytest.raises(ValueError, match=message):
            crystal_starts.check(bare([atoms]), EMT())


# The real WBM


@pytest.fixture
def wbm(tmp_path):
    """Two materials as in the files of Matbench Discovery."""
    path, summary = tmp_path / "wbm-initial-atoms.extxyz.zip", tmp_path / "wbm-summary.csv.gz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, atoms in (("wbm-1-10", alloy()), ("wbm-1-2", COPPER.copy())):
            atoms.info["material_id"] = name
            write(tmp_path / "x.extxyz", atoms)
            archive.write(tmp_path / "x.extxyz", f"{name}.extxyz")
    with gzip.open(summary, "wt") as file:
        file.write(
            "material_id,formula,n_sites,uncorrected_energy,e_correction_per_atom_mp2020\n"
            "wbm-1-10,Cu1 Au1,2,3.0,-0.5\nwbm-1-2,Cu1,1,0.004,0\n"
        )
    return path, summary


def test_wbm_is_read_in_order_or_by_ids(wbm, tmp_path):
    path, _ = wbm
    assert [a.info["name"] for a in read_wbm(path)] == ["wbm-1-2", "wbm-1-10"]
    (atoms,) = read_wbm(path, ["wbm-1-10"])
    assert np.allclose(atoms.positions, alloy().positions, atol=1e-7)
    assert atoms.pbc.all()
    with pytest.raises(ValueError, match="no material 'wbm-1-3'"):
        read_wbm(path, ["wbm-1-3"])
    ids = tmp_path / "ids.csv"
    ids.write_text("material_id,formula\nwbm-1-10,CuAu\n\nwbm-1-2,Cu\n")
    assert read_ids(str(ids)) == read_ids("wbm-1-10, wbm-1-2") == ["wbm-1-10", "wbm-1-2"]
    assert read_ids("") == []


@pytest.mark.parametrize("content", [b"no zip", None])
def test_what_is_no_wbm_file_is_told(tmp_path, content):
    path = tmp_path / "x.zip"
    if content is None:
        zipfile.ZipFile(path, "w").close()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.zip"):
        read_wbm(path)


def test_reference_energies_are_per_atom_and_corrected_where_asked(wbm):
    _, summary = wbm
    names = ["wbm-1-2", "wbm-1-10"]
    assert read_references(summary, names, corrected=False) == [0.004, 1.5]
    assert read_references(summary, names, corrected=True) == [0.004, 1.0]
    with pytest.raises(ValueError, match="no material 'wbm-9-9'"):
        read_references(summary, ["wbm-9-9"], corrected=False)
    with pytest.raises(ValueError, match=r"is no wbm-summary\.csv\.gz"):
        read_references(ROOT / "pyproject.toml", names, corrected=False)


# Statistics


def row(name: str, calls: list[int], energy: list[float | None], status: str = "") -> dict:
    n = len(calls)
    words = {"f": "cap"}
    return {
        "optimizer": name, "rattle": 0.0, "calls": calls, "energy": energy,
        "status": [words.get(letter, "converged") for letter in (status or "." * n)],
        "smax": [0.1 * (i + 1) for i in range(n)],
        "spacegroup": [[221, 221]] * n, "operations": [[48, 48]] * n,
        "seconds_calculator": [0.5] * n, "seconds_outside": [0.25] * n, "reasons": {},
    }  # fmt: skip


def test_a_table_worked_out_by_hand():
    ours = row("core", [10, 20, 30, 40], [-1.0, -2.0, -3.0, -9.0], "...f")
    fire = row("ase:FIRE", [20, 20, 60, 50], [-1.0005, -1.995, -2.9, -4.0])
    bfgs = row("ase:BFGS", [10, 10, 10, 10], [None, -2.0, -3.0, -4.0005], "f...")
    found = {
        r["optimizer"]: r for r in summarized([ours, fire, bfgs], cap=100, reference=[-1.0, 0.0, -9.0, -4.0])
    }
    core = found["core"]
    assert (core["mean"], core["median"], core["max"], core["failed"]) == (40.0, 25.0, 100, 1)
    assert core["failures"] == {"cap": 1}
    # A failure is neither the lowest, however low, nor near it.
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


def test_symmetry_is_kept_lost_or_gained():
    changed = row("core", [1] * 5, [0.0] * 5, "....f")
    changed["spacegroup"] = [[221, 221], [221, 123], [123, 221], [221, None], [221, 1]]
    changed["operations"] = [[48, 48], [48, 16], [16, 48], [48, None], [48, 1]]
    (found,) = summarized([changed], cap=10)
    assert found["symmetry"] == {"kept": 1, "lost": 1, "gained": 1}
    assert found["beside"] == {}


def test_intervals_of_known_cases():
    # What is the same on every structure is certain.
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


# Names


def test_names_are_split_but_not_inside_settings():
    assert split_names(["core:s_0=0.1,rattle=0.05,adam", "ase:FIRE, core"]) == [
        "core:s_0=0.1,rattle=0.05",
        "adam",
        "ase:FIRE",
        "core",
    ]


def test_settings_are_read_as_their_parameter_says():
    named, settings = read_settings("core:s_0=0.1,t_hist=5,granularity=component,maxstep=0.1,maximize=true")
    assert named is CoReRelax
    assert settings == {
        "s_0": 0.1,
        "t_hist": 5,
        "granularity": "component",
        "maxstep": 0.1,
        "maximize": True,
    }
    text = settings_text("core:s_0=0.1,symmetry=keep")
    assert "s_0=0.1" in text
    assert "symmetry='keep'" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cor", "did you mean 'core'"),
        ("ase:fire", "did you mean 'ase:FIRE'"),
        ("core:s0=1", "did you mean 's_0'"),
        ("core:s_0=-1", "not allowed"),
        ("core:s_0", "no setting"),
    ],
)
def test_unknown_names_and_settings_are_told(name, message):
    with pytest.raises(ValueError, match=message):
        check_optimizer(name)


@pytest.mark.parametrize("name", known_optimizers())
def test_every_name_runs(name):
    check_optimizer(name)
    assert ended(name, COPPER, cap=2).calls <= 2


# The command

FAST = ["--calculator", "emt", "--optimizers", "lbfgs,ase:FIRE"]


@pytest.fixture
def in_process(monkeypatch):
    """Make the runs here: processes take seconds to start."""

    def one_by_one(tasks, calculator, jobs):
        crystals.CALCULATOR[:] = [load(calculator)]
        return map(crystals.work, tasks)

    monkeypatch.setattr(crystals, "in_processes", one_by_one)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the pictures, which take a second."""
    monkeypatch.setattr(crystals, "draw", lambda results, stem: None)


@pytest.fixture
def structures(tmp_path):
    write(tmp_path / "two.extxyz", [alloy(0.02), COPPER])
    return tmp_path / "two.extxyz"


def command(*words: object):
    app = typer.Typer()
    app.command()(crystals.main)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, before)


def undated(path: Path) -> dict:
    """Return results without what differs from run to run: the time they took."""
    results = json.loads(path.read_text())
    timed = ("seconds_calculator", "seconds_outside", "ms_calculator", "ms_outside")
    rows = [{k: v for k, v in row.items() if k not in timed} for row in results["rows"]]
    return results | {"rows": rows}


def test_two_tables_with_all_their_rows(in_process, structures, tmp_path):
    out, page = tmp_path / "made" / "out.json", tmp_path / "page.md"
    done = command("--structures", structures, *FAST, "--json", out, "--table", page)
    assert done.exit_code == 0, done.output
    assert "starts as they are" in done.stdout
    assert "starts rattled by 0.05 A" in done.stdout
    results = json.loads(out.read_text())
    pairs = [(row["rattle"], row["optimizer"]) for row in results["rows"]]
    assert pairs == [(0.0, "lbfgs"), (0.0, "ase:FIRE"), (0.05, "lbfgs"), (0.05, "ase:FIRE")]
    assert results["structures"] == ["0000-AuCu", "0001-Cu"]
    assert (results["seed"], results["calculator"], results["fmax"], results["cap"]) == (1, "emt", 0.05, 500)
    assert "--rattle 0 --rattle 0.05 --optimizers lbfgs,ase:FIRE" in results["command"]
    assert str(tmp_path) not in out.read_text()
    for found in results["rows"]:
        assert found["mean"] == np.mean(found["calls"])
        for name in (
            "calls",
            "status",
            "energy",
            "smax",
            "spacegroup",
            "seconds_calculator",
            "seconds_outside",
        ):
            assert len(found[name]) == 2
    assert page.read_text() == as_markdown(results)
    assert page.read_text().count("## 2 crystals, emt") == 2
    assert not list(out.parent.glob("*partial*"))
    assert {path.suffix for path in out.parent.iterdir()} == {".json", ".png", ".svg"}
    assert command("--render", out, "--table", page).stdout == done.stdout


def test_table_is_ordered_by_calls(in_process, undrawn, structures, tmp_path):
    out = tmp_path / "out.json"
    command("--structures", structures, *FAST, "--json", out, "--rattle", 0)
    ((titles, rows),) = tables(read_results(out)).values()
    assert rows[0][0] == "lbfgs"
    assert [float(cells[titles.index("mean")]) for cells in rows] == sorted(
        float(cells[titles.index("mean")]) for cells in rows
    )


def test_wbm_with_reference_energies(in_process, undrawn, wbm, tmp_path):
    path, summary = wbm
    out = tmp_path / "out.json"
    done = command("--wbm", path, "--summary", summary, *FAST, "--json", out)
    assert done.exit_code == 0, done.output
    results = json.loads(out.read_text())
    assert results["structures"] == ["wbm-1-2", "wbm-1-10"]
    assert {row["rattle"] for row in results["rows"]} == {0.0}
    assert results["reference"] == {"kind": "uncorrected", "energy": [0.004, 1.5]}
    for found in results["rows"]:
        assert found["reference"]["errors_above_1"] == 1
        assert found["reference"]["mae"] == pytest.approx(1e3 * abs(found["energy"][0] - 0.004), abs=1e-2)
    assert "errors > 1 eV" in as_markdown(results)


class Killed(BaseException):
    pass


def test_a_killed_command_goes_on_where_it_was(in_process, undrawn, structures, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.json", tmp_path / "out.json"
    words = ["--structures", structures, *FAST]
    command(*words, "--json", whole)
    work, made = crystals.work, []

    def dies(task):
        if len(made) == 3:
            raise Killed
        made.append(task.key)
        return work(task)

    monkeypatch.setattr(crystals, "work", dies)
    with pytest.raises(Killed):
        command(*words, "--json", out)
    assert not out.exists()
    partial = out.with_name("out.json.partial.jsonl")
    lines = partial.read_text().splitlines()
    assert len(lines) == 4
    partial.write_text("\n".join(lines)[:-20])  # killed while it wrote
    again = []
    monkeypatch.setattr(crystals, "work", lambda task: again.append(task.key) or work(task))
    command(*words, "--json", out)
    assert len(again) == 8 - 2
    assert not {*again} & {*made[:2]}
    assert undated(out) == undated(whole)
    assert not partial.exists()


def test_only_rows_that_changed_are_made_again(in_process, undrawn, structures, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    words = ["--structures", structures, *FAST, "--json", out, "--rattle", 0]
    command(*words)
    made, work = [], crystals.work
    monkeypatch.setattr(crystals, "work", lambda task: made.append(task.key.optimizer) or work(task))
    command(*words, "--optimizers", "core")
    assert made == ["core"] * 2
    assert [row["optimizer"] for row in json.loads(out.read_text())["rows"]] == ["core", "lbfgs", "ase:FIRE"]
    made.clear()
    settings = crystal_results.settings_text
    monkeypatch.setattr(
        crystal_results, "settings_text", lambda name: settings(name) + (" anew" if name == "lbfgs" else "")
    )
    crystal_results.current.cache_clear()
    done = command(*words)
    crystal_results.current.cache_clear()
    assert made == ["lbfgs"] * 2
    assert "has changed since: lbfgs" in done.stderr


def test_files_of_results_are_put_together(in_process, undrawn, structures, tmp_path, monkeypatch):
    words = ["--structures", structures, "--calculator", "emt", "--rattle", 0, "--optimizers"]
    for name in ("lbfgs", "ase:FIRE"):
        command(*words, name, "--json", tmp_path / f"{name[:4]}.json")
    monkeypatch.setattr(crystals, "work", lambda task: pytest.fail("nothing is left to do"))
    both = [*words, "lbfgs,ase:FIRE", "--take", tmp_path / "lbfg.json", "--take", tmp_path / "ase:.json"]
    done = command(*both, "--json", tmp_path / "both.json")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "both.json").read_text())["rows"]
    assert [set(row["beside"]) for row in rows] == [{"ase:FIRE"}] * 2
    assert "other starts" in command(*both, "--seed", 2).stderr


def test_results_of_other_starts_are_neither_mixed_nor_lost(in_process, undrawn, structures, tmp_path):
    out = tmp_path / "out.json"
    words = ["--structures", structures, *FAST, "--json", out, "--rattle", 0.05]
    command(*words)
    before = out.read_text()
    for other in (["--seed", 2], ["--fmax", 0.1], ["--cap", 100]):
        done = command(*words, *other)
        assert done.exit_code == 2
        assert "other starts or another protocol" in done.stderr
        assert out.read_text() == before
    assert command(*words, "--seed", 2, "--no-resume").exit_code == 0
    assert json.loads(out.read_text())["seed"] == 2
    out.write_text("my notes")
    assert "holds no results" in command(*words, "--no-resume").stderr
    assert out.read_text() == "my notes"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--structures", "nowhere.cif"], "cannot read nowhere.cif"),
        (["--wbm", "nowhere.zip"], "cannot read nowhere.zip"),
        ([], "give one of --structures"),
        (["--wbm-like", 3, "--structures", "x.cif"], "give one of --structures"),
        (["--wbm-like", 3, "--optimizers", "core,ase:FIRRE"], "did you mean 'ase:FIRE'"),
        (["--wbm-like", 3, "--calculator", "chgne"], "did you mean 'chgnet'"),
        (["--render", "pyproject.toml"], "holds no results"),
    ],
)
def test_bad_input_is_told_in_one_line(words, message):
    done = command("--calculator", "emt", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_pictures_are_the_same_every_time(tmp_path):
    rows = [row("core", [10, 20], [0.0, 0.0]), row("ase:FIRE", [20, 20], [0.0, 0.0], ".f")]
    results = {"rows": rows, "structures": ["a", "b"], "calculator": "emt"}
    for name in ("a", "b"):
        draw(results, tmp_path / name)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert "ase:FIRE" in (tmp_path / "a.svg").read_text()


@pytest.mark.slow
def test_a_command_that_is_terminated_leaves_its_runs_and_no_process(structures, tmp_path):
    out = tmp_path / "out.json"
    partial = out.with_name("out.json.partial.jsonl")
    words = [sys.executable, "-m", "benchmarks.crystals", "--structures", structures, "--calculator", "emt"]
    words += ["--optimizers", "adam,ase:FIRE,fire,core", "--json", out, "--jobs", "1"]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for _ in range(600):
            if partial.exists() and len(partial.read_text().splitlines()) > 1:
                break
            time.sleep(0.05)
        running.terminate()
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    before = partial.read_text().splitlines()[1:]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{16 - len(before)} of {16 - len(before)} runs" in done.stderr
    assert len(json.loads(out.read_text())["rows"]) == 8
