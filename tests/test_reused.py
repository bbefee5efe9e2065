"""The model Hessian of a large structure, which is used again until an atom has gone some way."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read, write

import relax.preconditioner.model_hessian as module
from relax import InternalLBFGSRelax, relax
from relax.preconditioner.internal.curved import Curved
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.model_hessian import Latest, ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness

MODEL = InternalStiffness()
RULES = [("internal-lbfgs", {}), ("pair-lbfgs", {}), ("core", {"metric": True})]


@pytest.fixture(autouse=True)
def three_rows_are_many(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 3)
    monkeypatch.setattr(module, "NEARER", 1.0)  # of few rows the longest one is most of the mean


@pytest.fixture
def built(monkeypatch):
    """Return a list that gets an entry for each place at which springs are looked for."""
    found, own = [], SpringNetwork.springs.func

    def springs(network):
        found.append(network.x)
        return own(network)

    monkeypatch.setattr(SpringNetwork.springs, "func", springs)
    return found


def copper(seed=0, stdev=0.1):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(stdev, seed=seed)
    atoms.calc = EMT()
    return atoms


def covered(seed=0):
    """Return a slab with a molecule, which has internal coordinates."""
    atoms = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    add_adsorbate(atoms, molecule("CH3OH"), 2.5, "ontop", mol_index=1)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    return atoms


STRUCTURES = {"metal": copper, "molecule on a metal": covered}


def model(atoms, latest=None, kept=None):
    x, cell = atoms.positions.copy(), atoms.cell.array.copy()
    network = SpringNetwork(atoms.numbers, x, cell, atoms.pbc, MODEL, None, kept)
    return ModelHessian([network], MODEL, latest)


def rows_like(atoms, length, seed=1):
    """Return rows of which the longest has the ``length``."""
    rows = np.random.default_rng(seed).normal(size=(len(atoms), 3))
    return rows * (length / np.linalg.norm(rows, axis=1).max())


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=list(STRUCTURES))
def test_it_is_that_of_the_place_where_it_was_built_until_an_atom_is_far_from_there(structure):
    atoms = structure()
    v, start = rows_like(atoms, 1.0), atoms.positions.copy()
    first = model(atoms)
    for length, near in [(0.29, True), (0.31, False)]:
        atoms.positions = start + rows_like(atoms, length, 2)
        here = model(atoms)
        metric, where = here.reused(start, here.x)
        assert np.array_equal(where, start if near else here.x)
        assert np.array_equal(metric.apply(v), (first if near else model(atoms)).apply(v))
        assert np.array_equal(metric.solve(v), (first if near else model(atoms)).solve(v))


@pytest.mark.parametrize(
    ("rows", "length", "near"), [(1, 0.29, True), (1, 0.31, False), (256, 0.04, True), (256, 0.09, False)]
)
def test_many_rows_may_go_less_far_than_one(monkeypatch, rows, length, near):
    monkeypatch.undo()
    monkeypatch.setattr(module, "LARGE", 100)
    atoms = bulk("Cu", cubic=True) * (4, 4, 4)
    here, start = model(atoms), atoms.positions.copy()
    start[:rows] += rows_like(atoms[:rows], length)
    where = here.reused(start, here.x)[1]
    assert np.array_equal(where, start if near else here.x)


@pytest.mark.parametrize(("structure", "farther"), [(copper, 5), (covered, 1)])
def test_a_rough_one_of_metals_serves_farther(monkeypatch, structure, farther):
    monkeypatch.setattr(module, "NEARER", 10.0)
    here = model(structure()).roughened()
    for length, near in [(0.29 * farther, True), (0.31 * farther, False)]:
        start = here.x + rows_like(structure(), length)
        assert np.array_equal(here.reused(start, here.x)[1], start if near else here.x)


@pytest.mark.parametrize("rough_first", [False, True])
def test_what_was_built_is_not_used_for_a_rougher_one(rough_first):
    atoms, latest = copper(), Latest()
    stiffness = InternalStiffness(strongest=1.0)  # which a rougher one does not change
    x, v = atoms.positions, rows_like(atoms, 1.0)
    network = SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, stiffness)
    exact = ModelHessian([network], stiffness, latest)
    order = [exact.roughened(), exact] if rough_first else [exact, exact.roughened()]
    for each in order:
        found, _ = each.reused(x, x)
        assert found.rough == each.rough
        assert np.array_equal(found.half_inverse(v), each.half_inverse(v))


def test_of_a_small_structure_it_is_built_at_each_place(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 4)
    atoms = copper()
    here = model(atoms)
    metric, where = here.reused(atoms.positions + 1e-3, here.x)
    assert metric is here
    assert np.array_equal(where, here.x)


def with_vacancies(atoms):
    """Return atoms of which some have few neighbours."""
    del atoms[[i for i in range(len(atoms)) if i % 3]]
    return atoms


def test_large_structures_of_metals_alone_have_no_bends(monkeypatch):
    metal = with_vacancies(bulk("Cu", cubic=True) * (3, 3, 1))
    assert model(metal).curved is None
    network = SpringNetwork(metal.numbers, metal.positions, metal.cell.array, metal.pbc, PairStiffness())
    springs, v = ModelHessian([network], PairStiffness()), rows_like(metal, 1.0)
    np.testing.assert_allclose(model(metal).apply(v), MODEL.spring * springs.apply(v), rtol=1e-12)
    oxide = metal.copy()
    oxide.numbers[::2] = 8
    assert model(oxide).curved is not None
    monkeypatch.setattr(module, "LARGE", 1000)
    assert model(metal).curved is not None


def test_a_large_metal_in_a_batch_is_as_it_is_alone(monkeypatch):
    metal, molecules = with_vacancies(bulk("Cu", cubic=True) * (3, 3, 1)), covered()
    both = ModelHessian([model(metal).networks[0], model(molecules).networks[0]], MODEL)
    v = np.concatenate([rows_like(metal, 1.0), rows_like(molecules, 1.0)])
    assert np.array_equal(both.apply(v)[: len(metal)], model(metal).apply(v[: len(metal)]))
    assert np.array_equal(both.solve(v)[: len(metal)], model(metal).solve(v[: len(metal)]))


def test_curved_paths_begin_where_the_structure_is():
    """Bonds change by what the step does to first order, at the place where the structure is."""
    atoms = molecule("CH3CH2OH")
    start = atoms.positions.copy()
    i, j = np.nonzero(np.triu(atoms.get_all_distances() < 1.6, 1))
    atoms.positions += rows_like(atoms, 0.15, 3)
    here, dx = model(atoms), rows_like(atoms, 0.3, 4)
    metric, where = here.reused(start, here.x)
    assert np.array_equal(where, start)
    d = atoms.positions[j] - atoms.positions[i]
    r = np.linalg.norm(d, axis=1)
    wanted = ((dx[j] - dx[i]) * d).sum(axis=1) / r

    def error(z):
        return np.abs(np.linalg.norm(d + z[j] - z[i], axis=1) - r - wanted).mean()

    atoms.positions = start
    assert error(metric.retract(dx)) < 0.2 * error(dx)
    assert error(metric.retract(dx)) < 0.5 * error(model(atoms).retract(dx))


def test_what_was_built_is_not_used_for_another_structure_or_constraint():
    atoms, latest = copper(), Latest()
    x, held = atoms.positions, np.tile(np.eye(3), (4, 1, 1))
    first, _ = model(atoms, latest).reused(x, x)
    assert model(atoms, latest).reused(x, x)[0] is first
    held[0] = 0.0
    other, _ = model(atoms, latest, held).reused(x, x)
    assert other is not first
    v = rows_like(atoms, 1.0)
    assert np.array_equal(other.solve(v), model(atoms, None, held).solve(v))
    atoms.set_cell(1.01 * atoms.cell.array)
    assert model(atoms, latest).reused(x, x)[0] is not first


@pytest.mark.parametrize(("rule", "settings"), RULES)
@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=list(STRUCTURES))
def test_a_run_builds_it_less_often_than_it_steps(structure, rule, settings, built):
    result = relax(structure(), rule=rule, fmax=0.01, steps=300, **settings)
    assert result.status == "converged"
    assert 1 <= len(built) < result.steps / 2


def test_in_a_batch_it_is_the_same_as_alone():
    structures, lengths = [covered(1), copper(1), covered(2), copper(2)], [0.2, 0.4, 0.4, 0.2]
    alone = [model(atoms, Latest()) for atoms in structures]
    moved = [rows_like(atoms, length, 5) for atoms, length in zip(structures, lengths, strict=True)]
    batch = ModelHessian([one.networks[0] for one in alone], MODEL)
    together, where = batch.reused(batch.x, batch.x + np.concatenate(moved))
    singles = [one.reused(one.x, one.x + dx) for one, dx in zip(alone, moved, strict=True)]
    assert np.array_equal(where, np.concatenate([kept for _, kept in singles]))
    for what in ("apply", "solve", "root", "retract"):
        expected = np.concatenate(
            [getattr(one, what)(0.5 * dx) for (one, _), dx in zip(singles, moved, strict=True)]
        )
        assert np.array_equal(getattr(together, what)(0.5 * np.concatenate(moved)), expected)


def test_what_was_seen_at_other_places_is_used_again(monkeypatch):
    solved, own = [], Curved._solve

    def solve(self, b, rows, whole=None):
        solved.append(len(rows))
        return own(self, b, rows, whole)

    atoms = molecule("CH3CH2OH")
    steps = np.cumsum([rows_like(atoms, 0.02, seed) for seed in range(5)], axis=0)
    x, g = atoms.positions + steps, np.array([rows_like(atoms, 1.0, 9 + seed) for seed in range(5)])
    metric, _ = model(atoms, Latest()).reused(atoms.positions, atoms.positions)
    monkeypatch.setattr(Curved, "_solve", solve)
    for places, count in [([2, 1, 0], 3), ([3, 2, 1, 0], 1), ([4, 3, 2], 1), ([3, 2], 0), ([1, 1], 1)]:
        solved.clear()
        here = metric.seen_from(x[places[0]])
        found = here.transport(x[places], g[places])
        assert sum(solved) == count
        anew = ModelHessian(here.networks, MODEL).seen_from(x[places[0]])
        expected = anew.transport(x[places], g[places])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=list(STRUCTURES))
def test_a_restarted_path_is_the_same(structure, tmp_path):
    paths = []
    for parts in ([9], [5, 4]):
        atoms, state, path = structure(), tmp_path / f"{len(parts)}.json", []
        for steps in parts:
            opt = InternalLBFGSRelax(atoms, logfile=None, restart=state)
            opt.attach(lambda atoms=atoms, path=path: path.append(atoms.positions.copy()))
            opt.run(fmax=1e-9, steps=steps)
            write(tmp_path / "last.traj", atoms)
            atoms = read(tmp_path / "last.traj")
            atoms.calc = EMT()
        paths.append(path)
    through, taken_up = paths
    assert len(through) == 10
    np.testing.assert_allclose(through, taken_up[:6] + taken_up[7:], rtol=0, atol=1e-12)  # EMT rounds


def test_a_constraint_that_comes_later_counts(built):
    atoms = copper()
    opt = InternalLBFGSRelax(atoms, logfile=None)
    opt.run(fmax=1e-9, steps=2)
    before = len(built)
    atoms.set_constraint(FixAtoms([0]))
    fixed = atoms.positions[0].copy()
    opt.run(fmax=1e-4, steps=100)
    assert np.array_equal(atoms.positions[0], fixed)
    assert len(built) > before
