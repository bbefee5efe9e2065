"""Curved steps and transported gradients in internal coordinates, and runs of the rule that makes them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian, FixedPlane, FixInternals
from ase.filters import FrechetCellFilter
from ase.geometry import get_angles, get_dihedrals
from helpers import quadratic
from test_internals import (
    CASES,
    MIXED,
    MODEL,
    body,
    case,
    model,
    of_kind,
    quartz,
    rattled,
    some_rows,
)
from toys import Distances

from relax import CellFreedom, InternalLBFGSRelax, LBFGSRelax, relax_many
from relax.core import state as states
from relax.core.rule import Point
from relax.core.segments import Segments
from relax.preconditioner.matrices import parts
from relax.preconditioner.model_hessian import ModelHessian
from relax.rules import InternalLBFGS, PairLBFGS

TWISTING = ("ethanol", "H2O2", "isobutane", "quartz and cell", "slab", "held molecule")
every_kind = pytest.mark.parametrize("name", TWISTING)


def transported(metric, *places):
    """Return places and gradients, each (R, 3), as seen from where the metric is."""
    x, g = (np.stack(a) for a in zip(*places, strict=True))
    return list(zip(*metric.transport(x, g), strict=True))


# --------------------------------------------------------------------------------------------------
# Transport


@every_kind
def test_transport_to_the_same_place_changes_nothing(name):
    metric = case(name)
    g = some_rows(metric.seg.rows, 1, metric.networks[0].atoms)
    if metric.networks[0].projectors is not None:
        g[: metric.networks[0].atoms] = (metric.networks[0].projectors @ g[..., None])[..., 0]
    ((x, seen),) = transported(metric, (metric.x, g))
    np.testing.assert_allclose(seen, g, atol=1e-5 * np.abs(g).max())
    np.testing.assert_allclose(x, 0.0, atol=1e-9)


@every_kind
def test_the_step_to_a_near_place_is_the_way_there(name):
    metric = case(name)
    s = some_rows(metric.seg.rows, 2, metric.networks[0].atoms)
    if metric.networks[0].projectors is not None:
        n = metric.networks[0].atoms
        s[:n] = (s[:n, None] @ metric.networks[0].projectors)[:, 0]
    g, off = np.zeros_like(s), []
    for h in (0.01, 0.005):
        (here, there) = transported(metric, (metric.x, g), (metric.x + h * s, g))
        off.append(np.abs(there[0] - here[0] - h * s).max())
    assert off[0] < 0.3 * 0.01 * np.abs(s).max()
    assert off[0] / off[1] == pytest.approx(4, rel=0.2)


def by_ase(metric):
    """Return the coordinates of a molecule as a function of its atoms, by ASE."""
    found, atoms = metric.internals, metric.networks[0].atoms
    assert metric.seg.rows == atoms
    of = [np.stack([found.first[k], found.second[k]]) for k in found.kinds]

    def coordinates(x):
        (i, j), bends, _, _, torsions = ([*pair] for pair in of)
        q = [np.linalg.norm(x[j[0]] - x[i[0]], axis=1)]
        middle, a, b = bends[0][0], bends[1][0], bends[1][1]
        q.append(np.radians(get_angles(x[a] - x[middle], x[b] - x[middle])))
        a, j, k, b = torsions[1][0], torsions[0][1], torsions[1][1], torsions[1][2]
        q.append(np.radians(get_dihedrals(x[j] - x[a], x[k] - x[j], x[b] - x[k])))
        return np.concatenate(q)

    return coordinates


def test_gradients_are_seen_as_if_coordinates_were_straight():
    """A transported difference is H s, if the energy is a quadratic in the coordinates; others are not."""
    atoms = rattled(molecule("H2O2"))
    stiffness = dataclasses.replace(MODEL, free_floor=1e-6, tangent=0.0)
    metric = model(atoms, stiffness=stiffness)
    coordinates, w, x0 = by_ase(metric), metric.internals.stiffness, atoms.positions
    np.testing.assert_allclose(
        np.cos(coordinates(x0)), np.cos(metric.internals.at(x0[None])[0][0]), atol=1e-10
    )
    floor = metric.straight[0].floor[:, None]
    # The minimum is some way off, so that the curvature of the coordinates counts.
    away = 0.3 * some_rows(4, 5)
    ends, _ = coordinates(x0), 0
    aim = ends - metric.internals.at(x0[None])[1].matrix @ away.ravel()

    def energy(x):
        d = coordinates(x) - aim
        d[-1] -= 2 * np.pi * np.round(d[-1] / (2 * np.pi))
        return 0.5 * float((w * d * d).sum()) + 0.5 * float((floor * (x - x0 + away) ** 2).sum())

    def gradient(x, h=1e-4):
        g = np.zeros(x.size)
        for k, e in enumerate(np.eye(x.size).reshape(-1, *x.shape)):
            g[k] = (
                8 * (energy(x + h * e) - energy(x - h * e)) - energy(x + 2 * h * e) + energy(x - 2 * h * e)
            ) / (12 * h)
        return g.reshape(x.shape)

    s, off, naive = some_rows(4, 6), [], []
    for h in (4e-3, 2e-3):
        here, there = ((x, gradient(x)) for x in (x0, x0 + h * s))
        expected = metric.apply(h * s)
        (_, one), (_, two) = transported(metric, here, there)
        off.append(np.linalg.norm(two - one - expected))
        naive.append(np.linalg.norm(there[1] - here[1] - expected))
    assert off[0] < 0.1 * naive[0]
    assert off[1] < 0.1 * naive[1]
    assert naive[0] / naive[1] == pytest.approx(2, rel=0.3)  # of the first order


LOW = dataclasses.replace(MODEL, free_floor=1e-4, polar=2.0, rounds=20)
"""In which what is straight is soft beside a torsion about a single bond, and curved steps are exact."""


def test_torsions_are_followed_over_more_than_a_turn():
    atoms = molecule("H2O2")
    metric = model(atoms, stiffness=LOW)
    places = []
    for angle in np.linspace(0, 400, 11):
        turned = atoms.copy()
        turned.rotate_dihedral(2, 0, 1, 3, angle, indices=[3])
        places.append((turned.positions, np.zeros((4, 3))))
    b = metric.internals.derivatives(metric.x[None]).matrix
    last = transported(metric, *places)
    turns = [of_kind(metric, b @ x.ravel())["torsions"][0] for x, _ in last]
    np.testing.assert_allclose(np.abs(np.diff(turns)), np.radians(40), rtol=0.1)
    assert abs(turns[-1] - turns[0]) > 2 * np.pi


# --------------------------------------------------------------------------------------------------
# Retraction


@every_kind
def test_a_curved_step_begins_as_the_straight_one(name):
    metric = case(name)
    n = metric.networks[0].atoms
    dx = some_rows(metric.seg.rows, 3, n)
    if metric.networks[0].projectors is not None:
        dx[:n] = (dx[:n, None] @ metric.networks[0].projectors)[:, 0]
    off = [np.abs(metric.retract(h * dx) - h * dx).max() for h in (0.1, 0.05)]
    assert off[0] < 0.5 * 0.1 * np.abs(dx).max()
    assert 2.5 < off[0] / off[1] < 6  # of the second order
    np.testing.assert_array_equal(metric.retract(0 * dx), 0 * dx)


@pytest.mark.parametrize(("name", "moved"), [("H2O2", [3]), ("ethanol", None)])
def test_a_turn_about_a_bond_keeps_the_bonds(name, moved):
    """Bonds and bends change less than in a straight step, and the torsions as they should."""
    metric = model(molecule("H2O2" if name == "H2O2" else "CH3CH2OH"), stiffness=LOW)
    q, derivatives = metric.internals.at(metric.x[None])
    b = derivatives.matrix
    wanted = of_kind(metric, np.zeros(len(q[0])))
    turning = metric.internals.stiffness[metric.internals.angles :] > 0.8 * MODEL.torsion
    wanted["torsions"][:] = 1.0 if moved else turning
    w = np.sqrt(metric.internals.stiffness)[:, None]
    target = np.concatenate(list(wanted.values()))
    left = np.concatenate([w * b.toarray(), 1e-5 * np.eye(b.shape[1])])
    right = np.concatenate([w[:, 0] * target, np.zeros(b.shape[1])])
    dx, *_ = np.linalg.lstsq(left, right, rcond=None)
    dx = (dx * 0.3 / np.linalg.norm(dx.reshape(-1, 3), axis=1).max()).reshape(-1, 3)
    aimed, strong = of_kind(metric, b @ dx.ravel()), metric.internals.stiffness > 0.02

    def missed(step):
        found = metric.internals.change(metric.internals.at((metric.x + step)[None])[0], q)[0]
        return of_kind(
            metric, np.where(strong | (np.arange(len(found)) >= metric.internals.angles), found, 0.0)
        )

    curved, straight = missed(metric.retract(dx)), missed(dx)
    for kind in ("stretches",):
        aim = aimed[kind] * strong[: len(aimed[kind])]
        assert np.abs(curved[kind] - aim).max() < 0.2 * np.abs(straight[kind] - aim).max()
    np.testing.assert_allclose(curved["torsions"], aimed["torsions"], atol=0.05)
    assert np.abs(aimed["torsions"]).max() > 0.2


def test_a_step_too_far_for_the_coordinates_is_no_worse_than_the_straight_one():
    metric = case("ethanol")
    rng = np.random.default_rng(0)
    for size in (0.5, 2.0, 10.0):
        dx = size * rng.normal(size=metric.x.shape)
        assert np.isfinite(metric.retract(dx)).all()


# --------------------------------------------------------------------------------------------------
# Runs


def start_of(name, size=0.15, seed=2):
    """Return a molecule off its minimum, which has springs to the distances there."""
    reference = molecule(name)
    atoms = rattled(reference.copy(), size, seed)
    atoms.calc = Distances(reference)
    return atoms


def path_of(atoms, steps=40, fmax=1e-3, **options):
    path = []
    opt = InternalLBFGSRelax(atoms, logfile=None, **options)
    opt.attach(lambda: path.append(atoms.positions.copy()))
    opt.run(fmax=fmax, steps=steps)
    return opt, path


G2 = (
    "CH3CH2OH",
    "isobutane",
    "H2O2",
    "C2H2",
    "HCN",
    "CH3CN",
    "C6H6",
    "CO2",
    "SiH4",
    "C3H4_C3v",
    "CH3COOH",
    "N2H4",
)


@pytest.mark.parametrize("name", G2)
def test_it_relaxes_molecules(name):
    atoms = start_of(name, 0.08)
    opt = InternalLBFGSRelax(atoms, logfile=None)
    assert opt.run(fmax=0.01, steps=60)
    assert opt.result.energy_last < 2e-3
    assert np.isfinite(atoms.positions).all()


def test_it_takes_fewer_calls_than_l_bfgs():
    calls = {}
    for optimizer in (InternalLBFGSRelax, LBFGSRelax):
        calls[optimizer] = 0
        for name in ("CH3CH2OH", "isobutane", "H2O2", "CH3COOH"):
            opt = optimizer(start_of(name), logfile=None)
            assert opt.run(fmax=0.01, steps=300)
            calls[optimizer] += opt.result.force_calls
    assert calls[InternalLBFGSRelax] < calls[LBFGSRelax]


def rigid_part(before, after):
    """Return how far a step shifts and turns a molecule as a whole, A."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    u, _, v = np.linalg.svd(a.T @ b)
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return np.abs((after - before).mean(axis=0)).max(), np.linalg.norm(a @ turn - a, axis=1).max()


@pytest.mark.parametrize(
    ("name", "turn"), [("CH3CH2OH", 0.02), ("isobutane", 0.02), ("CH3COOH", 0.02), ("H2O2", 0.2)]
)
def test_a_free_molecule_neither_drifts_nor_turns(name, turn):
    """The torsion of H2O2 is as soft as the floor, and takes steps of 40 degrees."""
    _, path = path_of(start_of(name, 0.07))
    shifts, turns = np.transpose([rigid_part(a, b) for a, b in itertools.pairwise(path)])
    assert max(shifts) < 1e-9
    assert max(turns) < turn


def test_constraints_of_single_atoms_hold_along_curved_steps():
    atoms = start_of("CH3CH2OH")
    normal = np.array([1.0, 2.0, 2.0]) / 3
    atoms.set_constraint([FixAtoms([0]), FixedPlane([4], normal), FixCartesian([5], [True, False, True])])
    _, path = path_of(atoms)
    away = np.array(path) - path[0]
    assert np.abs(away[-1]).max() > 0.05
    np.testing.assert_array_equal(away[:, 0], 0.0)
    np.testing.assert_allclose(away[:, 4] @ normal, 0.0, atol=1e-12)
    np.testing.assert_array_equal(away[:, 5][:, [0, 2]], 0.0)
    assert np.abs(away[:, 5, 1]).max() > 1e-3


def test_internal_constraints_of_ase_hold():
    atoms = start_of("CH3CH2OH", 0.05)
    length, angle = atoms.get_distance(0, 1), atoms.get_angle(0, 1, 2)
    atoms.set_constraint(FixInternals(bonds=[[length, [0, 1]]], angles_deg=[[angle, [0, 1, 2]]]))
    path = []
    opt = InternalLBFGSRelax(atoms, logfile=None)
    opt.attach(lambda: path.append((atoms.get_distance(0, 1), atoms.get_angle(0, 1, 2))))
    assert opt.run(fmax=0.02, steps=100)
    np.testing.assert_allclose(path, np.tile([length, angle], (len(path), 1)), atol=1e-6)


def crystal(build, stretch=1.02, rattle=0.08):
    """Return a crystal off its minimum, which has springs to the distances there."""
    reference = build()
    atoms = rattled(reference.copy(), rattle, 3) if rattle else reference.copy()
    atoms.set_cell(atoms.cell.array @ np.diag([stretch, 1.0, 2 - stretch]), scale_atoms=True)
    atoms.calc = Distances(reference)
    return atoms


@pytest.mark.parametrize("build", [lambda: bulk("Si", cubic=True), lambda: quartz(0.0)], ids=["Si", "quartz"])
def test_it_relaxes_crystals_with_their_cells(build):
    atoms = crystal(build)
    volume = build().get_volume()
    opt = InternalLBFGSRelax(atoms, logfile=None, cell=True)
    assert opt.run(fmax=0.005, smax=0.02, steps=100)
    assert atoms.get_volume() == pytest.approx(volume, rel=1e-3)
    assert opt.result.energy_last < 1e-3


def test_it_relaxes_with_a_filter_of_the_cell():
    atoms = crystal(lambda: bulk("Si", cubic=True))
    opt = InternalLBFGSRelax(FrechetCellFilter(atoms), logfile=None)
    assert opt.run(fmax=0.01, steps=100)
    assert atoms.get_volume() == pytest.approx(bulk("Si", cubic=True).get_volume(), rel=1e-2)


def test_a_mask_of_the_cell_holds():
    atoms = crystal(lambda: bulk("Si", cubic=True))
    start, path = atoms.cell.array.copy(), []
    opt = InternalLBFGSRelax(
        atoms, logfile=None, cell=CellFreedom(mask=[True, True, False, False, False, True])
    )
    opt.attach(lambda: path.append(atoms.cell.array.copy()))
    opt.run(fmax=0.005, smax=1.0, steps=30)
    assert np.abs(path[-1] - start).max() > 0.01
    np.testing.assert_allclose(np.array(path)[:, 2], np.tile(start[2], (len(path), 1)), atol=1e-6)
    np.testing.assert_allclose(np.array(path)[:, :2, 2], 0.0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("cell", [False, True])
def test_symmetry_is_kept(cell):
    spglib = pytest.importorskip("spglib")
    reference = quartz(0.0)
    atoms = reference.copy()
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    atoms.calc = Distances(reference)
    group = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-6)
    opt = InternalLBFGSRelax(atoms, logfile=None, cell=cell, symmetry="keep")
    opt.run(fmax=1e-3, smax=0.01 if cell else None, steps=40)
    left = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-6)
    assert group.number == left.number == 154
    assert opt.result.steps > 2


# --------------------------------------------------------------------------------------------------
# Batches


def diamond():
    atoms = rattled(bulk("C", cubic=True), 0.03)
    atoms.set_cell(atoms.cell * [1.01, 0.99, 1.0], scale_atoms=True)
    return atoms


def ase_kinds():
    """Return structures for EMT: molecules, one with atoms held, a crystal with bends, and metals."""
    water, held = rattled(molecule("H2O"), 0.05), rattled(molecule("CH3CH2OH"), 0.05)
    held.set_constraint([FixAtoms([0]), FixedPlane([4], (1, 2, 2))])
    metal = rattled(bulk("Cu", cubic=True), 0.1)
    return [
        metal,
        rattled(molecule("CH3CH2OH"), 0.03),
        diamond(),
        water,
        held,
        rattled(bulk("Al", cubic=True), 0.05),
    ]


@pytest.mark.parametrize("budget", [25, pytest.param(1e6, marks=pytest.mark.slow)])
def test_a_batch_is_its_structures(budget):
    structures = ase_kinds()
    found = relax_many(
        structures, EMT(), "internal-lbfgs", fmax=1e-3, steps=12, budget=budget,
        cell=lambda atoms: bool(atoms.pbc.any()),
    )  # fmt: skip
    for done in sorted(found, key=lambda done: done.index):
        atoms = structures[done.index].copy()
        atoms.calc = EMT()
        opt = InternalLBFGSRelax(atoms, logfile=None, cell=bool(atoms.pbc.any()))
        opt.run(fmax=1e-3, steps=12)
        np.testing.assert_allclose(done.atoms.positions, atoms.positions, rtol=0, atol=1e-9)
        np.testing.assert_allclose(done.atoms.cell.array, atoms.cell.array, rtol=0, atol=1e-9)
        assert (done.result.status, done.result.force_calls) == (opt.result.status, opt.result.force_calls)


def test_a_structure_that_begins_later_has_no_older_memory():
    """Places before the first one are filled with it, and rounding makes no pair of them."""
    old, new = (body(rattled(bulk("C", cubic=True), 0.05, seed), 3.0) for seed in (1, 2))
    rule, rows = InternalLBFGS(), old.rows

    def point(bodies, seed):
        seg = Segments([one.rows for one in bodies])
        x = np.concatenate([one.x for one in bodies]) + 0.03 * seed
        g = np.concatenate([some_rows(one.rows, seed) for one in bodies])
        return Point(x, g, np.full((len(x), 1), -float(seed)), seg, ModelHessian(bodies, MODEL).at(x))

    state, alone = rule.init(old.x), rule.init(new.x)
    for seed in range(12):
        _, state = rule.update(state, point([old], seed))
    state = states.concat([state, rule.init(new.x)])
    for seed in range(12, 16):
        dx, state = rule.update(state, point([old, new], seed))
        expected, alone = rule.update(alone, point([new], seed))
        np.testing.assert_allclose(dx[rows:], expected, rtol=0, atol=1e-10)


def test_structures_without_coordinates_are_as_in_a_batch_of_their_own():
    bodies = [body(rattled(bulk("Cu", cubic=True)), 3.0), *(body(CASES[n][0](), CASES[n][1]) for n in MIXED)]
    whole, alone = (ModelHessian(some, MODEL) for some in (bodies, bodies[:1]))
    rows = slice(0, bodies[0].rows)
    v = some_rows(whole.seg.rows)
    x = whole.x[None] + 0.01 * v[None]
    np.testing.assert_array_equal(whole.retract(v)[rows], v[rows])
    for a, b in zip(whole.transport(x, v[None]), (x, v[None]), strict=True):
        np.testing.assert_array_equal(a[:, rows], b[:, rows])
    np.testing.assert_array_equal(whole.solve(v)[rows], alone.solve(v[rows]))


# --------------------------------------------------------------------------------------------------
# Large structures


def adsorbed(fixed=False):
    """Return methanol above the upper ones of 432 atoms of copper."""
    atoms = fcc111("Cu", (12, 12, 3), vacuum=6.0)
    add_adsorbate(atoms, molecule("CH3OH"), 2.0, position=(12.0, 9.0))
    atoms.pbc = True
    if fixed:
        atoms.set_constraint(FixAtoms(indices=range(288)))
    return rattled(atoms)


@pytest.mark.parametrize(("scale", "fixed"), [(None, False), (None, True), (3.0, False)])
def test_of_large_structures_only_rows_near_coordinates_move_along_curves(monkeypatch, scale, fixed):
    """With the other rows held, steps and gradients are about those with all of them."""
    atoms, found = adsorbed(fixed), []
    dx = 0.1 * some_rows(len(atoms) + (0 if scale is None else 3), 3, len(atoms))
    dx[len(atoms) :] *= 0.1
    if fixed:
        dx[:288] = 0.0
    for largest in (10**6, 100):
        monkeypatch.setattr(parts, "LARGE", largest)
        metric = model(atoms, scale)
        ((_, seen),) = transported(metric, (metric.x + dx, dx))
        found.append((len(metric.near.rows), metric.retract(dx) - dx, seen - dx))
    (every, *whole), (some, *near) = found
    assert every == len(dx)
    assert 6 < some < 0.5 * every
    for a, b in zip(whole, near, strict=True):
        assert np.linalg.norm(a) > 1e-3
        assert np.linalg.norm(b - a) < 0.6 * np.linalg.norm(a)


def test_large_structures_are_the_same_in_a_batch(monkeypatch):
    monkeypatch.setattr(parts, "LARGE", 100)
    bodies = [body(adsorbed()), body(rattled(molecule("CH3CH2OH"))), body(bulk("Cu", cubic=True) * (6, 6, 6))]
    batch, rows = ModelHessian(bodies, MODEL), [one.rows for one in bodies]
    dx = 0.1 * some_rows(sum(rows), 4)
    places = (batch.x, dx), (batch.x + dx, -dx)
    cuts = np.cumsum(rows)[:-1]
    together = np.split(batch.retract(dx), cuts), *(np.split(g, cuts) for _, g in transported(batch, *places))
    for s, one in enumerate(bodies):
        alone, own = ModelHessian([one], MODEL), [[np.split(a, cuts)[s] for a in pair] for pair in places]
        expected = alone.retract(np.split(dx, cuts)[s]), *(g for _, g in transported(alone, *own))
        for found, wanted in zip(together, expected, strict=True):
            np.testing.assert_array_equal(found[s], wanted)


# --------------------------------------------------------------------------------------------------
# The memory


@pytest.mark.parametrize("rule_class", [PairLBFGS, InternalLBFGS])
@pytest.mark.parametrize("back", [None, 3, 5])
def test_without_a_metric_it_is_the_textbook(rule_class, back):
    """Steps are those of BFGS with its inverse Hessian written out, also after a step that is taken back."""
    rule = rule_class(hardness=10.0, radius=100.0, largest=100.0, worst=-0.5, memory=20, straight=0.0)
    potential = quadratic(np.geomspace(0.5, 50, 12))
    seg, x = Segments([4]), 0.2 * some_rows(4, 7)
    state, pairs, base, trial = rule.init(x), [], None, x
    for k in range(9):
        e, g = potential(trial)
        worse = k == back
        e += 1e3 * worse
        if base is not None:
            pairs.append(((trial - base[0]).ravel(), (g - base[1]).ravel()))
        base = base if worse else (trial, g)
        step, state = rule.update(state, Point(trial, g, np.full((4, 1), e), seg))
        if pairs:
            s, y = pairs[-1]
            h = np.sqrt((s @ s) / (y @ y)) * np.eye(12)
        else:
            h = np.eye(12) / 10.0
        for s, y in pairs:
            left = np.eye(12) - np.outer(s, y) / (s @ y)
            h = left @ h @ left.T + np.outer(s, s) / (s @ y)
        expected = base[0] - (h @ base[1].ravel()).reshape(4, 3)
        trial = trial + step
        length = np.linalg.norm(expected - base[0], axis=1).max()
        part = min(1.0, float(state["radius"][0, 0]) / length)
        assert part == 1 or k >= back
        expected = base[0] + part * (expected - base[0])
        np.testing.assert_allclose(trial, expected, atol=1e-9)
