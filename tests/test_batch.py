"""A batch against the same structures one by one: paths, counts, verdicts, whatever else is in the batch."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import (
    FixAtoms,
    FixBondLength,
    FixBondLengths,
    FixCartesian,
    FixedLine,
    FixedPlane,
    FixInternals,
    FixScaled,
    Hookean,
)
from toys import CountedEMT

from relax.calculators import Evaluation, as_potential
from relax.calculators.batch_size import Budget
from relax.core.errors import OutOfMemory
from relax.core.rule import Rule
from relax.engine.api import relax_many
from relax.geometry.cell import CellFreedom
from relax.geometry.sanity import Integrity, Shape
from relax.optimizers.base import RuleOptimizer
from relax.optimizers.named import OPTIMIZERS
from relax.rules import RULES
from relax.rules.adaptive_base import per_row

SAME = 1e-9
"""How far (A, eV) a batch may be from the runs one by one, whose sums are in another order."""


def metal(symbol="Cu", n=1, rattle=0.08, strain=0.03, seed=0):
    """Return a rattled and strained cubic cell of a metal, ``n`` times as long as wide."""
    atoms = bulk(symbol, cubic=True) * (n, 1, 1)
    atoms.rattle(rattle, seed=seed)
    sheared = np.eye(3) + strain * np.random.default_rng(seed).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ sheared, scale_atoms=True)
    return atoms


def metals():
    return [metal(s, n, seed=k) for k, (s, n) in enumerate([("Cu", 1), ("Ni", 2), ("Al", 1), ("Pd", 1)])]


def cold(n=13, seed=0):
    """Return a random cluster of ``n`` atoms for Lennard-Jones in reduced units."""
    rng = np.random.default_rng(seed)
    spots = rng.permutation(np.argwhere(np.ones((3, 3, 3))))[:n] * 1.1
    return Atoms(f"Ar{n}", spots + rng.normal(0, 0.05, (n, 3)))


def argon(n=4, seed=0, size=1.7):
    """Return a rattled cubic cell for Lennard-Jones in reduced units."""
    atoms = bulk("Ar", "fcc", a=size, cubic=True)[:n]
    atoms.rattle(0.05, seed=seed)
    return atoms


def reduced():
    return LennardJones(sigma=1.0, epsilon=1.0, rc=3.0, ro=2.0, smooth=True)


def alone(atoms, calculator, rule, *, cell=False, on_bad="stop", options=None, **criteria):
    """Relax one structure with an optimizer; return it and the verdict."""
    atoms = atoms.copy()
    atoms.calc = calculator
    optimizer = OPTIMIZERS[rule](atoms, logfile=None, cell=cell, on_bad=on_bad, **(options or {}))
    optimizer.run(**criteria)
    return atoms, optimizer.result


def together(structures, potential, rule, **kwargs):
    """Relax structures in a batch; return what came out in the order of input."""
    return sorted(relax_many(structures, potential, rule, **kwargs), key=lambda done: done.index)


def numbers(result):
    """Return what of a verdict does not depend on the clock."""
    return {k: v for k, v in dataclasses.asdict(result).items() if k != "wall_time"}


def assert_same(done, atoms, result, held=True):
    """Assert that a structure from a batch is the one that was relaxed alone, with the same verdict."""
    assert done.atoms.positions == pytest.approx(atoms.positions, abs=SAME)
    assert done.atoms.cell.array == pytest.approx(atoms.cell.array, abs=SAME)
    mine, theirs = numbers(done.result), numbers(result)
    for name, value in theirs.items():
        if name == "smax" and held and np.isnan(mine[name]):
            continue  # the stress of a fixed cell is reported where it costs nothing
        if name == "reason" and held and np.isnan(mine["smax"]):
            value = re.sub(r", stress \S+ GPa", "", value)
        if isinstance(value, float):
            assert mine[name] == pytest.approx(value, rel=1e-6, abs=1e-7, nan_ok=True), name
        elif isinstance(value, np.ndarray):
            assert mine[name] == pytest.approx(value, abs=1e-5), name
        else:
            assert mine[name] == value, name


# --------------------------------------------------------------------------------------------------
# The same path


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_a_batch_takes_the_steps_of_single_runs(rule, cell):
    options = {"fmax": 0.02, "steps": 12, "cell": cell}
    batch = together(metals(), EMT(), rule, budget=10, **options)
    for done, atoms in zip(batch, metals(), strict=True):
        assert_same(done, *alone(atoms, EMT(), rule, **options), held=not cell)


@pytest.mark.parametrize("rule", ["fire", "core", "frankenstein", "lbfgs"])
def test_a_batch_ends_where_single_runs_end(rule):
    options = {"fmax": 0.01, "steps": 200, "cell": True}
    batch = together(metals(), EMT(), rule, **options)
    for done, atoms in zip(batch, metals(), strict=True):
        assert done.result.converged
        assert_same(done, *alone(atoms, EMT(), rule, **options), held=False)


FREEDOMS = {
    "pressure": CellFreedom(pressure=8.0),
    "hydrostatic": CellFreedom(hydrostatic=True),
    "constant volume": CellFreedom(constant_volume=True),
    "mask": CellFreedom(mask=[True, True, False, False, False, True]),
    "small steps": CellFreedom(max_strain=0.002),
    "rebased": CellFreedom(rebase=0.02),
    "length": CellFreedom(length=5.0),
}


@pytest.mark.parametrize("name", FREEDOMS)
def test_cells_have_the_freedom_they_are_given(name):
    options = {"fmax": 0.02, "steps": 30, "cell": FREEDOMS[name]}
    batch = together(metals(), EMT(), "lbfgs", budget=10, **options)
    for done, atoms in zip(batch, metals(), strict=True):
        assert_same(done, *alone(atoms, EMT(), "lbfgs", **options), held=False)


def test_slabs_wires_molecules_and_crystals_share_a_batch():
    slab, wire = fcc111("Al", (2, 1, 2), vacuum=6.0), bulk("Cu", cubic=True)
    wire.center(vacuum=5.0, axis=(1, 2))
    wire.pbc = [True, False, False]
    structures = [slab, molecule("H2O"), metal(), wire]
    for k, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=k)

    def cell(atoms):
        return bool(atoms.pbc.any())

    batch = together(structures, EMT(), "core", fmax=0.02, steps=25, cell=cell)
    for done, atoms in zip(batch, structures, strict=True):
        held = not cell(atoms)
        single = alone(atoms, EMT(), "core", fmax=0.02, steps=25, cell=not held)
        assert_same(done, *single, held=held)


@pytest.mark.parametrize("options", [{"symmetry": "keep"}, {"rattle": 0.03, "seed": 4}])
def test_symmetry_and_rattle_are_those_of_single_runs(options):
    structures = [bulk("NiAl", "cesiumchloride", a=3.1), bulk("Cu", cubic=True) * (1, 1, 2)]
    structures[0].set_cell(structures[0].cell * [1.0, 1.0, 1.04], scale_atoms=True)
    batch = together(structures, EMT(), "lbfgs", fmax=0.02, cell=True, **options)
    for done, atoms in zip(batch, structures, strict=True):
        single = alone(atoms, EMT(), "lbfgs", fmax=0.02, cell=True, options=options)
        assert_same(done, *single, held=False)


@pytest.mark.parametrize(
    "criteria",
    [
        {"fmax": 0.3, "smax": 0.2},
        {"fmax": 0.3, "energy_change": 1e-4},
        {"fmax": 0.3, "displacement": 1e-3},
        {"fmax": 0.0, "steps": 0},
    ],
)
def test_criteria_are_those_of_single_runs(criteria):
    batch = together(metals(), EMT(), "core", cell=True, **criteria)
    for done, atoms in zip(batch, metals(), strict=True):
        assert_same(done, *alone(atoms, EMT(), "core", cell=True, **criteria), held=False)


# --------------------------------------------------------------------------------------------------
# Nothing depends on what else is in the batch


def test_numbers_do_not_depend_on_order_size_and_swaps():
    """To the last bit, with a potential of which that is true."""
    structures = [cold(13, seed=k) for k in range(4)] + [argon(4 - k % 2, seed=k) for k in range(4)]

    def cell(atoms):
        return bool(atoms.pbc.any())

    def relaxed(order, budget):
        chosen = [structures[k] for k in order]
        found = together(chosen, reduced(), "lbfgs", fmax=1e-3, steps=300, cell=cell, budget=budget)
        return {
            k: (one.atoms.positions.tobytes(), one.atoms.cell.array.tobytes(), repr(numbers(one.result)))
            for k, one in zip(order, found, strict=True)
        }

    reference = relaxed(range(8), 1000)
    assert all("'converged'" in words for _, _, words in reference.values())
    for order, budget in [
        (range(8), 1000),
        (range(8), 1),
        (range(7, -1, -1), 20),
        ([5, 0, 3, 6, 1, 7, 2, 4], 30),
    ]:
        assert relaxed(order, budget) == reference


def test_as_many_are_taken_as_there_is_room_for():
    taken = 0

    def source():
        nonlocal taken
        for k in range(40):
            taken += 1
            yield cold(4 + k % 5, seed=k)

    most = 0
    for given, _ in enumerate(relax_many(source(), reduced(), "lbfgs", fmax=0.01, budget=30)):
        most = max(most, taken - given)
    assert taken == 40
    # 30 atoms are at most seven structures, one is looked at ahead, and some may wait to be given out.
    assert most <= 16


def test_calls_are_counted_at_the_calculator():
    calculator = CountedEMT()
    batch = together(metals(), calculator, "core", fmax=0.05, cell=True)
    assert sum(done.result.force_calls for done in batch) == calculator.calls


def test_what_was_given_is_left_alone_and_what_comes_out_has_results():
    structures = metals()
    structures[0].info["name"] = "first"
    before = [atoms.copy() for atoms in structures]
    batch = together(structures, EMT(), "lbfgs", fmax=0.02, cell=True, pressure=3.0)
    for done, atoms, old in zip(batch, structures, before, strict=True):
        assert atoms == old
        assert atoms.calc is None
        check = done.atoms.copy()
        check.calc = EMT()
        assert done.atoms.get_potential_energy() == pytest.approx(check.get_potential_energy(), abs=1e-9)
        assert done.atoms.get_forces() == pytest.approx(check.get_forces(), abs=1e-9)
        assert done.atoms.get_stress() == pytest.approx(check.get_stress(), abs=1e-9)
    assert batch[0].atoms.info["name"] == "first"


# --------------------------------------------------------------------------------------------------
# Constraints


CONSTRAINTS = {
    "atoms": ([FixAtoms([0, 2])], True),
    "component": ([FixCartesian([1], [True, False, True])], True),
    "line": ([FixedLine([1, 2], [1, 1, 0])], True),
    "plane": ([FixedPlane([0], [1, 1, 1])], True),
    "scaled": ([FixScaled([1, 3], [True, False, True])], False),
    "all scaled": ([FixScaled([1, 3])], True),
    "several": ([FixAtoms([0]), FixCartesian([1], [True, False, False]), FixedPlane([1], [0, 1, 1])], True),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_are_honoured(name):
    constraints, strained = CONSTRAINTS[name]
    structures = metals()
    structures[1].set_constraint(constraints)
    options = {"fmax": 0.02, "steps": 25, "cell": strained}
    batch = together(structures, EMT(), "core", **options)
    for done, atoms in zip(batch, structures, strict=True):
        assert_same(done, *alone(atoms, EMT(), "core", **options), held=not strained)
    assert [repr(c) for c in batch[1].atoms.constraints] == [repr(c) for c in constraints]


BY_ASE = {
    "bond": lambda: FixBondLength(0, 1),
    "bonds": lambda: FixBondLengths([[0, 1], [0, 2]]),
    "scaled": lambda: FixScaled([0], [True, False, False]),
    "spring": lambda: Hookean(0, 1, k=3.0, rt=2.0),
    "internals": lambda: FixInternals(bonds=[[2.5, [0, 1]]]),
}


@pytest.mark.parametrize("strained", [False, True])
@pytest.mark.parametrize("name", BY_ASE)
def test_constraints_that_ase_applies_are_honoured(name, strained):
    structures = metals()[:2]
    structures[0].set_constraint(BY_ASE[name]())
    options = {"fmax": 0.02, "steps": 12, "cell": strained}
    batch = together(structures, EMT(), "core", **options)
    for done, atoms in zip(batch, structures, strict=True):
        assert_same(done, *alone(atoms, EMT(), "core", **options), held=not strained)
    if name == "bond":
        before, after = (atoms.get_distance(0, 1, mic=True) for atoms in (structures[0], batch[0].atoms))
        assert strained or after == pytest.approx(before, abs=1e-9)


# --------------------------------------------------------------------------------------------------
# Structures that go wrong


def overlapping():
    atoms = metal(seed=9)
    atoms.positions[1] = atoms.positions[0]
    return atoms


def infinite():
    atoms = metal(seed=9)
    atoms.positions[1, 2] = np.inf
    return atoms


class Faulty:
    """A potential, with a deed done to what it says of one structure from its ``at``-th call on.

    The structure is the ``place``-th to enter, from 0; none, if negative.
    """

    def __init__(self, deed, place=1, at=3):
        self.inner, self.deed, self.place, self.at = as_potential(EMT()), deed, place, at
        self.keys = []
        self.unit, self.device, self.batched = "atoms", "cpu", True
        self.calls = 0
        self.inside = set()

    def admit(self, key, atoms):
        self.inside.add(key)
        self.keys.append(key)
        return self.inner.admit(key, atoms)

    def release(self, key):
        self.inside.remove(key)
        self.inner.release(key)

    def evaluate(self, geometry, stress):
        assert self.inside >= set(geometry.keys)
        answer = self.inner.evaluate(geometry, stress)
        key = dict(enumerate(self.keys)).get(self.place)
        if key in geometry.keys:
            self.calls += 1
            if self.calls >= self.at:
                s = geometry.keys.index(key)
                first = int(geometry.lengths[:s].sum())
                self.deed(answer, s, slice(first, first + int(geometry.lengths[s])))
        return answer


def spoil_energy(answer, s, atoms):
    answer.energies[s] = np.nan


def spoil_force(answer, s, atoms):
    answer.forces[atoms.start + 2, 1] = np.inf


def spoil_stress(answer, s, atoms):
    answer.stresses[s, 0, 0] = np.nan


def blame(answer, s, atoms):
    answer.faults[s] = "ValueError: no good"


def throw(answer, s, atoms):
    raise RuntimeError("the model fell over")


CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])


def blow_up(answer, s, atoms):
    answer.energies[s], answer.forces[atoms] = -1e3, 1e4 * CORNERS


def climb(answer, s, atoms):
    answer.energies[s] += 1e3


DEEDS = {
    spoil_energy: ("nonfinite", "the energy is nan eV"),
    spoil_force: ("nonfinite", "the force on row 2 is inf"),
    spoil_stress: ("nonfinite", "a component of the stress is nan"),
    blame: ("calculator_error", "ValueError: no good"),
    throw: ("calculator_error", "RuntimeError: the model fell over"),
    climb: ("uphill", "eV/atom above that of the start"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_one_bad_structure_harms_no_other(deed):
    status, words = DEEDS[deed]
    potential = Faulty(deed)
    batch = together(metals(), potential, "lbfgs", fmax=0.02, cell=True, budget=12)
    clean = together(metals(), EMT(), "lbfgs", fmax=0.02, cell=True)
    assert batch[1].result.status == status
    assert words in batch[1].result.reason
    assert np.isfinite(batch[1].atoms.positions).all()
    assert np.isfinite(batch[1].atoms.get_potential_energy())
    for k in (0, 2, 3):
        assert batch[k].result.converged
        assert batch[k].atoms.positions.tobytes() == clean[k].atoms.positions.tobytes()
    assert not potential.inside


def test_a_structure_that_flies_apart_is_put_back():
    cluster = Atoms("Cu4", 0.95 * CORNERS)
    structures = [metal(), cluster, metal("Al")]
    batch = together(structures, Faulty(blow_up, at=2), "sgd", fmax=0.02, steps=60, maxstep=0.5)
    assert batch[1].result.status == "exploded"
    assert "lost all neighbours" in batch[1].result.reason
    assert Integrity(cluster).fault(Shape.of(batch[1].atoms)) is None


@pytest.mark.parametrize(
    ("make", "status", "words"),
    [
        (overlapping, "collapsed", "at the same place"),
        (infinite, "nonfinite", "not finite"),
        (lambda: bulk("Fe"), "refused", "does not know the element"),
        (Atoms, "refused", "no atoms"),
        (lambda: molecule("H2O"), "refused", "not periodic"),
    ],
)
def test_what_is_no_use_from_the_start_has_its_verdict(make, status, words):
    bad, good = together([make(), metal()], EMT(), "lbfgs", fmax=0.02, cell=True)
    assert bad.result.status == status
    assert words in bad.result.reason
    assert bad.result.force_calls == 0
    assert good.result.converged


def test_going_back_is_that_of_single_runs():
    def once(answer, s, atoms):
        if potential.calls == potential.at:
            spoil_energy(answer, s, atoms)

    class Spoilt(CountedEMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if self.calls == 4:
                self.results["free_energy"] = self.results["energy"] = np.nan

    potential = Faulty(once, place=1, at=4)
    options = {"fmax": 0.02, "cell": True, "on_bad": "backtrack"}
    batch = together(metals(), potential, "lbfgs", **options)
    assert_same(batch[1], *alone(metals()[1], Spoilt(), "lbfgs", **options), held=False)


@dataclasses.dataclass(frozen=True)
class Astray(Rule):
    """Steepest descent whose third step is not a number."""

    def init(self, x):
        return {"t": per_row(x)}

    def update(self, state, point):
        dx = -0.01 * point.g * np.where(state["t"] == 2, np.nan, 1.0)
        return dx, {"t": state["t"] + 1}


@pytest.mark.parametrize("on_bad", ["stop", "backtrack"])
def test_a_step_that_is_no_number_ends_as_in_single_runs(on_bad):
    structures = metals()
    batch = together(structures, EMT(), Astray(), fmax=1e-3, cell=True, on_bad=on_bad)
    for done, atoms in zip(batch, structures, strict=True):
        single = atoms.copy()
        single.calc = EMT()
        optimizer = RuleOptimizer(single, Astray(), logfile=None, cell=True, on_bad=on_bad)
        optimizer.run(fmax=1e-3)
        assert done.result.reason == "the rule's step is not finite"
        assert_same(done, single, optimizer.result, held=False)


def test_time_is_shared_and_may_be_up():
    batch = together(metals(), EMT(), "sgd", fmax=1e-6, timeout=0.0)
    assert {done.result.status for done in batch} == {"timeout"}
    assert {done.result.force_calls for done in batch} == {1}
    assert all(done.result.wall_time > 0 for done in batch)


def test_leaving_early_releases_everything():
    potential = Faulty(blame, place=-1)
    run = relax_many(itertools.cycle(metals()), potential, "lbfgs", fmax=0.05, budget=20)
    next(run)
    assert potential.inside
    run.close()
    assert not potential.inside


def test_an_input_that_breaks_releases_everything():
    def source():
        yield from metals()
        raise OSError("the disk is gone")

    potential = Faulty(blame, place=-1)
    with pytest.raises(OSError, match="the disk is gone"):
        list(relax_many(source(), potential, "lbfgs", fmax=0.05))
    assert not potential.inside


def test_what_makes_no_sense_is_said_at_once():
    with pytest.raises(ValueError, match="unknown rule 'fires'"):
        relax_many([], EMT(), "fires")
    with pytest.raises(TypeError, match="did you mean 's_max'"):
        relax_many([], EMT(), "core", s_maks=0.1)
    with pytest.raises(ValueError, match="on_bad"):
        relax_many([], EMT(), "core", on_bad="raise")
    with pytest.raises(ValueError, match="budget"):
        relax_many([], EMT(), "core", budget=0)
    with pytest.raises(ValueError, match="fmax"):
        relax_many([], EMT(), "core", fmax=-1)
    with pytest.raises(TypeError, match="structure 1 is a str, expected"):
        list(relax_many([metal(), "Cu"], EMT(), "core"))
    assert list(relax_many([], EMT())) == []


def test_a_bar_shows_how_it_goes(monkeypatch):
    said = []
    monkeypatch.setattr("relax.io.progress.Bar.update", lambda bar, *words: said.append(words))
    done = together(metals(), EMT(), "lbfgs", fmax=0.05, progress=True)
    assert len(done) == 4
    assert [(active + ended, ended, left) for active, ended, _, left in said][-1] == (4, 4, 0)
    assert [ended for _, ended, _, _ in said] == [1, 2, 3, 4]
    assert all(rate > 0 for _, _, rate, _ in said)


# --------------------------------------------------------------------------------------------------
# Memory


class Small:
    """A potential on a device with little memory."""

    unit, batched = "atoms", True

    def __init__(self, room, device="cpu"):
        self.inner, self.room, self.device = as_potential(reduced()), room, device
        self.asked = []

    def admit(self, key, atoms):
        return self.inner.admit(key, atoms)

    def release(self, key):
        self.inner.release(key)

    def evaluate(self, geometry, stress) -> Evaluation:
        size = int(geometry.lengths.sum())
        self.asked.append(size)
        if size > self.room:
            raise OutOfMemory(f"{size} atoms do not fit")
        return self.inner.evaluate(geometry, stress)


def test_too_little_memory_loses_no_structure():
    structures = [cold(8, seed=k) for k in range(12)] + [cold(20, seed=1)]
    potential = Small(room=30)
    batch = together(structures, potential, "lbfgs", fmax=0.01, budget=1000)
    clean = together(structures, reduced(), "lbfgs", fmax=0.01)
    for done, reference in zip(batch, clean, strict=True):
        assert repr(numbers(done.result)) == repr(numbers(reference.result))
    assert sum(size > 30 for size in potential.asked) <= 4  # it is not tried again and again


def test_a_structure_too_large_for_memory_says_so():
    large, small = together([cold(20), cold(8)], Small(room=10), "lbfgs", fmax=0.01, budget=1000)
    assert large.result.status == "calculator_error"
    assert "20 atoms do not fit" in large.result.reason
    assert small.result.converged


def test_the_memory_of_a_gpu_is_measured_and_filled():
    budget = Budget(Small(100, device="cuda"), memory=lambda device: (8e9, 2e5 * 100))
    first = budget.limit
    assert np.isfinite(first)
    budget.learn(10, 100.0, 0.1)
    assert budget.limit == pytest.approx(0.8 * 8e9 / 2e5)
    budget.shrink(30_000.0)
    assert budget.limit == 15_000.0
    budget.learn(10, 100.0, 0.1)
    assert budget.limit == 15_000.0


def probed(potential, costs, sizes, rounds=2):
    """Return a budget after some rounds of structures of ``sizes``, and how many were asked together."""
    budget, asked = Budget(potential), []
    assert budget.to_probe
    for _ in range(rounds):
        for chunk in budget.chunks(sizes):
            asked.append(len(chunk))
            budget.learn(len(chunk), sizes[chunk].sum(), costs(len(chunk)))
    return budget, asked


def test_a_probe_takes_the_largest_of_the_fastest():
    costs = {1: 0.10, 2: 0.14, 4: 0.20, 8: 0.41, 16: 0.90}
    potential = Small(1000)
    budget, asked = probed(potential, costs.get, np.full(31, 10.0))
    assert asked == 2 * [1, 2, 4, 8, 16]
    assert budget.limit == 80.0  # 8 at once are hardly slower than 4, and 16 are
    assert not budget.to_probe
    assert [len(chunk) for chunk in budget.chunks(np.full(10, 10.0))] == [8, 2]
    assert not Budget(potential).to_probe
    assert Budget(potential).limit == budget.limit


def test_a_batch_has_several_calls_where_they_are_brief():
    costs = {1: 0.10, 2: 0.14, 4: 0.20, 8: 0.41, 16: 0.90}
    potential = Small(1000)
    brief, _ = probed(potential, lambda n: 1e-3 * costs[n], np.full(31, 10.0))
    assert brief.limit == 80.0
    assert brief.room == pytest.approx(80.0 * 10 / 0.41)  # as many as take 10 ms
    assert Budget(potential).room == brief.room
    long, _ = probed(Small(1000), costs.get, np.full(31, 10.0))
    assert long.room == long.limit == 80.0


def test_a_probe_that_saw_no_end_goes_on():
    budget, asked = probed(Small(1000), lambda n: 0.5, np.full(31, 10.0))
    assert max(asked) == 16
    assert budget.limit == 320.0


def test_a_probe_of_large_structures_stays_small():
    budget, asked = probed(Small(1000), lambda n: 2.0 * n, np.full(16, 10.0))
    assert set(asked) == {1}
    assert budget.limit == 10.0


def test_a_few_structures_are_not_probed():
    budget, asked = probed(Small(1000), lambda n: 0.5, np.full(9, 10.0))
    assert asked == [9, 9]
    assert budget.to_probe


def test_a_probe_is_no_other_path():
    structures = [cold(4 + k % 5, seed=k) for k in range(40)]
    found = together(structures, reduced(), "lbfgs", fmax=0.01)
    fixed = together(structures, reduced(), "lbfgs", fmax=0.01, budget=64)
    for done, reference in zip(found, fixed, strict=True):
        assert repr(numbers(done.result)) == repr(numbers(reference.result))
        assert done.atoms.positions.tobytes() == reference.atoms.positions.tobytes()
