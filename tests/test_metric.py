"""Metrics of pair stiffnesses: against springs written out here, and in runs."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength, FixedPlane, FixScaled
from ase.data import covalent_radii
from ase.filters import Filter, FrechetCellFilter, StrainFilter, UnitCellFilter
from ase.io import read, write
from ase.mep import NEB
from ase.neighborlist import neighbor_list
from helpers import Walk, cluster, morse, rotation
from scipy.sparse import issparse
from toys import ball, copper, fmax_of

from relax.core.rule import Point
from relax.core.segments import Segments
from relax.engine.api import relax_many
from relax.geometry.cell import CellFreedom
from relax.geometry.constraints import constraint_projectors
from relax.optimizers.named import OPTIMIZERS, FIRERelax, InternalLBFGSRelax, LBFGSRelax, PairLBFGSRelax
from relax.preconditioner.base import Frozen, Identity
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.matrices import parts
from relax.preconditioner.matrices.dense import Dense
from relax.preconditioner.matrices.sparse import Sparse
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.springs import KeptPairs, springs
from relax.rules import FIRE, LBFGS, RULES, SGD, InternalLBFGS, Momentum, PairLBFGS
from relax.rules.wrappers import InMetric, MaxStep, for_atoms

# What is asked here must not hang on defaults that follow the benchmarks.
STIFF = PairStiffness(decay=5.0, tangent=0.1, floor=0.2, distances="covalent")
REACH = 1 + math.log(100) / 5.0  # bond lengths at which a spring has a hundredth of a bond's stiffness


def metal(symbol="Cu", n=1, rattle=0.08, strain=0.03, seed=0):
    """Return a rattled and strained cubic cell of a metal, ``n`` times as long as wide."""
    atoms = bulk(symbol, cubic=True) * (n, 1, 1)
    atoms.rattle(rattle, seed=seed)
    sheared = np.eye(3) + strain * np.random.default_rng(seed).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ sheared, scale_atoms=True)
    return atoms


def slab():
    atoms = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    atoms.set_constraint([FixAtoms([0, 1]), FixedPlane([2, 5], (1, 2, 2))])
    atoms.rattle(0.1, seed=2)
    return atoms


def oblique():
    # What a constraint leaves of a step is here no symmetric matrix.
    atoms = bulk("Cu") * (2, 2, 1)
    atoms.set_constraint(FixScaled([0, 3], [True, False, True]))
    atoms.rattle(0.1, seed=3)
    return atoms


def wire():
    atoms = bulk("Ni", cubic=True) * (1, 1, 2)
    atoms.center(vacuum=4.0, axis=(0, 1))
    atoms.pbc = [False, False, True]
    atoms.rattle(0.05, seed=4)
    return atoms


def salt():
    atoms = bulk("NaCl", "rocksalt", a=5.0, cubic=True)
    atoms.rattle(0.1, seed=6)
    return atoms


def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=5)
    return atoms


# Structures, and the length that a strain of one counts as, if the cell relaxes.
CASES = {
    "molecule": (ethanol, None),
    "crystal": (metal, None),
    "crystal and cell": (metal, 3.0),
    "one atom and cell": (lambda: bulk("Cu"), 2.0),
    "wire and cell": (wire, 4.0),
    "salt and cell": (salt, 5.0),
    "held": (slab, None),
    "held in a skew cell": (oblique, None),
    "held, and cell": (slab, 3.5),
}
FREE = [name for name in CASES if not name.startswith("held")]


def body(atoms, scale=None, stiffness=STIFF):
    kept = constraint_projectors(atoms, scale is not None)[1] if atoms.constraints else None
    x = np.concatenate([atoms.positions, np.zeros((0 if scale is None else 3, 3))])
    return SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, stiffness, scale, kept)


def bodies(names=tuple(CASES)):
    return [body(CASES[name][0](), CASES[name][1]) for name in names]


def metric_of(name):
    return ModelHessian(bodies([name]), STIFF)


def matrix(apply, rows):
    """Return the matrix (3R, 3R) of what is done to ``rows`` rows."""
    return np.stack([apply(e.reshape(rows, 3)).ravel() for e in np.eye(3 * rows)], axis=1)


def some_rows(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


# --------------------------------------------------------------------------------------------------
# Springs


def listed(atoms, stiffness=STIFF):
    pairs = KeptPairs(covalent_radii[atoms.numbers], atoms.pbc)
    return springs(atoms.positions, atoms.cell.array * atoms.pbc[:, None], pairs, stiffness)


def neighbours(atoms):
    """Return what ASE says of the pairs in reach, each from both sides: atoms, vectors and ratios."""
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijD", atoms, 2 * radii.max() * REACH)
    ratio = np.linalg.norm(d, axis=1) / (radii[i] + radii[j])
    near = ratio < REACH
    return i[near], j[near], d[near], ratio[near]


def in_order(i, j, d):
    rows = np.concatenate([np.stack([i, j], axis=1), np.round(d, 6) + 0.0], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("name", CASES)
def test_pairs_are_named_once(name):
    atoms = CASES[name][0]()
    found = listed(atoms)
    i, j, d, _ = neighbours(atoms)
    assert 2 * len(found.first) == len(i) > 0
    twice = (
        np.concatenate([found.first, found.second]),
        np.concatenate([found.second, found.first]),
        np.concatenate([found.vectors, -found.vectors]),
    )
    np.testing.assert_allclose(in_order(*twice), in_order(i, j, d), atol=2e-6)
    length = np.linalg.norm(found.vectors, axis=1)
    np.testing.assert_allclose(found.unit * length[:, None], found.vectors, atol=1e-12)


def test_an_atom_has_springs_to_its_own_images():
    found = listed(bulk("Cu"))
    assert (found.first == found.second).all()
    # Shells of fcc within 1.92 bonds of 2.64 A: 12 at 2.55, 6 at 3.61 and 24 at 4.42 A, each pair once.
    assert len(found.first) == 21


def test_stiffness_falls_off_with_distance():
    atoms = Atoms("HCl", [[0, 0, 0], [1.5, 0, 0]])
    found = listed(atoms)
    assert (found.first, found.second) == (0, 1)
    assert found.along[0] == pytest.approx(math.exp(-5.0 * (1.5 / (0.31 + 1.02) - 1)), rel=1e-12)
    np.testing.assert_allclose(found.unit, [[1, 0, 0]], rtol=1e-12)
    assert listed(Atoms("HCl", [[0, 0, 0], [1.33, 0, 0]])).along[0] == pytest.approx(1.0)


@pytest.mark.parametrize(("length", "count"), [(REACH - 1e-6, 1), (REACH + 1e-6, 0)])
def test_springs_end_where_they_are_negligible(length, count):
    assert len(listed(Atoms("HCl", [[0, 0, 0], [1.33 * length, 0, 0]])).first) == count


def test_distances_are_learned_from_nearest_neighbours():
    # Nearest neighbours at 3, 3 and 3.5 A, where the radii of copper say 2.64 A.
    atoms = Atoms("Cu3", [[0, 0, 0], [3.0, 0, 0], [6.5, 0, 0]])
    found = listed(atoms, dataclasses.replace(STIFF, distances="learned"))
    bond = (3 + 3 + 3.5) / 3
    assert (found.first.tolist(), found.second.tolist()) == ([0, 1], [1, 2])
    np.testing.assert_allclose(found.along, np.exp(-5 * (np.array([3, 3.5]) / bond - 1)), rtol=1e-12)


@pytest.mark.parametrize("size", [0.8, 1.0, 1.15, 1.6, 2.4])
def test_learned_springs_do_not_know_how_large_a_structure_is(size):
    learned = dataclasses.replace(STIFF, distances="learned")
    first, atoms = listed(metal(), learned), metal()
    atoms.set_cell(atoms.cell.array * size, scale_atoms=True)
    found = listed(atoms, learned)
    for name in ("first", "second"):
        np.testing.assert_array_equal(getattr(found, name), getattr(first, name))
    np.testing.assert_allclose(found.along, first.along, rtol=1e-9)


@pytest.mark.parametrize("distances", ["covalent", "learned"])
def test_atoms_out_of_reach_of_each_other_have_no_springs(distances):
    atoms = Atoms("Ar3", np.diag([30.0, 60.0, 90.0]))
    assert len(listed(atoms, dataclasses.replace(STIFF, distances=distances)).first) == 0
    assert len(listed(atoms[:1], dataclasses.replace(STIFF, distances=distances)).first) == 0


def test_where_pairs_cannot_be_listed_there_are_no_springs():
    collapsed = bulk("Cu", cubic=True)
    collapsed.set_cell(collapsed.cell * 1e-3, scale_atoms=True)
    metric, v = ModelHessian([body(collapsed, 3.0)], STIFF), some_rows(7)
    np.testing.assert_allclose(metric.apply(v), 0.2 * v, rtol=1e-12)
    np.testing.assert_allclose(metric.solve(v), v / 0.2, rtol=1e-12)


# --------------------------------------------------------------------------------------------------
# The Hessian


def spring_energy(atoms, scale):
    """Return the energy of springs as a function of rows (R, 3), from the neighbours that ASE lists."""
    i, j, d, ratio = neighbours(atoms)
    w, u = np.exp(-5.0 * (ratio - 1)), d / np.linalg.norm(d, axis=1)[:, None]
    kept = constraint_projectors(atoms, scale is not None)[1]

    def energy(v):
        moved = np.einsum("ni,nij->nj", v[: len(atoms)], kept)
        dd = moved[j] - moved[i]
        if scale is not None:
            strain = v[len(atoms) :] / scale
            dd = dd + d @ (strain + strain.T) / 2
        along = (u * dd).sum(axis=1)
        each = 0.5 * w * (0.9 * along**2 + 0.1 * (dd * dd).sum(axis=1))
        return 0.5 * each.sum() + 0.5 * 0.2 * (v * v).sum()  # each pair is listed from both sides

    return energy


def second_differences(energy, rows):
    """Return the Hessian (3R, 3R) of a quadratic energy, for which differences are exact."""
    ones = np.eye(3 * rows).reshape(-1, rows, 3)
    alone = np.array([energy(v) for v in ones])
    h = np.diag(2 * alone)
    for k, m in itertools.combinations(range(3 * rows), 2):
        h[k, m] = h[m, k] = energy(ones[k] + ones[m]) - alone[k] - alone[m]
    return h


@pytest.mark.parametrize("name", CASES)
def test_hessian_is_that_of_the_springs(name):
    build, scale = CASES[name]
    metric, rows = metric_of(name), body(build(), scale).rows
    h = matrix(metric.apply, rows)
    np.testing.assert_allclose(h, second_differences(spring_energy(build(), scale), rows), atol=1e-10)
    np.testing.assert_allclose(h, h.T, atol=1e-12)
    assert np.linalg.eigvalsh(h).min() > 0.2 * (1 - 1e-9)
    np.testing.assert_allclose(metric.size, np.full((rows, 1), np.trace(h) / (3 * rows)), rtol=1e-12)


def test_a_dimer_by_hand():
    metric = ModelHessian([body(Atoms("HCl", [[0, 0, 0], [0, 1.33, 0]]))], STIFF)
    k = np.diag([0.1, 1.0, 0.1])
    expected = np.block([[k, -k], [-k, k]]) + 0.2 * np.eye(6)
    np.testing.assert_allclose(matrix(metric.apply, 2), expected, atol=1e-12)


@pytest.mark.parametrize("name", FREE)
def test_a_shift_costs_only_the_floor(name):
    (one,) = bodies([name])
    v = np.zeros((one.rows, 3))
    v[: one.atoms] = [0.3, -0.2, 0.5]
    np.testing.assert_allclose(ModelHessian([one], STIFF).apply(v), 0.2 * v, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1]])
def test_the_part_of_a_strain_that_turns_costs_only_the_floor(name):
    (one,) = bodies([name])
    v = np.zeros((one.rows, 3))
    v[-3:] = np.cross(np.eye(3), [0.3, -0.2, 0.5])
    np.testing.assert_allclose(ModelHessian([one], STIFF).apply(v), 0.2 * v, atol=1e-12)


def test_a_turn_of_a_molecule_costs_what_springs_are_stiff_across():
    atoms, stiffness = ethanol(), dataclasses.replace(STIFF, tangent=0.0)
    v = np.cross(atoms.positions, [0.3, -0.2, 0.5])
    np.testing.assert_allclose(
        ModelHessian([body(atoms, stiffness=stiffness)], stiffness).apply(v), 0.2 * v, atol=1e-12
    )
    assert not np.allclose(ModelHessian([body(atoms)], STIFF).apply(v), 0.2 * v, atol=1e-3)


def turned(atoms, turn):
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array @ turn.T)
    atoms.set_positions(atoms.positions @ turn.T)
    return atoms


def turn_rows(v, n, turn):
    """Return rows of atoms, which are vectors, and of a strain, as they are where the structure is turned."""
    return np.concatenate([v[:n] @ turn.T, turn @ v[n:] @ turn.T if len(v) > n else v[n:]])


@pytest.mark.parametrize("what", ["apply", "solve", "root"])
@pytest.mark.parametrize("name", FREE)
def test_it_turns_with_the_structure(name, what):
    (build, scale), turn = CASES[name], rotation(3)
    atoms = build()
    n, one = len(atoms), metric_of(name)
    other = ModelHessian([body(turned(atoms, turn), scale)], STIFF)
    v = some_rows(n + 3 * (scale is not None))
    expected = turn_rows(getattr(one, what)(v), n, turn)
    np.testing.assert_allclose(getattr(other, what)(turn_rows(v, n, turn)), expected, atol=1e-10)


@pytest.mark.parametrize("what", ["apply", "solve", "root"])
@pytest.mark.parametrize("name", ["molecule", "salt and cell"])
def test_the_order_of_atoms_is_irrelevant(name, what):
    build, scale = CASES[name]
    atoms = build()
    n, order = len(atoms), np.random.default_rng(1).permutation(len(atoms))
    order = np.concatenate([order, np.arange(n, n + 3 * (scale is not None))])
    other = ModelHessian([body(atoms[order[:n]], scale)], STIFF)
    v = some_rows(len(order))
    expected = getattr(metric_of(name), what)(v)[order]
    np.testing.assert_allclose(getattr(other, what)(v[order]), expected, atol=1e-10)


@pytest.mark.parametrize("name", ["crystal and cell", "salt and cell"])
def test_the_choice_of_images_is_irrelevant(name):
    build, scale = CASES[name]
    atoms = build()
    moved = atoms.copy()
    moved.positions += np.random.default_rng(0).integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    v = some_rows(len(atoms) + 3)
    for what in ("apply", "solve"):
        one, other = (getattr(ModelHessian([body(a, scale)], STIFF), what)(v) for a in (atoms, moved))
        np.testing.assert_allclose(one, other, atol=1e-10)


# --------------------------------------------------------------------------------------------------
# Inverses, of small matrices and of large ones


@pytest.fixture
def sparse(monkeypatch):
    """Take no matrix for a small one, and solve to the last digits."""
    monkeypatch.setattr(parts, "DENSE", 0)
    monkeypatch.setattr(Sparse, "TOLERANCE", 1e-13)
    monkeypatch.setattr(Sparse, "LEFT", 1e-13)
    monkeypatch.setattr(Sparse, "VECTORS", 100)


@pytest.mark.parametrize("name", CASES)
def test_solve_and_root_invert(name):
    metric, v = metric_of(name), some_rows(bodies([name])[0].rows)
    assert isinstance(metric.parts[0].matrix, Dense)
    np.testing.assert_allclose(metric.solve(metric.apply(v)), v, atol=1e-10)
    np.testing.assert_allclose(metric.root(metric.root(metric.apply(v))), v, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_large_matrices_are_as_small_ones(name, sparse):
    (one,) = bodies([name])
    metric, v = ModelHessian([one], STIFF), some_rows(one.rows)
    assert isinstance(metric.parts[0].matrix, Sparse)
    small = Dense(metric.straight)
    np.testing.assert_allclose(metric.size, np.full((one.rows, 1), small.size[0]), rtol=1e-12)
    for what in ("apply", "solve", "root"):
        expected = getattr(small, what)(v[None])[0]
        np.testing.assert_allclose(getattr(metric, what)(v), expected, atol=1e-9, err_msg=what)


def block(n=(8, 8, 8)):
    atoms = bulk("Cu", cubic=True) * n
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture(scope="module")
def large():
    """Return a matrix of 2048 atoms and a cell."""
    return ModelHessian([body(block(), 3.0)], STIFF)


def test_a_large_matrix_is_never_written_out(large):
    part = large.parts[0].matrix
    assert isinstance(part, Sparse)
    assert issparse(part.between)
    rows = 2048 + 3
    # 12 + 6 + 24 neighbours, some of the next shell, and the atom itself: blocks of nine numbers.
    assert part.between.nnz < 9 * 60 * rows
    assert all(a.size < 30 * rows for a in vars(part).values() if isinstance(a, np.ndarray))


def test_a_large_matrix_is_solved_to_a_tolerance(large):
    v = some_rows(2048 + 3)
    left = large.apply(large.solve(v)) - v
    assert np.linalg.norm(left) < 1.001e-2 * np.linalg.norm(v)
    again = large.root(large.root(large.apply(v)))
    assert np.linalg.norm(again - v) < 1e-2 * np.linalg.norm(v)


@pytest.mark.parametrize("strain", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("kind", ["any rows", "gradients"])
def test_a_large_root_is_taken_to_a_tolerance(large, monkeypatch, kind, strain):
    v = some_rows(2048 + 3)
    v[-3:] *= strain
    v = v if kind == "any rows" else large.apply(v)
    root = large.root(v)
    monkeypatch.setattr(Sparse, "LEFT", 1e-12)
    monkeypatch.setattr(Sparse, "VECTORS", 200)
    exact = large.root(v)
    np.testing.assert_allclose(large.root(large.root(large.apply(v))), v, atol=1e-9 * abs(v).max())
    assert np.linalg.norm(root - exact) < 1e-2 * np.linalg.norm(exact)
    if strain == 1.0:  # where neither is much the longer one
        for rows in (slice(0, 2048), slice(2048, None)):
            assert np.linalg.norm((root - exact)[rows]) < 1e-2 * np.linalg.norm(exact[rows])


@pytest.mark.parametrize("what", ["solve", "root"])
def test_nothing_times_a_large_inverse_is_nothing(large, what):
    assert (getattr(large, what)(np.zeros((2051, 3))) == 0).all()


def test_a_force_on_one_atom_of_a_large_structure_moves_the_others(large):
    v = np.zeros((2051, 3))
    v[7] = [1.0, 0.0, 0.0]
    step = large.solve(v)
    length = np.linalg.norm(step, axis=1)
    assert length.argmax() == 7
    assert (step * v).sum() > 0
    assert np.median(length[:2048]) > 0


@pytest.mark.parametrize("most", [360, 40, 0])
@pytest.mark.parametrize("what", ["apply", "solve", "root"])
def test_a_batch_is_its_structures_to_the_last_bit(what, most, monkeypatch):
    monkeypatch.setattr(parts, "DENSE", most)
    every = [*bodies(), *bodies(["salt and cell", "molecule"])]
    seg = Segments([one.rows for one in every])
    v = some_rows(seg.rows)
    metric = ModelHessian(every, STIFF)
    cuts = [slice(k, k + n) for k, n in zip(seg.starts, seg.lengths, strict=True)]
    together = getattr(metric, what)(v)
    for one, cut in zip(every, cuts, strict=True):
        alone = ModelHessian([one], STIFF)
        np.testing.assert_array_equal(together[cut], getattr(alone, what)(v[cut]))
        np.testing.assert_array_equal(metric.size[cut], alone.size)


def test_plain_is_one():
    v = some_rows(4)
    plain = Identity(v)
    for what in (plain.apply, plain.solve, plain.root):
        np.testing.assert_array_equal(what(v), v)
    np.testing.assert_array_equal(plain.size, np.ones((4, 1)))


# --------------------------------------------------------------------------------------------------
# L-BFGS on pairs


def platinum(n=13, seed=0, rattle=0.2):
    atoms = Atoms(f"Pt{n}", cluster(n, seed, 0.0) * 2.6 / 2.5)
    atoms.rattle(rattle, seed=seed)
    atoms.calc = EMT()
    return atoms


IN_METRICS = pytest.mark.parametrize(
    ("optimizer", "options"),
    [(PairLBFGSRelax, {}), (InternalLBFGSRelax, {}), (FIRERelax, {"metric": True})],
    ids=["pair-lbfgs", "internal-lbfgs", "fire in a metric"],
)


def emt(atoms):
    atoms.calc = EMT()
    return atoms


def path_of(opt, steps, fmax=1e-9):
    """Run, and return the positions and cells (N + 3, 3) after each step."""
    path, atoms = [], next(iter(opt.optimizable.iterimages()))
    opt.attach(lambda: path.append(np.concatenate([atoms.positions, atoms.cell.array])))
    opt.run(fmax=fmax, steps=steps)
    return path


def test_relaxes_a_cluster():
    atoms, other = platinum(rattle=0.1), platinum(rattle=0.1)
    opt = PairLBFGSRelax(atoms, logfile=None)
    assert opt.run(fmax=0.01, steps=200)
    assert opt.result.status == "converged"
    assert fmax_of(atoms.get_forces()) < 0.01
    assert LBFGSRelax(other, logfile=None).run(fmax=0.01, steps=200)
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=2e-3)


@pytest.mark.parametrize("pressure", [0.0, 10.0])
def test_relaxes_a_cell(pressure):
    ends = []
    for optimizer in (PairLBFGSRelax, LBFGSRelax):
        atoms = emt(metal("Ni", 2, seed=3))
        opt = optimizer(atoms, logfile=None, cell=True, pressure=pressure)
        assert opt.run(fmax=0.005, smax=0.02, steps=200)
        ends.append((atoms.get_potential_energy() / len(atoms), atoms.get_volume() / len(atoms)))
    assert ends[0] == pytest.approx(ends[1], abs=2e-3)


def test_fixed_atoms_of_a_slab_do_not_move():
    atoms = emt(fcc111("Cu", (2, 2, 3), vacuum=5.0))
    atoms.set_constraint(FixAtoms(mask=atoms.get_tags() == 3))
    atoms.rattle(0.15, seed=1)  # the constraint holds back the rattle too
    start, low = atoms.positions.copy(), atoms.get_tags() == 3
    opt = PairLBFGSRelax(atoms, logfile=None)
    assert opt.run(fmax=0.01, steps=100)
    np.testing.assert_array_equal(atoms.positions[low], start[low])
    assert (atoms.positions[~low] != start[~low]).all()


def test_constraints_that_are_no_projections_of_single_atoms_are_left_to_ase():
    atoms = platinum()
    atoms.set_constraint(FixBondLength(0, 1))
    length = atoms.get_distance(0, 1)
    opt = PairLBFGSRelax(atoms, logfile=None)
    assert opt.run(fmax=0.02, steps=300)
    assert atoms.get_distance(0, 1) == pytest.approx(length, abs=1e-8)


@pytest.mark.parametrize("wrap", [FrechetCellFilter, UnitCellFilter])
def test_relaxes_with_a_filter_of_the_cell(wrap):
    atoms, other = emt(metal(seed=3)), emt(metal(seed=3))
    assert PairLBFGSRelax(wrap(atoms), logfile=None).run(fmax=0.01, steps=100)
    assert LBFGSRelax(wrap(other), logfile=None).run(fmax=0.01, steps=100)
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-3)
    assert atoms.get_volume() == pytest.approx(other.get_volume(), rel=1e-2)


@IN_METRICS
def test_frechets_filter_takes_the_steps_of_cell(optimizer, options):
    atoms, other = emt(metal()), emt(metal())
    freedom = CellFreedom(length=3.0, max_strain=0.5)
    one = path_of(optimizer(atoms, logfile=None, cell=freedom, **options), 6)
    wrapped = FrechetCellFilter(other, exp_cell_factor=3.0)
    two = path_of(optimizer(wrapped, logfile=None, **options), 6)
    # ASE's filter takes a naive gradient of the strain where it is close, to a thousandth and better.
    np.testing.assert_allclose(one[:3], two[:3], atol=1e-4)
    np.testing.assert_allclose(one, two, atol=5e-3)


def band():
    images = [platinum(4, seed=3, rattle=0.05) for _ in range(3)]
    images[2].rattle(0.2, seed=2)
    neb = NEB(images, method="improvedtangent")
    neb.interpolate()
    return neb


OTHERS = {
    "NEB": band,
    "Filter": lambda: Filter(platinum(), indices=[0, 1, 2]),
    "StrainFilter": lambda: StrainFilter(copper()),
}


@IN_METRICS
@pytest.mark.parametrize("kind", OTHERS)
def test_where_no_metric_is_known_rows_are_alike(kind, optimizer, options, monkeypatch):
    def ends():
        opt = optimizer(OTHERS[kind](), logfile=None, **options)
        opt.run(fmax=0.01, steps=3)
        return opt.optimizable.get_x()

    found = ends()
    monkeypatch.setattr("relax.optimizers.ase_rows.AseRows.metric", lambda *_, **_named: None)
    np.testing.assert_array_equal(found, ends())


@pytest.mark.parametrize("kind", OTHERS)
def test_a_minimum_is_not_looked_for_where_no_metric_is_known(kind):
    opt = PairLBFGSRelax(OTHERS[kind](), logfile=None, check="minimum")
    with pytest.raises(ValueError, match=f"not a {kind}"):
        opt.run(fmax=100.0)


@IN_METRICS
@pytest.mark.parametrize("wrap", [FrechetCellFilter, UnitCellFilter])
@pytest.mark.parametrize("kept", ["hydrostatic_strain", "constant_volume"])
def test_what_a_filter_only_hides_from_the_gradient_is_kept(kept, wrap, optimizer, options):
    atoms = copper(1.02, rattle=0.1)
    before = atoms.cell.array.copy(), atoms.get_volume()
    assert optimizer(wrap(atoms, **{kept: True}), logfile=None, **options).run(fmax=0.02, steps=100)
    if kept == "constant_volume":
        assert atoms.get_volume() == pytest.approx(before[1], rel=1e-9)
        assert np.abs(atoms.cell.array - before[0]).max() > 1e-4
    else:
        ratio = atoms.cell[0, 0] / before[0][0, 0]
        assert abs(ratio - 1) > 1e-3
        np.testing.assert_allclose(atoms.cell.array, ratio * before[0], atol=1e-9)


@IN_METRICS
@pytest.mark.parametrize("freedom", [{"hydrostatic": True}, {"constant_volume": True}])
def test_the_freedom_of_a_cell_is_kept(freedom, optimizer, options):
    atoms = copper(1.02, rattle=0.1)
    before = atoms.cell.cellpar(), atoms.get_volume()
    assert optimizer(atoms, logfile=None, cell=CellFreedom(**freedom), **options).run(fmax=0.02, steps=100)
    if "hydrostatic" in freedom:
        after = atoms.cell.cellpar()
        np.testing.assert_allclose(after[:3] / after[0], before[0][:3] / before[0][0], rtol=1e-9)
        np.testing.assert_allclose(after[3:], 90.0, atol=1e-9)
    else:
        assert atoms.get_volume() == pytest.approx(before[1], rel=1e-9)


@IN_METRICS
@pytest.mark.parametrize("wrap", [FrechetCellFilter, UnitCellFilter])
def test_a_mask_of_a_filter_is_kept(wrap, optimizer, options):
    atoms = copper(1.02, rattle=0.1)
    height = atoms.cell.array[2].copy()
    opt = optimizer(wrap(atoms, mask=[1, 1, 0, 0, 0, 0]), logfile=None, **options)
    assert opt.run(fmax=0.02, steps=100)
    np.testing.assert_allclose(atoms.cell.array[2], height, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@IN_METRICS
def test_symmetry_is_kept(optimizer, options):
    atoms = bulk("NiAl", "cesiumchloride", a=3.1)
    atoms.set_cell(atoms.cell * [1.0, 1.0, 1.04], scale_atoms=True)
    atoms = emt(atoms * (2, 1, 1))
    opt = optimizer(atoms, logfile=None, cell=True, symmetry="keep", **options)
    assert opt.run(fmax=0.01, steps=150)
    assert opt.result.spacegroup_first == opt.result.spacegroup_last
    np.testing.assert_allclose(atoms.cell.angles(), 90.0, atol=1e-9)


def test_a_large_structure_ends_where_l_bfgs_ends():
    def build():
        atoms = bulk("Cu", cubic=True) * (4, 4, 3)
        atoms.rattle(0.08, seed=2)
        return emt(atoms)

    atoms, other = build(), build()
    assert 3 * len(atoms) > parts.DENSE
    opt, plain = PairLBFGSRelax(atoms, logfile=None), LBFGSRelax(other, logfile=None)
    assert opt.run(fmax=0.02, steps=60)
    assert plain.run(fmax=0.02, steps=60)
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-3)
    ways = atoms.positions - other.positions
    assert np.abs(ways - ways.mean(axis=0)).max() < 0.02


def calls(optimizer, atoms, **options):
    opt = optimizer(emt(atoms), logfile=None, **options)
    assert opt.run(fmax=0.01, steps=500)
    return opt.result.force_calls


def test_it_takes_fewer_calls_than_l_bfgs():
    cases = [
        *((lambda seed=seed: platinum(13, seed), {}) for seed in range(3)),
        *((lambda seed=seed: metal("Pd", 2, seed=seed), {"cell": True}) for seed in range(2)),
        *((lambda seed=seed: metal("Al", 2, rattle=0.2, seed=seed), {}) for seed in range(2)),
        (lambda: slab(), {}),
    ]
    mine, theirs = (
        sum(calls(optimizer, build(), **options) for build, options in cases)
        for optimizer in (PairLBFGSRelax, LBFGSRelax)
    )
    assert mine < theirs


class TestTrust:
    """What is done with a step that went wrong."""

    def told(self, rule, energies, gradients):
        """Return the places of one atom, the first and those after each of the force calls it is told of."""
        x, seg = np.zeros((1, 3)), Segments([1])
        state, path = rule.init(x), [0.0]
        for e, g in zip(energies, gradients, strict=True):
            point = Point(x, np.array([[g, 0.0, 0.0]]), np.array([[e]]), seg)
            dx, state = rule.update(state, point)
            x = x + dx
            path.append(float(x[0, 0]))
        return path, state

    RULE = PairLBFGS(hardness=10.0, radius=0.2, largest=0.3, smallest=0.01, worst=-0.5, poor=0.0, shrink=0.5)

    def test_first_step_is_that_of_the_metric(self):
        (_, x), _ = self.told(self.RULE, [0.0], [1.0])
        assert x == pytest.approx(-0.1, rel=1e-12)

    def test_no_step_is_longer_than_the_radius(self):
        (_, x), _ = self.told(self.RULE, [0.0], [30.0])
        assert x == pytest.approx(-0.2, rel=1e-12)

    def test_a_step_that_went_up_is_taken_back(self):
        path, state = self.told(self.RULE, [0.0, 5.0], [30.0, -80.0])
        # Back at 0, and off again: as far as a curvature of 110 eV/A over 0.2 A says.
        assert path[2] == pytest.approx(-30 / 550, rel=1e-9)
        assert float(state["e"][0, 0]) == 0.0
        assert float(state["radius"][0, 0]) == pytest.approx(0.1, rel=1e-12)

    def test_a_step_that_went_down_is_kept(self):
        path, state = self.told(self.RULE, [0.0, -3.0], [30.0, 5.0])
        assert path[2] == pytest.approx(-0.2 - 5 / 125, rel=1e-9)
        assert float(state["e"][0, 0]) == -3.0

    @pytest.mark.parametrize("e", [-7.0, 0.3, 1e3])
    def test_rounding_of_the_energy_takes_nothing_back(self, e):
        # What was foretold is a change of 1e-19 eV; the energy rises by a rounding.
        _, state = self.told(self.RULE, [e, np.nextafter(e, math.inf)], [1e-9, 1e-11])
        assert float(state["x"][0, 0]) == pytest.approx(-1e-10, rel=1e-9)
        assert float(state["radius"][0, 0]) == pytest.approx(0.2, rel=1e-12)

    @pytest.mark.parametrize("seed", range(4))
    def test_it_stays_nowhere_that_is_higher(self, seed):
        """What is kept, step after step, has never a higher energy, if no rise at all is tolerated."""
        rule = dataclasses.replace(self.RULE, worst=0.0, smallest=1e-4)
        walk, kept = Walk(rule, [cluster(8, seed, 0.4)]), []
        for _ in range(60):
            walk.step()
            kept.append(float(walk.state["e"][0, 0]))
        assert (np.diff(kept) <= 1e-9 + 2e-7 * np.abs(kept[1:])).all()
        assert kept[-1] == pytest.approx(min(kept), abs=1e-5)
        assert np.abs(morse(walk.structures[0])[1]).max() < 1e-3


@pytest.mark.parametrize("on_bad", ["stop", "backtrack", "raise"])
def test_what_to_do_where_a_run_goes_wrong_is_as_for_others(on_bad):
    """A calculator that fails once, at the fourth call."""

    class Once(EMT):
        calls = 0

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            Once.calls += 1
            if Once.calls == 4:
                self.results["forces"] = self.results["forces"] * math.nan

    atoms = metal("Al", 2, rattle=0.2)
    atoms.calc = Once()
    opt = PairLBFGSRelax(atoms, logfile=None, on_bad=on_bad)
    if on_bad == "raise":
        with pytest.raises(Exception, match="nan"):
            opt.run(fmax=0.01, steps=50)
    else:
        assert opt.run(fmax=0.01, steps=50) is (on_bad == "backtrack")
    status = "converged" if on_bad == "backtrack" else "nonfinite"
    assert opt.result.status == status
    assert np.isfinite(atoms.positions).all()


def alcohol():
    return emt(ethanol())


def diamond():
    atoms = bulk("C", cubic=True)
    atoms.rattle(0.03, seed=2)
    return emt(atoms)


RESUMED = {
    "pair-lbfgs": (PairLBFGSRelax, ball, {}),
    "pair-lbfgs, cell": (PairLBFGSRelax, copper, {"cell": True}),
    "internal-lbfgs": (InternalLBFGSRelax, alcohol, {}),
    "internal-lbfgs, cell": (InternalLBFGSRelax, diamond, {"cell": True}),
    "fire in a metric": (FIRERelax, ball, {"metric": True}),
    "l-bfgs in a metric, cell": (LBFGSRelax, copper, {"metric": True, "cell": True}),
    "in a metric of its own": (FIRERelax, ball, {"metric": PairStiffness(decay=4.0, floor=0.3)}),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_is_taken_up_to_the_last_bit(name, tmp_path):
    optimizer, build, options = RESUMED[name]
    through = path_of(optimizer(build(), logfile=None, **options), 7)
    state, frame, atoms = tmp_path / "state.json", tmp_path / "left.traj", build()
    optimizer(atoms, logfile=None, restart=state, **options).run(fmax=1e-9, steps=4)
    write(frame, atoms)
    again = read(frame)
    again.calc = type(atoms.calc)()
    rest = path_of(optimizer(again, logfile=None, restart=state, **options), 3)
    np.testing.assert_array_equal(rest[-1], through[-1])


def test_another_metric_does_not_take_up_a_run(tmp_path):
    state = tmp_path / "state.json"
    FIRERelax(platinum(), logfile=None, restart=state, metric=True).run(fmax=1e-9, steps=2)
    with pytest.raises(ValueError, match=r"state\.json"):
        FIRERelax(platinum(), logfile=None, restart=state, metric=PairStiffness(decay=7.0))


# --------------------------------------------------------------------------------------------------
# Any rule in the coordinates of a metric


PLAIN = [name for name, rule in RULES.items() if rule().stiffness is None]


class Bowl:
    """The energy x.Hx/2 about the origin, with H as the metric as well."""

    def __init__(self, name="crystal and cell"):
        (self.body,) = bodies([name])
        self.metric = ModelHessian([self.body], STIFF)
        self.rows, self.seg = self.body.rows, Segments([self.body.rows])
        self.size = float(self.metric.size[0, 0])

    def q(self, x):
        """The coordinates in which the bowl is round: (H / size)^1/2 x."""
        return self.metric.apply(self.metric.root(x)) / math.sqrt(self.size)

    def point(self, x):
        g = self.metric.apply(x)
        e = np.full((self.rows, 1), 0.5 * (x * g).sum())
        return Point(x, g, e, self.seg, Frozen(self.metric))

    def path(self, rule, x, steps, part=1.0):
        """Return where ``rule`` goes from ``x``, and its states; only a ``part`` of each step is made."""
        state, path, states = rule.init(x), [x], []
        for _ in range(steps):
            dx, state = rule.update(state, self.point(x))
            x = x + part * dx
            path.append(x)
            states.append(state)
        return path, states


@pytest.fixture(scope="module")
def bowl():
    return Bowl()


def test_a_metric_makes_the_bowl_round(bowl):
    start = 0.3 * some_rows(bowl.rows)
    path, _ = bowl.path(InMetric(SGD(lr=0.01), STIFF), start, 5)
    for k, x in enumerate(path):
        np.testing.assert_allclose(x, (1 - 0.01 * bowl.size) ** k * start, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_the_path_is_that_of_the_rule_in_the_round_bowl(bowl, name):
    start = 0.1 * some_rows(bowl.rows)
    path, _ = bowl.path(InMetric(RULES[name](), STIFF), start, 12)

    def around(q):
        return 0.5 * bowl.size * float((q * q).sum()), bowl.size * q

    # The metric's coordinates start from 0, wherever the structure does: no rule knows the origin.
    walk = Walk(RULES[name](), [bowl.q(start)], around)
    for x in path:
        np.testing.assert_allclose(bowl.q(x), walk.structures[0], atol=1e-9)
        walk.step()


@pytest.mark.parametrize("rule", [LBFGS(memory=5), FIRE(), Momentum()])
@pytest.mark.parametrize("shortened", ["outside", "within"])
def test_a_shortened_step_is_known_in_the_coordinates_of_the_metric(bowl, rule, shortened):
    start = 0.3 * some_rows(bowl.rows)
    inner = InMetric(rule, STIFF)
    if shortened == "within":
        path, states = bowl.path(MaxStep(inner, 0.02), start, 8)
    else:
        path, states = bowl.path(inner, start, 8, part=0.3)
    for x, state in zip(path, states, strict=False):
        np.testing.assert_allclose(state["q"], bowl.q(x - start), atol=1e-10)
        np.testing.assert_allclose(state["x"], x, rtol=1e-15)
    if isinstance(rule, LBFGS):
        memory = states[-1]["rule"]
        for k in range(5):
            s, y = memory["s"][:, k], memory["y"][:, k]
            np.testing.assert_allclose(s, bowl.q(path[7 - k] - path[6 - k]), atol=1e-10)
            np.testing.assert_allclose(y, bowl.size * s, atol=1e-9)


def test_without_a_metric_rows_are_as_they_are():
    for rule in (FIRE(), LBFGS(memory=5)):
        one, two = (Walk(r, [cluster(5)]).step(12) for r in (InMetric(rule), rule))
        np.testing.assert_allclose(one.x, two.x, atol=1e-10)


@pytest.mark.parametrize("name", PLAIN)
def test_every_rule_lowers_the_energy_in_a_metric(name):
    atoms = emt(metal("Al", 2))
    opt = OPTIMIZERS[name](atoms, logfile=None, metric=True, cell=True)
    opt.run(fmax=1e-3, steps=12)
    assert opt.result.energy_last < opt.result.energy_first - 1e-3
    assert opt.result.status in ("max_steps", "converged")


def test_a_metric_is_dressed_next_to_the_rule():
    mine = PairStiffness(decay=3.0, tangent=0.2, floor=0.3, distances="learned")
    rule = for_atoms(FIRE(), metric=mine, schedule=lambda t: 0.5, clip=5.0)
    inner = rule
    while not isinstance(inner, InMetric):
        inner = inner.rule
    assert inner.rule == FIRE()
    assert rule.stiffness == mine
    assert for_atoms(FIRE(), metric=True).stiffness == InternalStiffness(strongest=1.0)
    assert for_atoms(FIRE()).stiffness is None


def test_a_rule_has_one_metric():
    for metric, rule in itertools.product((True, STIFF), (PairLBFGS(), InternalLBFGS())):
        with pytest.raises(ValueError, match=f"{type(rule).__name__} has a metric of its own"):
            for_atoms(rule, metric=metric)
        with pytest.raises(ValueError, match="has a metric of its own"):
            PairLBFGSRelax(platinum(), logfile=None, metric=metric)


# --------------------------------------------------------------------------------------------------
# Batches


def mixed():
    """Structures with and without a cell that relaxes, constraints, and pairs of one size."""
    return [metal("Cu"), slab(), metal("Ni", 2, seed=1), platinum(7), metal("Al", seed=2), oblique()]


def relaxes(atoms):
    return bool(atoms.pbc.all()) and not atoms.constraints


def compare(rule, settings, steps):
    structures = mixed()
    for atoms in structures:
        atoms.calc = None
    found = relax_many(structures, EMT(), rule, fmax=1e-3, steps=steps, cell=relaxes, budget=20, **settings)
    for done in sorted(found, key=lambda done: done.index):
        atoms = emt(structures[done.index].copy())
        opt = OPTIMIZERS[rule](atoms, logfile=None, cell=relaxes(atoms), **settings)
        opt.run(fmax=1e-3, steps=steps)
        np.testing.assert_allclose(done.atoms.positions, atoms.positions, atol=1e-9)
        np.testing.assert_allclose(done.atoms.cell.array, atoms.cell.array, atol=1e-9)
        mine, theirs = done.result, opt.result
        assert (mine.status, mine.force_calls) == (theirs.status, theirs.force_calls)
        assert mine.energy_last == pytest.approx(theirs.energy_last, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_a_batch_in_a_metric_is_its_structures(name):
    compare(name, {"metric": True}, 8)


@pytest.mark.parametrize("rule", ["pair-lbfgs", "internal-lbfgs"])
def test_a_batch_of_l_bfgs_on_a_model_is_its_structures(rule):
    compare(rule, {}, 12)


def test_a_batch_has_the_metric_it_is_given():
    compare("fire", {"metric": PairStiffness(decay=3.0, tangent=0.3, distances="learned")}, 5)


@pytest.mark.parametrize(
    ("rule", "settings"), [("pair-lbfgs", {}), ("internal-lbfgs", {}), ("fire", {"metric": True})]
)
def test_a_batch_with_large_structures(rule, settings, monkeypatch):
    monkeypatch.setattr(parts, "DENSE", 30)
    compare(rule, settings, 5)
