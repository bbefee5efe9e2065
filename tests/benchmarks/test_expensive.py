"""The benchmark of expensive calculators: priors that mislead, methods and tables."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.fd import calculate_numerical_forces
from commands import ROOT, alloy, call

from benchmarks.common.provenance import RESULTS
from benchmarks.expensive import parts, runs
from benchmarks.expensive.__main__ import main, measure
from benchmarks.expensive.bad import BAD, Morse, failing, noisy, tenfold
from benchmarks.expensive.calculators import chgnet_r2scan, espresso
from benchmarks.expensive.methods import begun, check, peers_of
from benchmarks.expensive.parts import PARTS, chosen_parts
from benchmarks.expensive.results import compared, complete, mean_calls
from benchmarks.expensive.runs import Key, Task, run_task
from benchmarks.expensive.tables import as_markdown
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.statistics import capped_calls
from relax.calculators.registry import load

needs_espresso = pytest.mark.skipif(
    shutil.which("pw.x") is None, reason="Quantum ESPRESSO is not installed, there is no pw.x"
)
MEASURED = sorted(path.stem.removeprefix("expensive_") for path in RESULTS.glob("expensive_*.json"))


def test_forces_of_morse_pairs_are_the_slope_of_their_energy():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=1)
    atoms.calc = Morse()
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, 1e-4), atol=1e-5)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0.0, atol=1e-10)


def test_what_misleads_is_what_it_says():
    given = {"energy": 2.0, "forces": np.ones((2, 3))}
    assert tenfold(given, 1)["energy"] == 20.0
    np.testing.assert_array_equal(tenfold(given, 1)["forces"], 10.0)
    first, second = (noisy(given, call)["forces"] for call in (1, 2))
    assert 0.01 < np.abs(first - second).max() < 1.0
    assert failing(given, 30) is given
    with pytest.raises(RuntimeError):
        failing(given, 31)
    assert len(BAD) == 5


def test_only_what_is_relaxed_first_begins_elsewhere():
    pytest.importorskip("tblite")
    water = molecule("H2O")
    for method in ("direct:default", "prior:gfn1"):
        np.testing.assert_array_equal(begun(method, water, PARTS["gfn"]).positions, water.positions)
    assert np.abs(begun("pre:default", water, PARTS["gfn"]).positions - water.positions).max() > 1e-3
    assert peers_of(["direct:default", "pre:default", "pre:sella", "prior:gfn1"]) == ["default", "sella"]


def test_the_cell_is_relaxed_first_where_it_relaxes():
    copper = bulk("Cu", a=3.8)
    part = replace(PARTS["dft-crystals"], cheap="emt")
    np.testing.assert_array_equal(begun("pre:default", copper, part).cell, copper.cell)
    free = begun("pre:default", copper, replace(part, system=System.CRYSTALS))
    assert free.cell.lengths()[0] * 2**0.5 == pytest.approx(3.589, abs=0.01)  # of EMT


def test_a_word_before_a_hyphen_is_several_parts():
    assert chosen_parts(["mlip-mace", "dft"]) == [
        "mlip-mace", "dft-molecules", "dft-example", "dft-crystals", "dft-crystals-cell"
    ]  # fmt: skip
    assert chosen_parts([]) == list(PARTS)
    done = call(main, "--part", "gnf")
    assert done.exit_code == 2
    assert "there is no part 'gnf'" in done.stderr


@pytest.mark.parametrize(
    ("method", "part", "says"),
    [
        ("pre:sella", "dft-crystals-cell", "there is no optimizer 'sella'"),
        ("pre:defualt", "gfn", "did you mean 'default'"),
        ("default", "gfn", "there is no method 'default'; write direct:NAME"),
        ("prior:gfn3", "gfn", "unknown calculator 'gfn3'"),
    ],
)
def test_a_method_that_cannot_be_is_refused(method, part, says):
    check("pre:sella", PARTS["gfn"])
    check("prior:noisy", PARTS["bad"])
    with pytest.raises(ValueError, match=says):
        check(method, PARTS[part])


def test_draws_are_one_structure_moved_a_little(monkeypatch):
    part = replace(PARTS["mlip-r2scan"], structures=lambda: {"a": alloy(), "b": bulk("Cu")}, draws=3)
    starts = part.starts()
    assert list(starts) == ["a#0", "a#1", "a#2", "b#0", "b#1", "b#2"]
    moved = [np.abs(starts[f"a#{i}"].positions - alloy().positions).max() for i in range(3)]
    assert min(moved) > 0
    assert max(moved) < 0.01
    assert len(set(moved)) == 3


def test_calls_are_means_over_the_draws_and_failures_count_as_the_cap():
    head = {"cap": 50, "draws": 2, "atoms": [1, 1, 1, 1]}
    row = {"calls": [4, 6, 9, 10], "status": ["converged"] * 3 + ["error"], "energy": [0.0] * 4}
    other = row | {"calls": [2, 3, 40, 41], "status": ["converged"] * 4}
    np.testing.assert_array_equal(mean_calls(row, head), [5.0, 29.5])
    found = compared(row, other, head)
    assert found["calls"] == pytest.approx(34.5 / 43.0, abs=1e-4)
    assert found["worse"] == 1  # 5 against 2.5
    assert found["no_higher"] == [3, 4]


def test_direct_methods_are_put_beside_kriging_alone():
    def row(method, calls, energy):
        many = {"status": ["converged"] * 2, "seconds_calculator": [1.0, 1.0], "seconds_outside": [1.0, 1.0]}
        raw = {"parameters": "", "versions": {}, "bonds": ["kept"] * 2, "reasons": {}}
        return {"optimizer": method, "fmax": 0.01, "calls": calls, "energy": energy} | many | raw

    head = {"cap": 50, "draws": 1, "atoms": [2, 2], "part": "gfn", "names": "", "structures": ["a", "b"]}
    rows = [
        row("prior:gfn1", [3, 3], [-1.0, -1.0]),
        row("direct:kriging", [10, 10], [-1.0, -1.0]),
        row("direct:default", [20, 5], [-1.0, -2.0]),
        row("pre:default", [9, 9], [-1.0, -1.0]),
    ]
    found = {row["optimizer"]: row for row in complete(head, rows)["rows"]}
    assert found["direct:default"]["alone"] == {"calls": 0.8, "worse": 1, "no_higher": [1, 2]}
    assert [name for name in found if "alone" in found[name]] == ["direct:default"]
    assert [name for name in found if "ours" in found[name]] == [row["optimizer"] for row in rows[1:]]


@pytest.mark.parametrize(
    ("part", "fewest", "most"),
    [
        pytest.param("mlip-mace", 30, 8, marks=pytest.mark.slow),
        pytest.param("mlip-r2scan", 30, 4, marks=pytest.mark.slow),
        ("dft-crystals", 5, 6),
    ],
)
def test_crystals_are_the_same_every_time_and_small(part, fewest, most):
    first, again = PARTS[part].structures(), PARTS[part].structures()
    assert len(first) >= fewest
    for key, atoms in first.items():
        assert len(atoms) <= most
        np.testing.assert_array_equal(atoms.positions, again[key].positions)


def test_a_part_is_skipped_where_its_calculator_is_missing(monkeypatch):
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "pyscf"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "pyscf", None)
    done = call(main, "--part", "dft-molecules")
    assert done.exit_code == 2
    assert done.stderr == (
        "expensive: dft-molecules is skipped: pyscf is not installed, which pyscf needs: "
        'pip install "relax[pyscf]"\n'
    )
    assert done.stdout == ""


def test_without_quantum_espresso_the_reason_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    why = PARTS["dft-crystals"].missing()
    assert "there is no pw.x" in why
    assert "setup_dft.sh" in why
    assert "\n" not in why


def test_rows_that_are_there_are_not_made_again(monkeypatch, tmp_path):
    made = []

    def in_this_process(run, tasks, *_):
        made.append(len(tasks))
        yield from map(run, tasks)

    monkeypatch.setattr("benchmarks.expensive.__main__.processes.in_processes", in_this_process)
    emt = replace(PARTS["mlip-mace"], calculator="emt", structures=lambda: {"CuAu": alloy()})
    monkeypatch.setitem(PARTS, "mlip-mace", emt)
    methods, path = ["direct:default", "direct:kriging"], tmp_path / "expensive.json"
    first = measure("mlip-mace", methods, [], path, 1, True)
    assert measure("mlip-mace", methods, [], path, 1, True) == first
    assert made == [2, 0]


@pytest.mark.parametrize("option", ["--json", "--table"])
def test_a_file_in_place_of_a_folder_is_refused(option, tmp_path):
    (tmp_path / "there").write_text("")
    result = call(main, "--part", "bad", option, tmp_path / "there")
    assert result.exit_code == 2
    assert "is a file" in " ".join(result.output.replace("│", " ").split())
    assert (tmp_path / "there").read_text() == ""


def end_of(part: str, method: str, atoms: Atoms) -> runs.End:
    key, end = run_task(Task(Key(method, "it"), part, atoms))
    assert key == Key(method, "it")
    return end


@pytest.mark.slow
@pytest.mark.parametrize("part", ["mlip-mace", "mlip-mace-cell"])
def test_a_crystal_ends_in_one_minimum_by_every_method(part, monkeypatch):
    monkeypatch.chdir(ROOT)
    ends = {name: end_of(part, name, alloy()) for name in ("prior:chgnet", *PARTS[part].methods[1:3])}
    assert {end.status for end in ends.values()} == {"converged"}
    energies = [end.energy for end in ends.values()]
    assert np.ptp(energies) < 1e-3
    assert {end.bonds for end in ends.values()} == {""}


@pytest.mark.slow
def test_the_weights_for_r2scan_are_others():
    atoms, other = alloy(), alloy()
    atoms.calc, other.calc = chgnet_r2scan(), load("chgnet")
    assert abs(atoms.get_potential_energy() - other.get_potential_energy()) > 0.1


@pytest.mark.slow
def test_a_molecule_of_density_functional_theory_needs_fewer_calls_with_a_prior():
    pytest.importorskip("pyscf")
    pytest.importorskip("tblite")
    start = molecule("H2O")
    start.rattle(0.05, seed=1)
    direct, ours = (end_of("dft-molecules", name, start) for name in ("direct:default", "prior:gfn2"))
    assert direct.status == ours.status == "converged"
    assert direct.bonds == ours.bonds == "kept"
    assert ours.calls < direct.calls
    assert abs(direct.energy - ours.energy) < 1e-3


@needs_espresso
@pytest.mark.slow
def test_quantum_espresso_has_forces_and_stress_that_are_slopes_of_its_energy():
    atoms = parts.PARTS["dft-crystals"].structures()["SiGe"]
    atoms.calc = espresso()
    forces, stress, volume = atoms.get_forces(), atoms.get_stress(voigt=False), atoms.get_volume()

    def energy(change):
        moved = atoms.copy()
        moved.calc = atoms.calc
        change(moved)
        return moved.get_potential_energy()

    def along(amount):
        return lambda moved: moved.positions.__setitem__((0, 0), moved.positions[0, 0] + amount)

    def larger(amount):
        return lambda moved: moved.set_cell(moved.cell * (1 + amount), scale_atoms=True)

    slope = (energy(along(0.003)) - energy(along(-0.003))) / 0.006
    assert slope == pytest.approx(-forces[0, 0], abs=2e-3)
    slope = (energy(larger(0.0015)) - energy(larger(-0.0015))) / 0.003
    assert slope == pytest.approx(np.trace(stress) * volume, abs=2e-2)


@pytest.mark.parametrize("part", MEASURED)
def test_the_table_is_that_of_the_file(part):
    results = json.loads((RESULTS / f"expensive_{part}.json").read_text())
    assert as_markdown(results) == (RESULTS / f"expensive_{part}.md").read_text()
    for row in results["rows"]:
        assert row["mean"] == pytest.approx(capped_calls(row, results["cap"]).mean(), abs=1e-3)
