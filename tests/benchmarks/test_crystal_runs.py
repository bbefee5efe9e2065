"""Runs of optimizers on crystals, and the crystals they start from."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE, BFGSLineSearch
from ase.units import GPa
from commands import ROOT, alloy

from benchmarks.common.structures import bare
from benchmarks.crystals import runs, starts
from benchmarks.crystals.__main__ import prepare
from benchmarks.crystals.results import OPTIMIZERS, Protocol, header
from benchmarks.crystals.runs import End, Group, group_of, run
from benchmarks.crystals.starts import Source, known_elements
from benchmarks.crystals.wbm import read_ids, read_references, read_wbm
from relax import CoReRelax
from relax.analysis.comparison.minimizers.names import System, known_optimizers
from relax.analysis.comparison.runs.call_counter import CallCounter
from relax.analysis.comparison.starts import rattled
from relax.calculators.registry import load

COPPER = bulk("Cu", a=3.8)

pytestmark = pytest.mark.slow


def ended(name: str, start: Atoms, calculator: Calculator | None = None, cap: int = 200) -> End:
    return run(name, start, group_of(start), calculator or EMT(), 0.05, cap)


class Counting(EMT):
    """EMT that counts its calls."""

    count = 0

    def calculate(self, *args, **kwargs):
        self.count += 1
        super().calculate(*args, **kwargs)


class Toy(Calculator):
    """Constant forces (eV/A) and a hydrostatic stress (eV/A^3)."""

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
    assert ended("core:metric=true", alloy()).calls == optimizer.result.force_calls


def test_a_geometry_is_one_call_however_many_properties_are_calculated():
    class OnlyWhatIsAsked(Toy):
        """Computes only what it is asked for."""

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            before = {} if system_changes else self.results
            super().calculate(atoms, properties, system_changes)
            self.results = before | {name: self.results[name] for name in properties}

    calculator, atoms = OnlyWhatIsAsked(), COPPER.copy()
    atoms.calc = counter = CallCounter(calculator, COPPER, 10)
    for _ in range(2):
        atoms.get_forces(), atoms.get_stress(), atoms.get_potential_energy()
    assert (counter.calls, calculator.asked) == (1, 3)
    atoms.rattle(0.1)
    atoms.get_stress()
    assert counter.calls == 2


@pytest.mark.parametrize("name", OPTIMIZERS)
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
def test_all_stop_by_the_criterion_of_the_filter(name):
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


def test_runs_do_not_depend_on_earlier_ones():
    calculator = EMT()
    runs = [ended("core", atoms, calculator) for atoms in (alloy(), COPPER, alloy())]
    fresh = ended("core", alloy())
    for end in (runs[0], runs[2]):
        assert (end.calls, end.energy, end.smax) == (fresh.calls, fresh.energy, fresh.smax)


def test_the_last_evaluated_structure_counts_when_the_cap_is_reached():
    """A line search may have moved the atoms to a geometry without a force call."""
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


def test_overlapping_atoms_are_a_collapse(monkeypatch):
    class Squeeze(FIRE):
        def run(self, fmax, steps):
            self.atoms.atoms.positions[1] = [0.2, 0, 0]
            return True

    monkeypatch.setattr(runs, "make_optimizer", lambda name, atoms, _: Squeeze(FrechetCellFilter(atoms)))
    end = ended("ase:FIRE", alloy(), Toy())
    assert end.status == "collapsed"
    assert "covalent radii" in end.reason


def test_the_status_does_not_depend_on_what_the_optimizer_reports(monkeypatch):
    class SaysConverged(FIRE):
        def converged(self, *_):
            return True

        gradient_converged = converged

    monkeypatch.setattr(
        runs, "make_optimizer", lambda name, atoms, _: SaysConverged(FrechetCellFilter(atoms), logfile=None)
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


@pytest.mark.parametrize("name", known_optimizers(System.CRYSTALS))
def test_every_name_runs(name):
    assert ended(name, COPPER, cap=2).calls <= 2


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


def test_crystals_have_unique_names_and_no_other_information():
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

    monkeypatch.setattr(starts, "wbm_like", few)
    made, elements = prepare(Source(wbm_like=1), 7, "emt")
    assert asked == [(1, 7, Source.largest, 2, elements)]
    assert "Pt" in elements
    assert "Pt" in capsys.readouterr().err
    results = header(made, Protocol("--wbm-like 1", "emt", 0.05, 9, 7, elements))
    assert results["elements"] == elements


def test_crystals_like_those_of_wbm_have_no_other_elements():
    made = Source(wbm_like=3, largest=4).read(1, ["Cu", "Au", "Al", "Ni", "Pd"])
    assert len(made) == 3
    assert all({*atoms.symbols} <= {"Cu", "Au", "Al", "Ni", "Pd"} for atoms in made)


def test_structures_that_are_not_supported_are_rejected():
    for atoms, message in (
        (bulk("Si"), "EMT does not know the element"),
        (Atoms("Cu"), "is no crystal"),
    ):
        with pytest.raises(ValueError, match=message):
            starts.check_crystals(bare([atoms]), EMT())


# The WBM set


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
def test_other_files_than_wbm_are_rejected(tmp_path, content):
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
