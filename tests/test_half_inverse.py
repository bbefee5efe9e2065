"""The factor of the inverse of a model Hessian in which rules run: a root, or a polynomial near it."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from helpers import rotation

from relax.core.rule import Point
from relax.geometry.constraints import constraint_projectors
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.matrices import parts
from relax.preconditioner.matrices.roots import polynomial_root
from relax.preconditioner.matrices.sparse import Sparse
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules import SGD
from relax.rules.wrappers import InMetric

SCALE = 3.0


def at_value(value, low, high, degree):
    """Return the polynomial at one value: that of a matrix with one row."""
    return float(polynomial_root(lambda v: value * v, np.ones(1), low, high, degree)[0])


@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_the_polynomial_is_the_inverse_root_at_the_chebyshev_points(degree):
    low, high = 0.06, 2.0
    points = np.cos((np.arange(degree + 1) + 0.5) * np.pi / (degree + 1))
    for value in 0.5 * (high + low) + 0.5 * (high - low) * points:
        assert at_value(value, low, high, degree) == pytest.approx(value**-0.5, rel=1e-12)


def test_the_polynomial_is_positive_down_to_zero():
    assert min(at_value(value, 0.06, 2.0, 3) for value in np.linspace(0, 2, 201)) > 0.5


def test_a_polynomial_of_high_degree_is_the_inverse_root_of_a_matrix():
    rng = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    values = rng.uniform(0.1, 2.0, 20)
    v = rng.normal(size=20)
    expected = (vectors / np.sqrt(values)) @ (vectors.T @ v)
    found = polynomial_root(lambda u: (vectors * values) @ (vectors.T @ u), v, 0.1, 2.0, 60)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def copper(n=4):
    atoms = bulk("Cu", cubic=True) * (n, n, n)
    atoms.rattle(0.2, seed=1)
    return atoms


def dented():
    """Return a crystal with two atoms that nearly overlap, whose spring is much stiffer than the others."""
    atoms = copper()
    atoms.positions[1] = atoms.positions[0] + 0.5 * (atoms.positions[1] - atoms.positions[0])
    return atoms


def metric_of(atoms, scale=None, stiffness=None):
    stiffness = stiffness or PairStiffness()
    x = atoms.positions if scale is None else np.concatenate([atoms.positions, np.zeros((3, 3))])
    kept = constraint_projectors(atoms, False)[1] if atoms.constraints else None
    network = SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, stiffness, scale, kept)
    return ModelHessian([network], stiffness)


def held():
    atoms = copper()
    atoms.set_constraint(FixAtoms(range(0, 256, 3)))
    return atoms


def written_out(times, rows):
    """Return the matrix (3R, 3R) of a product with rows."""
    return np.array([times(v.reshape(-1, 3)).ravel() for v in np.eye(3 * rows)]).T


CASES = {
    "crystal": (copper, None),
    "crystal and cell": (copper, SCALE),
    "overlapping atoms": (dented, None),
    "overlapping atoms and cell": (dented, SCALE),
    "held atoms": (held, None),
}


def softened(h, atoms):
    """Return B H B, where B is one over the root of the largest eigenvalue of each atom's block of ``h``, and
    the inverse of the root of the block of the strain."""
    b = np.zeros_like(h)
    for i in range(atoms):
        own = slice(3 * i, 3 * i + 3)
        b[own, own] = np.eye(3) / np.sqrt(np.linalg.eigvalsh(h[own, own])[-1])
    values, vectors = np.linalg.eigh(h[3 * atoms :, 3 * atoms :])
    b[3 * atoms :, 3 * atoms :] = (vectors / np.sqrt(values)) @ vectors.T
    return b @ h @ b


@pytest.mark.parametrize(("rough", "degree"), [(False, Sparse.DEGREE), (True, Sparse.LOWER)])
@pytest.mark.parametrize("case", CASES)
def test_that_of_a_large_structure_makes_its_hessian_rounder(case, rough, degree):
    build, scale = CASES[case]
    metric = metric_of(build(), scale)
    metric = metric.roughened() if rough else metric
    assert isinstance(metric.parts[0].matrix, Sparse)
    rows = len(metric.x)
    w, turned = (written_out(lambda v, t=t: metric.half_inverse(v, t), rows) for t in (False, True))
    h = written_out(metric.apply, rows)
    np.testing.assert_allclose(turned, w.T, atol=1e-12)
    most = 2.0 if scale is None else 3.0
    soft = np.linalg.eigvalsh(softened(h, 256))
    assert soft[-1] <= most
    expected = [value * at_value(value, Sparse.SOFTEST * most, most, degree) ** 2 for value in soft]
    values = np.linalg.eigvalsh(w.T @ h @ w)
    np.testing.assert_allclose(values, np.sort(expected), rtol=1e-6, atol=1e-9)
    assert values[-1] / values[0] < np.linalg.cond(h) / 10


@pytest.mark.parametrize("scale", [None, SCALE])
def test_that_of_a_small_structure_is_the_root(scale):
    metric = metric_of(bulk("Cu", cubic=True), scale)
    rows = len(metric.x)
    w = written_out(metric.half_inverse, rows)
    np.testing.assert_array_equal(w, written_out(lambda v: metric.half_inverse(v, True), rows))
    np.testing.assert_allclose(w @ w.T @ written_out(metric.apply, rows), np.eye(3 * rows), atol=1e-9)


def test_with_internal_coordinates_it_is_the_root(monkeypatch):
    monkeypatch.setattr(parts, "DENSE", 0)
    metric = metric_of(molecule("CH3CH2OH"), stiffness=InternalStiffness())
    assert isinstance(metric.parts[0].matrix, Sparse)
    v = np.random.default_rng(0).normal(size=(9, 3))
    np.testing.assert_array_equal(metric.half_inverse(v), metric.root(v))
    np.testing.assert_array_equal(metric.half_inverse(v, transposed=True), metric.root(v))


@pytest.mark.parametrize("rough", [False, True])
def test_a_rule_gets_the_gradient_in_the_coordinates_of_its_steps(rough):
    """Steepest descent then steps along - W W^T times the gradient, a symmetric matrix."""
    metric, rng = metric_of(copper()), np.random.default_rng(0)
    metric = metric.roughened() if rough else metric
    rule = InMetric(SGD(lr=0.01), PairStiffness())

    def step(g):
        point = Point(metric.x, g, np.zeros((256, 1)), metric.seg, metric)
        return rule.update(rule.init(metric.x), point)[0]

    u, v = rng.normal(size=(2, 256, 3))
    assert (u * step(v)).sum() == pytest.approx((v * step(u)).sum(), rel=1e-9)
    assert (u * step(u)).sum() < 0


@pytest.mark.parametrize("transposed", [False, True])
def test_it_turns_with_the_structure(transposed):
    atoms, turn = copper(), rotation(3)
    v = np.random.default_rng(0).normal(size=(256, 3))
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    expected = metric_of(atoms).half_inverse(v, transposed) @ turn.T
    np.testing.assert_allclose(metric_of(turned).half_inverse(v @ turn.T, transposed), expected, atol=1e-10)
