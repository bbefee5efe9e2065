"""The model Hessian of internal coordinates: values, derivatives, symmetries, and which terms there are."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100, molecule
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from ase.spacegroup import crystal
from helpers import cluster, rotation
from scipy.sparse import csr_array, diags_array

from relax.geometry.constraints import constraint_projectors
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.matrices import parts
from relax.preconditioner.matrices.factorised import Cholesky, band_work, factorised
from relax.preconditioner.matrices.sparse import Sparse
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness

MODEL = InternalStiffness()
KINDS = ("stretches", "bends", "linear", "planes", "torsions")


def rattled(atoms, size=0.05, seed=1):
    atoms.rattle(size, seed=seed)
    return atoms


def bent_acetylene():
    """Return acetylene whose angles are between those of bends and of linear bends."""
    atoms = molecule("C2H2")
    atoms.positions[2, 0] += 0.3
    atoms.positions[3, 1] -= 0.2
    return atoms


def silicon():
    return rattled(bulk("Si", cubic=True))


def quartz(rattle=0.05):
    sites = [(0.46, 0, 0), (0.41, 0.26, 0.12)]
    atoms = crystal("SiO", sites, spacegroup=154, cellpar=[4.916, 4.916, 5.405, 90, 90, 120])
    return rattled(atoms, rattle)


def slab():
    return rattled(diamond100("Si", (2, 2, 3), vacuum=5.0))


def held(atoms):
    atoms.set_constraint(
        [FixAtoms([0]), FixedPlane([1], (1, 2, 2)), FixedLine([2], (1, 1, 0)), FixCartesian([3], [1, 0, 0])]
    )
    return atoms


def held_skew():
    # What a constraint leaves of a step is here no symmetric matrix.
    atoms = bulk("Si") * (2, 1, 1)
    atoms.set_constraint(FixScaled([0, 3], [True, False, True]))
    return rattled(atoms)


def chain(carbons=67):
    """Return a zigzag of carbon with two hydrogen atoms each."""
    atoms = Atoms()
    for k in range(carbons):
        up = 1 if k % 2 else -1
        x, y = 1.27 * k, 0.42 * up
        atoms += Atoms("CH2", [[x, y, 0], [x, y + 0.63 * up, 0.89], [x, y + 0.63 * up, -0.89]])
    return atoms


# Structures, and the length that a strain of one counts as, if the cell relaxes.
CASES = {
    "ethanol": (lambda: rattled(molecule("CH3CH2OH")), None),
    "acetylene": (lambda: molecule("C2H2"), None),
    "bent acetylene": (bent_acetylene, None),
    "HCN": (lambda: rattled(molecule("HCN"), 0.02), None),
    "isobutane": (lambda: rattled(molecule("isobutane")), None),
    "H2O2": (lambda: rattled(molecule("H2O2")), None),
    "allene": (lambda: rattled(molecule("C3H4_D2d"), 0.02), None),
    "H2CO": (lambda: rattled(molecule("H2CO")), None),
    "silicon": (silicon, None),
    "silicon and cell": (silicon, 3.0),
    "primitive silicon and cell": (lambda: bulk("Si"), 2.0),
    "quartz and cell": (quartz, 4.0),
    "slab": (slab, None),
    "slab and cell": (slab, 3.0),
    "held molecule": (lambda: held(rattled(molecule("CH3CH2OH"))), None),
    "held slab": (lambda: held(slab()), None),
    "held in a skew cell": (held_skew, None),
    "held, and cell": (lambda: held(quartz()), 3.0),
}
FREE = [name for name in CASES if not name.startswith("held")]
every_case = pytest.mark.parametrize("name", CASES)


def rows_of(atoms, scale=None, strain=0.0, seed=0):
    """Return the rows of atoms, with a symmetric strain of about a size."""
    a = strain * np.random.default_rng(seed).normal(size=(3, 3))
    return np.concatenate([atoms.positions, np.zeros((0, 3)) if scale is None else scale * (a + a.T) / 2])


def body(atoms, scale=None, stiffness=MODEL, x=None, strain=0.0):
    kept = constraint_projectors(atoms, scale is not None)[1] if atoms.constraints else None
    x = rows_of(atoms, scale, strain) if x is None else x
    return SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, stiffness, scale, kept)


def model(atoms, scale=None, stiffness=MODEL, **kwargs):
    return ModelHessian([body(atoms, scale, stiffness, **kwargs)], stiffness)


def case(name, **kwargs):
    build, scale = CASES[name]
    return model(build(), scale, **kwargs)


def values(metric, x):
    return metric.internals.at(x[None])[0][0]


def of_kind(metric, q):
    """Return values of coordinates, or their stiffness, by kind."""
    sizes = [kind.shape[1] for kind in metric.internals.kinds]
    sizes[2] *= 3
    return dict(zip(KINDS, np.split(q, np.cumsum(sizes)[:-1]), strict=True))


def counts(atoms, scale=None):
    found = model(atoms, scale).internals
    return None if found is None else {k: v.shape[1] for k, v in zip(KINDS, found.kinds, strict=True)}


def matrix(apply, rows):
    return np.stack([apply(e.reshape(rows, 3)).ravel() for e in np.eye(3 * rows)], axis=1)


def some_rows(n, seed=0, atoms=None):
    """Return rows at random; those of a strain, beyond the number of ``atoms``, are symmetric."""
    v = np.random.default_rng(seed).normal(size=(n, 3))
    if atoms is not None and n > atoms:
        v[atoms:] = (v[atoms:] + v[atoms:].T) / 2
    return v


# --------------------------------------------------------------------------------------------------
# Coordinates


def test_values_are_those_of_ase():
    atoms = rattled(molecule("CH3CH2OH"))
    metric = model(atoms)
    q, w = (of_kind(metric, a) for a in (values(metric, atoms.positions), metric.internals.stiffness))
    c, o, hydrogens = (0, 1), 2, range(3, 9)
    assert [atoms.symbols[k] for k in (*c, o)] == ["C", "C", "O"]
    bonds = {(c[0], c[1]), (c[1], o) if atoms.get_distance(c[1], o) < 1.7 else (c[0], o)}
    heavy = (*c, o)
    bonds |= {(min(heavy, key=lambda k: atoms.get_distance(k, h)), h) for h in hydrogens}
    around = {k: [b if a == k else a for a, b in bonds if k in (a, b)] for k in range(9)}
    lengths = sorted(atoms.get_distance(*bond) for bond in bonds)
    strong = q["stretches"][w["stretches"] > 0.3]
    np.testing.assert_allclose(sorted(strong), lengths, rtol=1e-12)
    angles = [(a, k, b) for k, near in around.items() for a in near for b in near if a < b]
    np.testing.assert_allclose(
        np.degrees(sorted(q["bends"][w["bends"] > 0.02])),
        sorted(atoms.get_angle(*angle) for angle in angles),
        rtol=1e-10,
    )
    torsions = [(a, j, k, b) for j, k in bonds for a in around[j] for b in around[k] if a != k and b != j]
    expected = [atoms.get_dihedral(*torsion) for torsion in torsions]
    found = np.degrees(q["torsions"])
    assert len(found) == len(expected)
    # ASE's angles turn the other way in some versions; cosines know no sense, and sines only that.
    np.testing.assert_allclose(
        sorted(np.cos(np.radians(expected))), sorted(np.cos(np.radians(found))), rtol=1e-9
    )


def test_a_torsion_has_the_sense_of_ase():
    atoms = molecule("H2O2")
    metric = model(atoms)
    for angle in (30.0, 170.0, 190.0, 350.0):
        atoms.set_dihedral(2, 0, 1, 3, angle, indices=[3])
        (found,) = of_kind(metric, values(metric, atoms.positions))["torsions"]
        assert np.degrees(found) % 360 == pytest.approx(angle, abs=1e-9)


def test_values_in_a_strained_crystal_are_those_of_ase():
    atoms, scale = quartz(), 4.0
    metric = model(atoms, scale, strain=0.05)
    x = metric.x
    actual = atoms.copy()
    f = metric.networks[0].deformed
    assert np.abs(f - np.eye(3)).max() > 0.02
    actual.set_cell(atoms.cell.array @ f.T)
    actual.set_positions(x[:-3] @ f.T)
    every = actual.get_all_distances(mic=True)
    q, w = (of_kind(metric, a) for a in (values(metric, x), metric.internals.stiffness))
    strong = q["stretches"][w["stretches"] > 0.2]
    assert len(strong) >= 4 * 3  # each silicon atom has four bonds
    for length in strong:
        assert np.abs(every - length).min() < 1e-10


def differences(metric, v, h=5e-4):
    """Return how the coordinates change along ``v``, by differences whose error is of the order h^6."""
    (network,) = metric.networks
    n, move, f = network.atoms, v.copy(), network.deformed.T
    if network.projectors is not None:
        # Constraints hold in the present cell, and rows are in the frame of the reference.
        move[:n] = (v[:n, None, :] @ f @ network.projectors @ np.linalg.inv(f))[:, 0]
    total = 0.0
    for step, weight in ((1, 3 / 2), (2, -3 / 5), (3, 1 / 10)):
        up, down = (values(metric, metric.x + sign * step * h * move) for sign in (1, -1))
        total = total + weight * metric.internals.change(up, down) / (2 * h * step)
    return total


@every_case
def test_derivatives_are_those_of_the_values(name):
    metric = case(name, strain=0.05)
    n = metric.networks[0].atoms
    b = metric.internals.derivatives(metric.x[None]).matrix
    for seed in range(3):
        v = some_rows(metric.seg.rows, seed, n)
        np.testing.assert_allclose(b @ v.ravel(), differences(metric, v), atol=1e-7)


def test_every_kind_is_differentiated():
    every = [case(name).internals for name in FREE]
    for k, kind in enumerate(KINDS):
        assert sum(one.kinds[k].shape[1] for one in every) > 0, kind


def test_places_have_their_own_values_and_derivatives():
    metric = case("quartz and cell")
    places = metric.x + 0.05 * np.stack([some_rows(metric.seg.rows, k) for k in range(3)])
    q, derivatives = metric.internals.at(places)
    b = derivatives.matrix
    rows = len(metric.internals), 3 * metric.seg.rows
    for k, x in enumerate(places):
        own_q, derivatives = metric.internals.at(x[None])
        own = derivatives.matrix
        np.testing.assert_array_equal(q[k], own_q[0])
        block = b[k * rows[0] : (k + 1) * rows[0], k * rows[1] : (k + 1) * rows[1]]
        np.testing.assert_array_equal(block.toarray(), own.toarray())
    assert b.nnz == 3 * own.nnz


# --------------------------------------------------------------------------------------------------
# The Hessian


@every_case
def test_hessian_is_symmetric_and_positive_definite(name):
    metric = case(name, strain=0.02)
    rows = metric.seg.rows
    h = matrix(metric.apply, rows)
    np.testing.assert_allclose(h, h.T, atol=1e-11)
    assert np.linalg.eigvalsh(h).min() > 0.9e-3
    np.testing.assert_allclose(metric.size, np.full((rows, 1), np.trace(h) / (3 * rows)), rtol=1e-12)
    v = some_rows(rows)
    np.testing.assert_allclose(metric.solve(metric.apply(v)), v, atol=1e-8)
    np.testing.assert_allclose(metric.root(metric.root(metric.apply(v))), v, atol=1e-8)


def rigid_motions(x):
    """Return a shift and a turn (R, 3) of atoms at ``x``."""
    return np.tile([0.3, -0.2, 0.5], (len(x), 1)), np.cross(x, [0.3, -0.2, 0.5])


def floor_of(metric):
    return np.concatenate([one.floor for one in metric.straight])[:, None]


@pytest.mark.parametrize("name", ["ethanol", "isobutane", "H2O2", "acetylene"])
def test_rigid_motions_of_a_molecule_cost_only_the_floor(name):
    metric = case(name, stiffness=dataclasses.replace(MODEL, tangent=0.0))
    floor = floor_of(metric)
    assert MODEL.free_floor <= floor.min() <= floor.max() < 2 * MODEL.free_floor
    for v in rigid_motions(metric.x):
        np.testing.assert_allclose(metric.apply(v), floor * v, atol=1e-10)


def test_a_turn_of_a_linear_bend_that_is_not_straight_costs_little():
    # The coordinate is a vector that turns with the molecule; it is as short as the bend is straight.
    metric = case("HCN")
    shift, turn = rigid_motions(metric.x)
    np.testing.assert_allclose(metric.apply(shift), floor_of(metric) * shift, atol=1e-10)
    cost = (turn * metric.apply(turn)).sum() / (turn * turn).sum()
    assert cost < 20 * MODEL.free_floor


def test_the_part_of_a_strain_that_turns_costs_only_the_floor():
    metric = case("quartz and cell")
    v = np.zeros((metric.seg.rows, 3))
    v[-3:] = np.cross(np.eye(3), [0.3, -0.2, 0.5])
    pulled = metric.apply(v)
    np.testing.assert_allclose(pulled[:-3], 0.0, atol=1e-10)
    np.testing.assert_allclose(pulled[-3:], pulled[-3, 1] / v[-3, 1] * v[-3:], atol=1e-10)


def turn_rows(v, n, turn):
    return np.concatenate([v[:n] @ turn.T, turn @ v[n:] @ turn.T if len(v) > n else v[n:]])


@pytest.mark.parametrize("what", ["apply", "solve", "retract"])
@pytest.mark.parametrize("name", FREE)
def test_it_turns_and_moves_with_the_structure(name, what):
    (build, scale), turn, shift = CASES[name], rotation(3), [3.0, -1.0, 2.0]
    atoms = build()
    n, one = len(atoms), model(atoms, scale, strain=0.02)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    x = turn_rows(one.x, n, turn)
    x[:n] += shift
    other = model(turned, scale, x=x)
    v = 0.05 * some_rows(one.seg.rows, atoms=n)
    expected = turn_rows(getattr(one, what)(v), n, turn)
    # A curved step ends at a residual, which rounding may reach one iteration earlier or later.
    tolerance = 1e-7 if what == "retract" else 1e-10
    np.testing.assert_allclose(getattr(other, what)(turn_rows(v, n, turn)), expected, atol=tolerance)


@pytest.mark.parametrize("what", ["apply", "solve", "retract"])
@pytest.mark.parametrize("name", FREE)
def test_the_order_of_atoms_is_irrelevant(name, what):
    build, scale = CASES[name]
    atoms, one = build(), case(name)
    n = len(atoms)
    order = np.random.default_rng(1).permutation(n)
    rows = np.concatenate([order, np.arange(n, one.seg.rows)])
    v = 0.05 * some_rows(one.seg.rows, atoms=n)
    found = getattr(model(atoms[order], scale), what)(v[rows])
    np.testing.assert_allclose(found, getattr(one, what)(v)[rows], atol=1e-7 if what == "retract" else 1e-9)


@pytest.mark.parametrize("name", ["silicon", "silicon and cell", "quartz and cell"])
def test_the_choice_of_images_is_irrelevant(name):
    build, scale = CASES[name]
    atoms = build()
    moved = atoms.copy()
    moved.positions += np.random.default_rng(0).integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    v = 0.05 * some_rows(len(atoms) + 3 * (scale is not None), atoms=len(atoms))
    for what in ("apply", "solve", "retract"):
        one, other = (getattr(model(a, scale), what)(v) for a in (atoms, moved))
        np.testing.assert_allclose(one, other, atol=1e-7 if what == "retract" else 1e-9, err_msg=what)


@pytest.mark.parametrize(
    ("build", "times"), [(silicon, (2, 1, 1)), (quartz, (1, 2, 1)), (lambda: bulk("Si"), (2, 2, 2))]
)
def test_a_supercell_is_its_cells(build, times):
    atoms = build()
    many, n = int(np.prod(times)), len(atoms)
    one, all_cells = model(atoms), model(atoms * times)
    v = some_rows(n)
    for what in ("apply", "solve"):
        expected = np.tile(getattr(one, what)(v), (many, 1))
        np.testing.assert_allclose(getattr(all_cells, what)(np.tile(v, (many, 1))), expected, atol=1e-9)


# --------------------------------------------------------------------------------------------------
# Large structures, and batches


@pytest.mark.parametrize(
    "name", ["ethanol", "bent acetylene", "silicon and cell", "quartz and cell", "held, and cell"]
)
def test_large_matrices_are_as_small_ones(name, monkeypatch):
    small = case(name, strain=0.01)
    v = some_rows(small.seg.rows, atoms=small.networks[0].atoms)
    expected = {what: getattr(small, what)(v) for what in ("apply", "solve")}
    curve, size = small.retract(0.05 * v), small.size
    monkeypatch.setattr(parts, "DENSE", 0)
    large = case(name, strain=0.01)
    assert isinstance(large.parts[0].matrix, Sparse)
    np.testing.assert_allclose(large.apply(v), expected["apply"], atol=1e-10)
    np.testing.assert_allclose(large.size, size, rtol=1e-12)
    assert np.linalg.norm(large.apply(large.solve(v)) - v) < 1.001e-3 * np.linalg.norm(v)
    off = large.solve(v) - expected["solve"]
    assert np.sum(off * small.apply(off)) < 1e-4 * np.sum(v * expected["solve"])
    assert np.abs(large.retract(0.05 * v) - curve).max() < 0.05 * np.abs(curve - 0.05 * v).max() + 1e-3


def test_the_work_of_a_band_does_not_depend_on_the_order():
    n = 200
    line = diags_array([np.ones(n - 1), np.full(n, 4.0), np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr()
    assert band_work(line) == n  # width 1
    order = np.random.default_rng(0).permutation(n)
    assert band_work(line[order][:, order]) == n


@pytest.mark.parametrize(("reach", "dense"), [(1, False), (59, True)])
def test_wide_matrices_are_factorised_as_dense_ones(reach, dense):
    n, rng = 60, np.random.default_rng(0)
    full = np.tril(np.triu(rng.normal(size=(n, n)), -reach), reach)
    matrix, columns = csr_array(full + full.T + 200 * np.eye(n)), rng.normal(size=(n, 3))
    factor = factorised(matrix, band_work(matrix))
    assert isinstance(factor, Cholesky) == dense
    np.testing.assert_allclose(factor.solve(columns), np.linalg.solve(matrix.toarray(), columns), rtol=1e-10)


MIXED = ("ethanol", "quartz and cell", "slab", "H2O2", "silicon and cell", "held molecule", "held, and cell")


def metal():
    atoms = rattled(bulk("Cu", cubic=True))
    return body(atoms, 3.0)


@pytest.mark.parametrize("most", [360, 0])
def test_a_batch_is_its_structures(most, monkeypatch):
    monkeypatch.setattr(parts, "DENSE", most)
    every = [metal(), *(body(CASES[name][0](), CASES[name][1]) for name in MIXED), metal()]
    whole = ModelHessian(every, MODEL)
    v = 0.05 * some_rows(whole.seg.rows)
    places = whole.x[None] + 0.02 * np.random.default_rng(3).normal(size=(3, whole.seg.rows, 3))
    gradients = np.random.default_rng(4).normal(size=places.shape)
    found = {what: getattr(whole, what)(v) for what in ("apply", "solve", "root", "retract")}
    seen = whole.transport(places, gradients)
    for one, start in zip(every, whole.seg.starts, strict=True):
        mine = slice(start, start + one.rows)
        alone = ModelHessian([one], MODEL)
        for what, together in found.items():
            np.testing.assert_array_equal(together[mine], getattr(alone, what)(v[mine]), err_msg=what)
        for a, b in zip(seen, alone.transport(places[:, mine], gradients[:, mine]), strict=True):
            np.testing.assert_array_equal(a[:, mine], b)


# --------------------------------------------------------------------------------------------------
# Which coordinates there are


NONE = {
    "fcc": lambda: bulk("Cu", cubic=True),
    "bcc": lambda: bulk("Fe", cubic=True),
    "hcp": lambda: bulk("Mg"),
    "reduced units": lambda: Atoms("H13", cluster(13) * 1.1 / 2.5),
    "one atom": lambda: Atoms("C"),
    "far apart": lambda: Atoms("C2", [[0, 0, 0], [30.0, 0, 0]]),
    "hydrogen": lambda: molecule("H2"),
}


@pytest.mark.parametrize("name", NONE)
def test_close_packed_and_unknown_structures_have_springs_only(name):
    metric = model(NONE[name]())
    assert metric.internals is None
    v = some_rows(metric.seg.rows)
    assert metric.retract(v) is v
    x, g = v[None], 2 * v[None]
    assert metric.transport(x, g) == (x, g)


@pytest.mark.parametrize("name", ["fcc", "bcc", "hcp"])
def test_bonds_of_metals_are_softer_than_covalent_ones(name):
    atoms, soft = rattled(NONE[name]()), 0.2
    pairs = PairStiffness()
    v = some_rows(len(atoms))
    ours = model(atoms, stiffness=InternalStiffness(spring=soft)).apply(v)
    np.testing.assert_allclose(ours, soft * model(atoms, stiffness=pairs).apply(v), rtol=1e-12)


@pytest.mark.parametrize("name", ["ethanol", "silicon", "H2O2"])
def test_covalent_bonds_are_as_stiff_whatever_the_others_are(name):
    atoms = CASES[name][0]()
    v = some_rows(len(atoms))
    by_spring = [model(atoms, stiffness=InternalStiffness(spring=f)).apply(v) for f in (1.0, 0.1)]
    np.testing.assert_array_equal(*by_spring)


def test_few_neighbours_make_bends():
    assert counts(bulk("Si"))["bends"] == 2 * 6
    assert counts(quartz())["bends"] > 3 * 6
    assert counts(molecule("H2O")) == {"stretches": 3, "bends": 1, "linear": 0, "planes": 0, "torsions": 0}
    assert counts(molecule("C2H2"))["linear"] == 2
    assert counts(molecule("H2O2"))["torsions"] == 1
    assert counts(molecule("CO2"))["linear"] == 1
    assert [counts(molecule(name))["planes"] for name in ("H2CO", "C6H6", "BF3", "CH4")] == [1, 6, 1, 0]


def stiffness_along(atoms, v):
    """Return the curvature of the model Hessian along rows ``v``."""
    h = model(atoms).apply(v)
    return float((h * v).sum() / (v * v).sum())


def test_an_atom_in_a_plane_keeps_to_it():
    """The one without a lone pair; its coordinate is the volume that three unit vectors span."""
    atoms = molecule("H2CO")
    metric, v = model(atoms), np.zeros((4, 3))
    (plane,) = of_kind(metric, values(metric, atoms.positions))["planes"]
    assert plane == pytest.approx(0.0, abs=1e-12)
    carbon, others = list(atoms.symbols).index("C"), [k for k, s in enumerate(atoms.symbols) if s != "C"]
    normal = np.cross(*(atoms.positions[others[:2]] - atoms.positions[carbon]))
    v[carbon] = normal / np.linalg.norm(normal)
    (moved,) = of_kind(metric, values(metric, atoms.positions + 0.1 * v))["planes"]
    u = atoms.positions[others] - atoms.positions[carbon] - 0.1 * v[carbon]
    volume = np.linalg.det(u / np.linalg.norm(u, axis=1)[:, None])
    assert abs(moved) == pytest.approx(abs(volume), rel=1e-12)
    ammonia = atoms.copy()
    ammonia.symbols[carbon] = "N"
    assert stiffness_along(atoms, v) > 10 * stiffness_along(ammonia, v)


@pytest.mark.parametrize(("name", "stiff"), [("C3H4_D2d", True), ("C2H4", True), ("C2H6", False)])
def test_double_bonds_are_not_twisted(name, stiff):
    """Neither one bond nor two in line, as in allene."""
    atoms = molecule(name)
    axis = np.argmax(np.ptp(atoms.positions[atoms.numbers == 6], axis=0))
    side = np.sign(atoms.positions[:, axis]) * (atoms.numbers == 1)
    v = side[:, None] * np.cross(np.eye(3)[axis], atoms.positions)
    assert (stiffness_along(atoms, v) > 0.03) == stiff


def test_two_hydrogen_atoms_never_bend():
    assert counts(molecule("CH4"))["bends"] == 6
    near = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [0.6, 0.8, 0]])  # 0.88 A apart
    found = counts(near)
    assert (found["bends"], found["torsions"]) == (1, 0)


def test_bends_fade_with_polarity():
    blind = dataclasses.replace(MODEL, polar=10.0)

    def strongest(atoms, stiffness):
        metric = model(atoms, stiffness=stiffness)
        return of_kind(metric, metric.internals.stiffness)["bends"].max()

    for atoms, share in ((bulk("Si"), 1.0), (quartz(), 0.55), (bulk("NaCl", "rocksalt", a=5.64), 0.1)):
        left = strongest(atoms, MODEL) / strongest(atoms, blind)
        assert (left >= share) if share > 0.5 else (left < share), atoms.symbols


@pytest.mark.parametrize(
    ("atoms", "most"), [(bulk("Si", cubic=True) * 3, 60), (chain(), 60)], ids=["silicon", "chain"]
)
def test_the_number_of_coordinates_grows_with_that_of_atoms(atoms, most):
    assert len(atoms) > 200
    found = counts(rattled(atoms.copy(), 0.02))
    assert 0 < found["bends"] + found["torsions"] < most * len(atoms)


def test_coordinates_come_and_go_smoothly():
    """A short way changes the matrix a little, also where terms begin and end."""
    atoms = molecule("CH3CH2OH")
    x, way = atoms.positions, some_rows(len(atoms), 5)
    steps = np.linspace(0.0, 0.4, 81)
    h = [matrix(model(atoms, x=x + t * way).apply, len(atoms)) for t in steps]
    jumps = [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in itertools.pairwise(h)]
    assert max(jumps) < 0.05


def test_without_rounds_steps_are_straight():
    straight = dataclasses.replace(MODEL, rounds=0)
    v = some_rows(9)
    np.testing.assert_array_equal(model(CASES["ethanol"][0](), stiffness=straight).retract(v), v)
