"""Calculations from before the run: which of them fit, and what is learned from them."""

from __future__ import annotations

import itertools
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, Hookean
from ase.filters import FrechetCellFilter
from ase.io import write
from helpers import rotation
from toys import Distances

from relax import relax, relax_many
from relax.calculators.potentials import as_potential
from relax.campaign.campaign import Campaign
from relax.core.errors import UsageError
from relax.core.rule import Point
from relax.core.segments import Segments
from relax.engine.batch.known import KnownCalculations
from relax.engine.entries import Intake
from relax.geometry.cell import GPA
from relax.io.known import known_structures
from relax.optimizers.named import OPTIMIZERS
from relax.rules import Kriging

KrigingRelax = OPTIMIZERS["kriging"]


def computed(atoms: Atoms, calculator) -> Atoms:
    """Return a copy with what a calculator says of it, and no calculator that could say more."""
    copy = atoms.copy()
    copy.calc = calculator
    names = ("energy", "forces", *(["stress"] if atoms.pbc.all() else []))
    found = {name: copy.calc.get_property(name, copy) for name in names}
    copy.calc = SinglePointCalculator(copy, **found)
    return copy


def rattled(atoms: Atoms, by: float, seed: int) -> Atoms:
    copy = atoms.copy()
    copy.rattle(by, seed=seed)
    return copy


def strained(atoms: Atoms, by: float, seed: int) -> Atoms:
    copy = rattled(atoms, by, seed)
    strain = np.random.default_rng(seed).normal(0.0, by / 4, (3, 3))
    copy.set_cell(copy.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    return copy


def water() -> tuple[Atoms, list[Atoms]]:
    """Return a molecule away from its minimum, and calculations on all sides of it."""
    minimum = molecule("H2O")
    calculator = Distances(minimum)
    return rattled(minimum, 0.08, 99), [
        computed(rattled(minimum, 0.06, seed), calculator) for seed in range(6)
    ]


def crystal() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    return atoms


def entry(atoms: Atoms, **intake):
    """Return a structure as it enters."""
    entered = Intake(Kriging(), **intake).accept(0, atoms, as_potential(EMT()))
    return entered.start


def test_the_minimum_is_known_before_the_first_step():
    """Three distances, and six places on all sides of their minimum: one step is there."""
    start, known = water()
    minimum = molecule("H2O").get_all_distances()
    away = []
    for given in (None, known):
        atoms = start.copy()
        atoms.calc = Distances(molecule("H2O"))
        KrigingRelax(atoms, known=given, logfile=None).run(fmax=1e-9, steps=1)
        away.append(np.abs(atoms.get_all_distances() - minimum).max())
    assert away[1] < 0.01
    assert away[1] < 0.1 * away[0]


@pytest.mark.parametrize("cell", [False, True])
def test_what_is_known_saves_calls_and_changes_no_end(cell, tmp_path):
    first, again, learned, batched = crystal(), None, None, None
    first.rattle(0.08, seed=1)
    relax(first, EMT(), "kriging", fmax=0.005, cell=cell, trajectory=str(tmp_path / "first.traj"))
    again, learned, batched = (rattled(first, 0.05, 2) for _ in range(3))
    without = relax(again, EMT(), "kriging", fmax=0.005, cell=cell)
    result = relax(learned, EMT(), known=tmp_path / "first.traj", fmax=0.005, cell=cell)
    (done,) = relax_many([batched], EMT(), known=[tmp_path / "first.traj"], fmax=0.005, cell=cell)
    assert result.converged
    assert result.force_calls <= without.force_calls - 2
    assert learned.get_potential_energy() == pytest.approx(again.get_potential_energy(), abs=1e-4)
    assert np.abs(learned.get_forces()).max() < 0.005
    assert done.result.force_calls == result.force_calls
    np.testing.assert_allclose(done.atoms.positions, learned.positions, atol=1e-12)


def test_structures_of_a_batch_each_know_their_own():
    start, known = water()
    other, ammonia = molecule("CH4"), molecule("NH3")
    other.rattle(0.1, seed=1)
    ammonia.rattle(0.1, seed=1)
    known.append(computed(rattled(molecule("NH3"), 0.1, 2), EMT()))
    together = list(relax_many([start, other, ammonia], EMT(), known=known, fmax=0.02, steps=3, batch_size=3))
    for done, atoms in zip(sorted(together, key=lambda one: one.index), (start, other, ammonia), strict=True):
        alone = atoms.copy()
        result = relax(alone, EMT(), known=known, fmax=0.02, steps=3)
        np.testing.assert_allclose(done.atoms.positions, alone.positions, atol=1e-12)
        assert done.result.force_calls == result.force_calls


def test_what_is_known_is_older_than_the_first_place():
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 7, 3))
    rule, seg = Kriging(memory=4), Segments([3, 4])
    known = rng.normal(size=(2, 6, 3, 3))
    energy = np.zeros((7, 1))
    _, state = rule.update(rule.init(x), Point(x, g, energy, seg, known=[tuple(known), None]))
    np.testing.assert_array_equal(state["xs"][:, 0], x)
    np.testing.assert_array_equal(state["xs"][:3, 1:].swapaxes(0, 1), known[0, :4])
    np.testing.assert_array_equal(state["gs"][:3, 1:].swapaxes(0, 1), known[1, :4])
    np.testing.assert_array_equal(state["before"][:, 0], [4] * 3 + [0] * 4)
    np.testing.assert_array_equal(state["t"], 1.0)
    _, state = rule.update(state, Point(x + 1, g, energy, seg, known=[tuple(known), None]))
    np.testing.assert_array_equal(state["xs"][:3, 2:].swapaxes(0, 1), known[0, :3])


@pytest.mark.parametrize("pressure", [0.0, 5.0])
def test_gradients_of_what_is_known_are_slopes_of_the_enthalpy(pressure):
    """Along the rows from one place to another, which is near, as the calculator itself has the energies."""
    start = strained(crystal(), 0.1, 5)
    two = [strained(crystal(), 0.1, 6) for _ in range(2)]
    two[1] = strained(two[1], 0.004, 7)
    known = [computed(atoms, EMT()) for atoms in two]
    entered = entry(start, cell=True, pressure=pressure)
    KnownCalculations(known, Kriging()).begin(entered)
    for frame in (start.cell.array, start.cell.array @ np.diag([1.02, 0.99, 1.0])):
        x, g = entered.known.seen_from(frame)
        enthalpies = [atoms.get_potential_energy() + pressure * GPA * atoms.get_volume() for atoms in known]
        order = np.argsort([np.abs(x[k] - x[0]).max() for k in range(2)])
        rise = np.sum((x[1] - x[0]) * (g[0] + g[1])) / 2
        assert abs(rise) > 1e-3
        assert sorted(abs(np.diff(enthalpies))) == pytest.approx([abs(rise)], rel=2e-2)
        assert set(order) == {0, 1}


def test_a_molecule_is_moved_and_turned_to_the_structure():
    start, known = water()
    turned = []
    for one in known:
        turn = rotation(3)
        other = Atoms(one.numbers, one.positions @ turn.T + [1.0, 2.0, -7.0])
        forces = one.get_forces() @ turn.T
        other.calc = SinglePointCalculator(other, energy=one.get_potential_energy(), forces=forces)
        turned.append(other)
    seen = []
    for given in (known, turned):
        entered = entry(start)
        KnownCalculations(given, Kriging()).begin(entered)
        seen.append(entered.known.seen_from(start.cell.array))
    np.testing.assert_allclose(*(x for x, _ in seen), atol=1e-9)
    np.testing.assert_allclose(*(g for _, g in seen), atol=1e-9)


@pytest.mark.parametrize("cell", [False, True])
def test_periodic_images_are_unwrapped(cell):
    start = crystal() * (2, 1, 1)
    known = [computed((strained if cell else rattled)(start, 0.1, seed), EMT()) for seed in range(3)]
    wrapped = []
    for one in known:
        other = one.copy()
        other.positions += [0.3, 1.7, 5.5]
        other.wrap()
        other.calc = SinglePointCalculator(other, **one.calc.results)
        assert np.abs(other.positions - one.positions - [0.3, 1.7, 5.5]).max() > 1
        wrapped.append(other)
    seen = []
    for given in (known, wrapped):
        entered = entry(start, cell=cell)
        KnownCalculations(given, Kriging()).begin(entered)
        seen.append(entered.known.seen_from(start.cell.array))
    assert len(seen[0][0]) == 3
    assert np.abs(seen[0][0][:, :8] - start.positions).max() < 1.0
    np.testing.assert_allclose(*(x for x, _ in seen), atol=1e-9)
    np.testing.assert_allclose(*(g for _, g in seen), atol=1e-9)


def changed(**results):
    """Return a calculation of the crystal with other results."""
    atoms = computed(strained(crystal(), 0.05, 3), EMT())
    atoms.calc.results.update(results)
    return atoms


def without_stress():
    atoms = changed()
    del atoms.calc.results["stress"]
    return atoms


def with_vacuum():
    atoms = strained(crystal(), 0.05, 3)
    atoms.pbc = (True, True, False)
    return computed(atoms, EMT())


def turned():
    atoms = strained(crystal(), 0.05, 3)
    atoms.set_cell(atoms.cell.array @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]), scale_atoms=True)
    return computed(atoms, EMT())


def flat():
    atoms = changed()
    atoms.cell[2] = 0.0
    atoms.calc = SinglePointCalculator(atoms, **atoms.calc.results)
    return atoms


def far():
    atoms = strained(crystal(), 0.05, 3)
    atoms.positions[0] += [1.7, 1.7, 1.7]
    return computed(atoms, EMT())


FREE = {"cell": True}
MISFITS = {
    "of other atoms": (lambda: computed(bulk("Cu", cubic=True), EMT()), FREE),
    "in another order": (lambda: changed()[[1, 0, 2, 3]], FREE),
    "of another periodicity": (with_vacuum, FREE),
    "without an energy and forces": (crystal, FREE),
    "without a stress": (without_stress, FREE),
    "with numbers that are not finite": (lambda: changed(forces=np.full((4, 3), np.nan)), FREE),
    "numbers that are not finite": (lambda: changed(energy=np.inf), FREE),
    "in another cell": (changed, {}),
    "far away": (far, FREE),
    "in a cell that is far": (turned, FREE),
    "in a cell that is": (flat, FREE),
    "where constraints, the freedom of the cell or symmetry do not let it go": (changed, {"cell": "x"}),
    "symmetry do not let it go": (changed, {"cell": True, "symmetry": "keep"}),
    "of a place that is known already": (lambda: computed(crystal(), EMT()), FREE),
}


@pytest.mark.parametrize("words", MISFITS)
def test_what_does_not_fit_is_left_out_and_said(words, caplog):
    build, options = MISFITS[words]
    entered = entry(crystal(), **options)
    KnownCalculations([build()], Kriging()).begin(entered)
    assert entered.known is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("0 of 1 known calculations are used for AuCu3; 1 left out: ")
    assert re.search(words, line), line


def test_symmetry_and_constraints_let_some_go():
    symmetric = crystal()
    symmetric.set_cell(symmetric.cell * 1.01, scale_atoms=True)
    entered = entry(crystal(), cell=True, symmetry="keep")
    KnownCalculations([computed(symmetric, EMT()), changed()], Kriging()).begin(entered)
    assert len(entered.known.calculations) == 1
    held = crystal()
    held.set_constraint(FixAtoms([0]))
    moved = [rattled(held, 0.05, seed) for seed in range(2)]
    moved[1].positions[0, 0] += 0.1  # what is held is elsewhere
    moved[1].positions[0, 0] += 0.1
    entered = entry(held)
    KnownCalculations([computed(atoms, EMT()) for atoms in moved], Kriging()).begin(entered)
    x, g = entered.known.seen_from(held.cell.array)
    assert len(x) == 1
    np.testing.assert_array_equal(g[0, 0], 0.0)


def test_the_nearest_are_taken_and_the_lowest_is_named(caplog):
    caplog.set_level(logging.INFO, "relax")
    start = rattled(crystal(), 0.1, 9)
    known = [computed(rattled(start, by, 3), EMT()) for by in (0.01, 0.04, 0.02)]
    known.append(computed(crystal(), EMT()))
    entered = entry(start)
    KnownCalculations(known, Kriging(memory=2)).begin(entered)
    energies = [one.value for one in entered.known.calculations]
    assert energies == pytest.approx([known[k].get_potential_energy() for k in (0, 2)])
    assert "2 of 4 known calculations" in caplog.text
    assert "2 left out: farther than those for which there is room" in caplog.text
    assert f"the lowest of them has {known[3].get_potential_energy():.6f} eV" in caplog.text
    np.testing.assert_array_equal(entered.atoms.positions, start.positions)


@pytest.mark.parametrize("case", ["large", "hessian", "constraint"])
def test_structures_without_a_model_know_nothing(case, caplog):
    atoms, options = bulk("Cu", cubic=True) * (3, 3, 4), {}
    if case != "large":
        atoms = crystal()
    if case == "hessian":
        options["hessian"] = [np.eye(12)]
    if case == "constraint":
        atoms.set_constraint(Hookean(0, 1, rt=2.0, k=1.0))
    entered = entry(atoms, **options)
    KnownCalculations([computed(rattled(atoms, 0.02, 1), EMT())], Kriging()).begin(entered)
    assert entered.known is None
    assert "known calculations are left out" in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_known_beside_a_prior(fails, caplog):
    """Where the cheap calculator fails, the expensive one has been in vain, and the run goes on."""
    minimum, (start, known) = molecule("H2O"), water()
    cheap = Distances(minimum)
    cheap.r0 = cheap.r0 * 1.03
    own = cheap.calculate
    places = [np.round(one.get_all_distances(), 3) for one in known]

    def calculate(atoms, *more):
        own(atoms, *more)
        if fails and any(np.array_equal(np.round(atoms.get_all_distances(), 3), place) for place in places):
            raise RuntimeError("not here")

    cheap.calculate = calculate
    calls, starts = {"without": 0, "with": 0}, [rattled(start, 0.05, seed) for seed in range(5)]
    for (name, given), atoms in itertools.product({"without": None, "with": known}.items(), starts):
        atoms = atoms.copy()
        atoms.calc = Distances(minimum)
        result = relax(atoms, prior=cheap, rule="kriging", fmax=0.002, known=given)
        assert result.converged
        np.testing.assert_allclose(atoms.get_all_distances(), minimum.get_all_distances(), atol=2e-4)
        calls[name] += result.force_calls
    assert calls["with"] < calls["without"] or fails
    in_vain = len(starts) * len(known) if fails else 0
    assert caplog.text.count("the prior fails: RuntimeError: not here") == in_vain


def test_calculations_by_another_calculator_are_forgotten():
    """They have a minimum of their own, 0.04 A away in each distance, and say so on all sides of it."""
    start, _ = water()
    minimum = molecule("H2O")
    other = Distances(minimum)
    other.r0 = other.r0 + 0.04
    known = [computed(rattled(minimum, 0.06, seed), other) for seed in range(6)]
    calls = []
    for given in (None, known):
        atoms = start.copy()
        atoms.calc = Distances(minimum)
        opt = KrigingRelax(atoms, known=given, logfile=None)
        opt.run(fmax=0.01)
        assert opt.result.converged
        np.testing.assert_allclose(atoms.get_all_distances(), minimum.get_all_distances(), atol=1e-3)
        calls.append(opt.result.force_calls)
    assert calls[1] <= calls[0] + 2
    state = opt.engine.state
    while "before" not in state:
        state = state["rule"]
    assert not state["before"].any()


# What is no calculation


FILES = {
    "nowhere.traj": "there is no such file",
    "bytes.traj": "cannot be read",
    "plain.extxyz": "no structure has an energy and forces; give what",
    "nothing.extxyz": "the file is empty",
}


def write_files() -> None:
    """Write structures, a good calculation of one of them, and what is none."""
    write("start.extxyz", rattled(crystal(), 0.05, 1))
    write("silver.extxyz", rattled(bulk("Ag", cubic=True), 0.05, 1))
    write("good.traj", [computed(rattled(crystal(), 0.05, seed), EMT()) for seed in (2, 3)])
    write("plain.extxyz", crystal())
    Path("bytes.traj").write_bytes(bytes(range(200)))
    Path("nothing.extxyz").touch()


@pytest.mark.parametrize("file", FILES)
def test_files_that_are_no_calculations(file, relax):
    write_files()
    before = set(Path().iterdir())
    for command in (
        ["run", "start.extxyz", "-o", "out.extxyz"],
        ["campaign", "init", "made", "start.extxyz"],
    ):
        code, _, errors = relax(*command, "-c", "emt", "--known", "good.traj", "--known", file)
        assert code == 2
        (line,) = errors
        assert line.startswith(f"relax: known calculations: {file}: ")
        assert FILES[file] in line
    assert set(Path().iterdir()) == before
    with pytest.raises(UsageError, match=FILES[file]):
        next(relax_many([crystal()], EMT(), known=file))
    with pytest.raises(UsageError, match=FILES[file]):
        KrigingRelax(crystal(), known=[file])


def test_a_file_of_calculations_is_not_overwritten(relax):
    write_files()
    before = Path("good.traj").read_bytes()
    words = ("run", "start.extxyz", "-c", "emt", "--known", "good.traj@:", "--trajectory", "good.traj")
    code, _, errors = relax(*words)
    assert (code, errors) == (
        2, ["relax: --trajectory good.traj would overwrite an input file; give another name"],
    )  # fmt: skip
    assert Path("good.traj").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_resumes_may_know_what_was_computed(relax):
    write_files()
    write("second.extxyz", rattled(crystal(), 0.05, 8))
    words = ("run", "start.extxyz", "second.extxyz", "-c", "emt", "-r", "kriging", "-o", "out.extxyz")
    assert relax(*words, "--trajectory", "{name}.traj")[0] == 0
    whole = Path("out.extxyz").read_text()
    lines = whole.splitlines(keepends=True)
    Path("out.extxyz").write_text("".join(lines[: len(lines) // 2]))
    code, _, errors = relax(*words, "--resume", "--known", "second.extxyz.traj")
    assert (code, errors) == (0, [])
    calls = [re.findall(r"relax_force_calls=(\d+)", text) for text in (whole, Path("out.extxyz").read_text())]
    assert calls[0][0] == calls[1][0]
    assert int(calls[1][1]) < int(calls[0][1])


def test_what_has_no_use_for_what_is_known_says_so(relax):
    write_files()
    code, _, errors = relax("run", "start.extxyz", "-c", "emt", "--known", "good.traj", "-r", "fire")
    assert (code, errors) == (
        2, ["relax: --known is for the rule kriging, not for fire; leave out one of them"],
    )  # fmt: skip
    code, out, errors = relax("run", "silver.extxyz", "-c", "emt", "--known", "good.traj", "--json")
    assert code == 0
    assert errors[0] == "relax: silver.extxyz: no known calculation is of these atoms, in this order"
    assert '"rule":"kriging"' in out.replace(" ", "")
    with pytest.raises(ValueError, match="known= is for the rule kriging, not for FIRE"):
        next(relax_many([crystal()], EMT(), "fire", known="good.traj"))
    with pytest.raises(ValueError, match="known= is for plain Atoms"):
        KrigingRelax(FrechetCellFilter(crystal()), known="good.traj")
    for wrong in (3, [3]):
        with pytest.raises(TypeError, match="give files, or Atoms with energies and forces"):
            known_structures(wrong)
    with pytest.raises(UsageError, match="the structures given: no structure has an energy and forces"):
        known_structures([crystal()])


@pytest.mark.slow
def test_commands_learn_from_what_is_known(relax):
    write_files()
    # Two calculations as far away as the start save a call of most starts, and none of this one.
    write("near.traj", [computed(rattled(crystal(), 0.02, seed), EMT()) for seed in (2, 3, 4, 5)])
    calls = {}
    for words in ((), ("--known", "near.traj", "--known", "near.traj@0")):
        code, out, _ = relax(
            "run", "start.extxyz", "-c", "emt", "-r", "kriging", "--fmax", "0.003", "--json", *words
        )
        assert code == 0
        calls[words] = json.loads(out)["force_calls"]
    assert min(calls, key=calls.get) != ()
    words = ("-c", "emt", "-r", "kriging", "--fmax", "0.003", "--known", "near.traj")
    assert relax("campaign", "init", "made", "start.extxyz", *words)[0] == 0
    assert relax("campaign", "run", "made", "--workers", "1")[0] == 0
    with Campaign("made") as campaign:
        (found,) = campaign.results()
    assert found.status == "converged"
    assert found.found["force_calls"] == min(calls.values())
    with pytest.raises(UsageError, match="a campaign needs the files of known calculations, not a Atoms"):
        Campaign.create("other", [crystal()], "emt", known=[crystal()])
