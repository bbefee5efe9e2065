"""The model of kriging: features, kernel, process, deviation, and its minimum within a radius."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.optimize import minimize
from scipy.sparse import block_diag, csr_array

from relax.core.segments import Segments
from relax.preconditioner.base import Identity
from relax.preconditioner.features import Places
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.rules.kriging.deviation import Deviation
from relax.rules.kriging.feature_metric import FeatureMetric
from relax.rules.kriging.kernel import Matern
from relax.rules.kriging.minimum import minimum_within
from relax.rules.kriging.process import Process, Value
from relax.rules.kriging.upper_bound import UpperBound


def model_of(atoms: Atoms, scale: float | None = None) -> ModelHessian:
    x = atoms.positions if scale is None else np.concatenate([atoms.positions, np.zeros((3, 3))])
    network = SpringNetwork(atoms.numbers, x, atoms.cell.array, atoms.pbc, InternalStiffness(), scale, None)
    return ModelHessian([network], InternalStiffness())


CASES = {
    "ethanol": lambda: model_of(molecule("CH3CH2OH")),
    "diamond with its cell": lambda: model_of(bulk("C", "diamond", 3.6, cubic=True), 3.0),
    "copper": lambda: model_of(bulk("Cu", cubic=True)),
}


def curved(u, j):
    """Return features at K places, all of them curved, with the derivatives (K, F, n)."""
    return Places(u, block_diag([csr_array(one) for one in j], format="csr"), np.zeros((0, j.shape[2])))


def derivatives(features, x):
    """Return the derivatives (F, n) of features at rows (R, 3)."""
    place = features.at(x[None])
    return np.concatenate([place.curved.toarray(), place.straight])


def differences(function, x, h=1e-5):
    """Return the derivatives of a function of (n,) by central differences, one row for each coordinate."""
    return np.stack([(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(len(x))])


@pytest.mark.parametrize("name", CASES)
def test_features_make_the_model_hessian(name):
    model = CASES[name]()
    features = model.features(0, 7.0)
    v = np.random.default_rng(0).normal(size=model.x.shape)
    j = derivatives(features, model.x)
    np.testing.assert_allclose(features.at(model.x[None]).u, 0.0, atol=1e-12)
    np.testing.assert_allclose((j.T @ j) @ v.ravel(), 7 * model.apply(v).ravel(), rtol=1e-9)
    whole = np.stack([model.apply(e.reshape(v.shape)).ravel() for e in np.eye(v.size)])
    np.testing.assert_allclose(7 * whole, j.T @ j, rtol=0, atol=1e-8)
    if model.seg.tensors[0]:
        v[-3:] += v[-3:].T  # the antisymmetric part of a strain is a rotation
    there, h = model.x + 0.05 * v, 1e-5
    for w in np.random.default_rng(1).normal(size=(5, *v.shape)):
        if model.seg.tensors[0]:
            w[-3:] += w[-3:].T
        by_hand = (features.at((there + h * w)[None]).u[0] - features.at((there - h * w)[None]).u[0]) / (
            2 * h
        )
        np.testing.assert_allclose(derivatives(features, there) @ w.ravel(), by_hand, atol=1e-6)


def test_features_of_the_same_bond_or_angle_are_a_group():
    """Ethanol has 8 bonds, bends at both carbon atoms and at the oxygen atom, and two bonds with torsions."""
    features = CASES["ethanol"]().features(0, 7.0)
    j = derivatives(features, features.x)
    touched = np.abs(j).reshape(len(j), -1, 3).max(axis=2) > 1e-9
    found = {}
    for group in range(features.groups.max() + 1):
        own = touched[features.groups == group]
        found.setdefault(int(own.sum(axis=1).max()), []).append(own)
    distances = molecule("CH3CH2OH").get_all_distances()
    bonds = {(i, k) for i in range(9) for k in range(i + 1, 9) if distances[i, k] < 1.6}
    assert bonds <= {tuple(np.flatnonzero(own[0])) for own in found[2] if len(own) == 1}
    bends, turns = ({tuple(np.flatnonzero(own.all(axis=0))): len(own) for own in found[k]} for k in (3, 4))
    assert bends == {(0,): 6, (1,): 6, (1, 2, 3): 1}  # four neighbours make six angles
    assert turns == {(0, 1): 9, (1, 2, 3): 3}  # all of the latter have the hydrogen of the hydroxyl group


@pytest.mark.parametrize("name", CASES)
def test_the_metric_of_features_is_that_of_their_derivatives(name):
    model = CASES[name]()
    features, rng = model.features(0, 7.0), np.random.default_rng(2)
    x, v = model.x + 0.05 * rng.normal(size=model.x.shape), rng.normal(size=model.x.shape)
    metric, j = FeatureMetric(features, x), derivatives(features, x)
    np.testing.assert_allclose(metric.apply(v).ravel(), j.T @ (j @ v.ravel()), rtol=1e-9)
    np.testing.assert_allclose(metric.solve(metric.apply(v)), v, rtol=1e-6)
    np.testing.assert_allclose(metric.root(metric.root(v)), metric.solve(v), rtol=1e-6)
    np.testing.assert_allclose(metric.size, (j**2).sum() / v.size, rtol=1e-9)
    moved, kept = metric.reused(x, model.x)
    np.testing.assert_array_equal(moved.reused(kept, x)[0].apply(v), metric.apply(v))
    np.testing.assert_allclose(moved.apply(v), 7 * model.apply(v), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_metric_of_features_transports_and_retracts_as_the_model_hessian_does(name):
    """That has the same coordinates, and solves with errors of a hundredth."""
    model = CASES[name]()
    features, rng = model.features(0, 7.0), np.random.default_rng(3)
    metric, n = FeatureMetric(features, model.x), len(model.networks[0].numbers)
    x, g = np.stack(3 * [model.x]), rng.normal(size=(3, *model.x.shape))
    x[1:, :n] += 0.1 * rng.normal(size=(2, n, 3))
    g -= g.mean(axis=1, keepdims=True)
    for found, expected in zip(metric.transport(x, g), model.transport(x, g), strict=True):
        size = np.abs(expected - expected[0]).max()
        np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=0, atol=0.03 * size)
    np.testing.assert_allclose(metric.transport(x[:1], g[:1])[1], g[:1], atol=1e-6)

    dx = np.zeros_like(model.x)
    dx[:n] = 0.1 * rng.normal(size=(n, 3))
    wanted = derivatives(features, model.x) @ dx.ravel()

    def missing(z):
        return ((features.values((model.x + z)[None])[0] - wanted) ** 2).sum()

    assert missing(metric.retract(dx)) <= 1.3 * missing(model.retract(dx)) + 1e-20
    np.testing.assert_allclose(metric.retract(1e-5 * dx), 1e-5 * dx, rtol=1e-2, atol=1e-9)


class Linear:
    """Features that are a linear function of the coordinates."""

    def __init__(self, n: int, f: int) -> None:
        self.j = np.random.default_rng(5).normal(size=(f, n))
        self.groups = np.arange(f) % 4

    def at(self, x):
        flat = x.reshape(len(x), -1)
        return curved(flat @ self.j.T, np.repeat(self.j[None], len(x), axis=0))


class Curved(Linear):
    """Features of which a part is the square of a coordinate."""

    def at(self, x):
        flat, bent = x.reshape(len(x), -1), 0.2 * self.j[::-1]
        return curved(flat @ self.j.T + (flat @ bent.T) ** 2, self.j + 2 * (flat @ bent.T)[:, :, None] * bent)


class Mixed(Curved):
    """Features of which the last two are straight, and a group."""

    def __init__(self, n: int, f: int) -> None:
        super().__init__(n, f)
        self.groups[-2:] = 3

    def at(self, x):
        bent, straight, flat = super().at(x), self.j[-2:], x.reshape(len(x), -1)
        kept = np.tile(np.arange(len(self.j)) < len(self.j) - 2, len(x))
        return Places(
            np.concatenate([bent.u[:, :-2], flat @ straight.T], axis=1), bent.curved[kept], straight
        )


def some_gradients(n: int, count: int, seed: int = 2):
    rng = np.random.default_rng(seed)
    return 0.3 * rng.normal(size=(count, n // 3, 3)), rng.normal(size=(count, n // 3, 3))


@pytest.mark.parametrize("name", CASES)
def test_a_process_has_the_gradients_that_it_knows(name):
    model = CASES[name]()
    rng, features = np.random.default_rng(1), model.features(0, 10.0)
    x = model.x + 0.1 * rng.normal(size=(3, *model.x.shape))
    g = 0.5 * rng.normal(size=x.shape)
    process = Process(features, 0.6, x, g, 4.0, 1e-6)
    for place, gradient in zip(x, g, strict=True):
        np.testing.assert_allclose(process(features.at(place[None])).gradient, gradient.ravel(), atol=1e-3)


@pytest.mark.parametrize("local", [0.0, 0.9])
@pytest.mark.parametrize("prior", [0.0, 0.6])
def test_value_and_gradient_of_a_process_belong_together(prior, local):
    x, g = some_gradients(9, 4)
    features = Linear(9, 12)
    process = Process(features, prior, x, g, 3.0, 1e-3, local=local)
    deviation = Deviation(process, features.at(x[:1]))
    there = np.random.default_rng(3).normal(size=9)
    for what in (lambda place, _: process(place), deviation):

        def at(y, what=what):
            return what(features.at(y.reshape(1, -1, 3)), y - x[0].ravel())

        gradient = differences(lambda y: np.array(at(y).value), there)
        np.testing.assert_allclose(at(there).gradient, gradient, atol=1e-7)


@pytest.mark.parametrize("kind", [Curved, Mixed])
@pytest.mark.parametrize("local", [0.0, 0.9])
def test_a_process_is_what_its_kernel_says(local, kind):
    """Mean and deviation by hand, from the kernel of energies alone, differentiated by differences."""
    features, (x, g) = kind(3, 5), some_gradients(3, 3)
    noise, length, h = 1e-2, 3.0, 1e-3

    def kernel(x, y):
        u, v = features.at(np.array([x, y]).reshape(2, 1, 3)).u
        d = u - v
        squares = [(d**2).sum()] + [(d[features.groups == group] ** 2).sum() for group in range(4)]
        t = np.sqrt(5 * np.array(squares)) / length
        return np.array([1 - local] + 4 * [local]) @ ((1 + t + t * t / 3) * np.exp(-t))

    def slopes(function, at):
        return differences(lambda y: np.array(function(y.reshape(1, 3))), at.ravel(), h)

    def mixed(a, b):
        return slopes(lambda y: slopes(lambda z: kernel(y, z), b), a)

    known = np.eye(9) - np.eye(9, k=-3) - np.eye(9, k=-6)  # the newest, and what others are above it
    known[6:, 3:6] = 0.0
    covariance = known @ np.block([[mixed(a, b) for b in x] for a in x]) @ known.T
    sizes = np.linalg.norm(g, axis=2) / np.linalg.norm(g, axis=2).max()
    covariance += noise**2 * np.trace(covariance[:3, :3]) / 3 * np.diag(np.repeat(sizes, 3) ** 2)
    there, process = np.array([[0.2, -0.1, 0.4]]), Process(features, 0.0, x, g, length, noise, local=local)
    numbers = known @ g.ravel()

    def with_gradients(y):
        return known @ np.concatenate([slopes(lambda z: kernel(y, z), b) for b in x])

    place, origin, moved = features.at(there[None]), features.at(x[:1]), (there - x[0]).ravel()
    difference = with_gradients(there) - with_gradients(x[0])
    found = process(place).value - process(origin).value
    assert found == pytest.approx(difference @ np.linalg.solve(covariance, numbers), rel=1e-3)
    tangent = difference - known @ np.concatenate([mixed(x[0], b).T @ moved for b in x])
    rest = (
        kernel(there, there)
        + kernel(x[0], x[0])
        - 2 * kernel(there, x[0])
        + moved @ mixed(x[0], x[0]) @ moved
    )
    rest -= 2 * moved @ (slopes(lambda z: kernel(there, z), x[0]) - slopes(lambda z: kernel(x[0], z), x[0]))
    rest -= tangent @ np.linalg.solve(covariance, tangent)
    size = numbers @ np.linalg.solve(covariance, numbers) / 9
    assert Deviation(process, origin)(place, moved).value == pytest.approx(np.sqrt(size * rest), rel=1e-3)


def test_gradients_that_are_all_zero_make_a_flat_surface():
    features, x = Linear(9, 12), some_gradients(9, 2)[0]
    process = Process(features, 0.0, x, 0.0 * x, 3.0, 1e-3)
    place, moved = features.at(x[1:]), (x[1] - x[0]).ravel()
    np.testing.assert_array_equal(process(place).gradient, 0.0)
    np.testing.assert_array_equal(Deviation(process, features.at(x[:1]))(place, moved).gradient, 0.0)


def test_a_kernel_is_exact_for_places_near_each_other():
    """Its Taylor series: k = 1 - t^2/6 + t^4/24 - ..., of which differences leave nothing."""
    kernel = Matern.of([np.zeros(1, int)], np.ones(1), 5**0.5)  # r is t
    for t in (1e-7, 1e-5, 1e-3):
        _, lost, along = kernel.slopes(np.array([[t]]))
        assert lost[0, 0] == pytest.approx(t * t / 6, rel=2 * t)
        assert along[0, 0] == pytest.approx(1 / 3, rel=2 * t)
        assert kernel.above_tangent(np.array([t])) == pytest.approx(t**4 / 4, rel=2 * t)


def test_noise_of_a_small_gradient_is_small():
    x, g = some_gradients(9, 3)
    g *= np.array([1e-2, 0.1, 1.0])[:, None, None]
    features = Linear(9, 12)
    process = Process(features, 0.6, x, g, 3.0, 0.1)
    apart = [np.abs(process(features.at(x[k : k + 1])).gradient - g[k].ravel()).max() for k in range(3)]
    assert apart[0] < apart[1] < apart[2]
    assert apart[0] < 0.02 * apart[2]


def test_rounding_near_the_minimum_changes_a_process_no_more_than_that():
    """Steps and forces become shorter: after the last step, of 1e-4 A, all gradients are almost the same."""
    features, rng = Curved(9, 12), np.random.default_rng(4)
    a = features.j.T @ features.j
    x = (0.3 ** np.arange(8)[::-1, None] * rng.normal(size=(8, 9))).reshape(8, 3, 3)
    g = (x.reshape(8, 9) @ a + (x.reshape(8, 9) ** 3)).reshape(x.shape)
    there, found = x[0] + 1e-4, []
    for change in (0.0, 1e-15):
        places = x * (1 + change * rng.normal(size=x.shape))
        process = Process(features, 0.6, places, g, 12.0, 1e-3, local=0.9)
        deviation = Deviation(process, features.at(places[:1]))
        place, moved = features.at(there[None]), (there - places[0]).ravel()
        found.append((process(place).gradient, deviation(place, moved).gradient))
    size = np.abs(found[0][0]).max()
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-9 * size)


def test_one_step_tells_of_every_group_where_the_process_is_local():
    """The energy is a sum of springs, one for each group: two gradients are enough for all of them."""
    features = Linear(9, 9)
    features.j, features.groups = np.eye(9), np.arange(9)
    springs = np.linspace(0.5, 2.0, 9)
    steps = np.array([9 * [0.0], 9 * [0.3], [0.3, -0.3, 0.3, -0.3, 0.3, -0.3, 0.3, -0.3, 0.3]])
    x, g = steps.reshape(3, 3, 3), (steps * springs).reshape(3, 3, 3)
    apart = []
    for local in (0.0, 0.99):
        process = Process(features, 0.0, x[:2], g[:2], 100.0, 1e-6, local=local)
        apart.append(np.abs(process(features.at(x[2:])).gradient - g[2].ravel()).max())
    assert apart[0] > 0.2
    assert apart[1] < 0.05


def test_a_gradient_that_is_known_leaves_little_doubt_of_its_direction():
    x, g = some_gradients(9, 2)
    features = Linear(9, 12)
    one = Process(features, 0.0, x[:1], g[:1], 12.0, 1e-3)
    two = Process(features, 0.0, x, g, 12.0, 1e-3)
    across = x[0] + 0.3 * np.random.default_rng(6).normal(size=x[0].shape)

    for process, doubtful in ((one, True), (two, False)):
        deviation = Deviation(process, features.at(x[:1]))
        begin, along, beside = (
            deviation(features.at(y[None]), (y - x[0]).ravel()).value for y in (x[0], x[1], across)
        )
        assert begin == 0.0
        assert (along / beside > 0.5) == doubtful


def test_gradients_of_a_quadratic_function_are_learned():
    features = Linear(9, 9)
    a = features.j.T @ features.j @ np.diag(np.linspace(0.5, 2.0, 9)) @ features.j.T @ features.j
    x, _ = some_gradients(9, 12)
    g = (x.reshape(12, 9) @ a.T).reshape(x.shape)
    process = Process(features, 0.6, x, g, 500.0, 1e-8)
    between = x.mean(axis=0)
    found = process(features.at(between[None])).gradient
    np.testing.assert_allclose(found, a @ between.ravel(), rtol=0.05, atol=0.05)


def test_rough_gradients_count_less_but_for_the_newest():
    x, g = some_gradients(9, 3)
    features = Linear(9, 12)
    there, first, second = (features.at(y[None]) for y in (np.full((3, 3), 0.1), x[0], x[1]))
    newest = Process(features, 0.6, x[:1], g[:1], 3.0, 1e-3)
    kept = [Process(features, 0.6, x, g, 3.0, 1e-3, rough=rough) for rough in (1e-9, 0.03, 1e9)]
    apart = [np.abs(process(second).gradient - g[1].ravel()).max() for process in kept]
    assert apart[0] < apart[1] < apart[2]
    np.testing.assert_allclose(kept[2](there).gradient, newest(there).gradient, rtol=1e-4, atol=1e-5)
    assert np.abs(kept[1](first).gradient - g[0].ravel()).max() < 1e-2


def test_the_bound_is_the_surface_where_it_begins_and_above_it_elsewhere():
    x, g = some_gradients(9, 2)
    features, a = Linear(9, 12), np.diag(np.arange(1.0, 10.0))

    def cheap(y):
        flat = y.ravel()
        return float(0.5 * flat @ a @ flat), (a @ flat).reshape(y.shape)

    process = Process(features, 0.6, x, g, 12.0, 1e-3, np.stack([cheap(y)[1] for y in x]), 0.03, local=0.9)
    there = np.random.default_rng(8).normal(size=9)
    model, bound = (UpperBound(features, process, x[0], caution, cheap) for caution in (0.0, 2.0))
    assert bound(x[0]).value == model(x[0]).value
    np.testing.assert_array_equal(bound(x[0]).gradient, model(x[0]).gradient)
    np.testing.assert_allclose(model(x[0]).gradient, g[0].ravel(), atol=1e-2)
    place, moved = features.at(there.reshape(1, 3, 3)), there - x[0].ravel()
    above = bound(there.reshape(3, 3)).value - model(there.reshape(3, 3)).value
    assert above == pytest.approx(2 * Deviation(process, features.at(x[:1]))(place, moved).value)
    assert above > 0
    gradient = differences(lambda y: np.array(bound(y.reshape(3, 3)).value), there)
    np.testing.assert_allclose(bound(there.reshape(3, 3)).gradient, gradient, atol=1e-6)


@pytest.mark.parametrize(("cheap", "share"), [("right", 1.0), ("tenfold", 0.1), ("noise", 0.0)])
def test_the_share_of_a_cheap_surface_is_what_it_says_of_the_gradients(cheap, share):
    features = Linear(9, 9)
    a = features.j.T @ features.j @ np.diag(np.linspace(0.5, 2.0, 9)) @ features.j.T @ features.j
    x, noise = some_gradients(9, 4)
    g = (x.reshape(4, 9) @ a.T).reshape(x.shape)
    p = {"right": g, "tenfold": 10 * g, "noise": np.abs(g).mean() * noise}[cheap]
    process = Process(features, 0.0, x, g, 50.0, 1e-3, p, 0.0)
    assert process.share == pytest.approx(share, abs=0.02)


def test_beside_more_than_a_cheap_surface_no_less_than_none_of_the_model_hessian_counts():
    """A negative part of it would make soft what the cheap surface has right."""
    features = Linear(9, 9)
    a = features.j.T @ features.j
    x, _ = some_gradients(9, 4)
    g = (x.reshape(4, 9) @ a.T).reshape(x.shape)
    for stiffness, share, rest in ((0.8, 1 / 0.83, 0.03 / 0.83), (2.0, 0.4 / 1.43, 1 - 2 * 0.4 / 1.43)):
        process = Process(features, 0.6, x, g, 50.0, 1e-3, stiffness * g, 0.03)
        assert process.share == pytest.approx(share, abs=0.01)  # of share * stiffness + rest = 1
        assert process.prior == pytest.approx(rest, abs=0.01)


def quadratic(a, b):
    def at(x):
        y = x.ravel()
        return Value(float(0.5 * y @ a @ y + b @ y), a @ y + b)

    return at


@pytest.mark.parametrize("lowest", [0.5, -2.0])
@pytest.mark.parametrize("radius", [0.1, 0.5, 50.0])
def test_the_minimum_within_a_radius_is_as_low_as_cauchys_point_and_free_it_is_the_minimum(lowest, radius):
    if lowest < 0 and radius > 1:
        pytest.skip("there is no minimum")
    for seed in range(10):
        rng = np.random.default_rng(seed)
        turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        a, b = turn @ np.diag([lowest, 1, 2, 3, 5, 9]) @ turn.T, rng.normal(size=6)
        model, x = quadratic(a, b), np.zeros((2, 3))
        step, change = minimum_within(model, x, Identity(x), 4.0, radius, Segments([2]))
        assert np.linalg.norm(step, axis=1).max() <= radius * (1 + 1e-9)
        assert change == pytest.approx(model(step).value, abs=1e-12)
        short = {"type": "ineq", "fun": lambda z: radius**2 - (z.reshape(2, 3) ** 2).sum(axis=1)}
        best = minimize(lambda z: model(z).value, 0.01 * b, constraints=short, method="SLSQP")  # noqa: B023
        downhill = -b * radius / np.linalg.norm(b.reshape(2, 3), axis=1).max()
        part = min(1.0, -(b @ downhill) / max(downhill @ a @ downhill, 1e-9))
        assert best.fun - 1e-6 <= change <= 0.97 * model(part * downhill).value  # Cauchy's point
        assert change <= 0.55 * best.fun
        if lowest > 0 and radius > 10:
            assert change <= 0.9999 * best.fun
            np.testing.assert_allclose(step.ravel(), np.linalg.solve(a, -b), atol=5e-3)


def test_the_search_turns_no_cell():
    """A gradient by a log strain is no symmetric matrix at another one, and features do not know of turns."""
    features = CASES["diamond with its cell"]().features(0, 40.0)
    x, seg = features.x, Segments([len(features.x)], [True])
    b = 0.05 * np.random.default_rng(3).normal(size=x.shape)
    bound = quadratic(np.eye(x.size), b.ravel())
    metric = FeatureMetric(features, x)
    step, change = minimum_within(lambda y: bound(y - x), x, metric, 1.0, 9.0, seg)
    b[-3:] = 0.5 * (b[-3:] + b[-3:].T)
    np.testing.assert_allclose(step[-3:], step[-3:].T, atol=1e-12)
    assert change == pytest.approx(-0.5 * (b * b).sum(), rel=0.02)


def test_the_minimum_far_along_a_torsion_takes_few_places_of_the_model():
    """Methyl turns by 30 degrees, and distances between neighbours are to stay."""
    atoms, places = molecule("C2H6"), []
    stiff = atoms.get_all_distances() < 2.3
    before = atoms.get_dihedral(2, 0, 1, 5)

    def energy(x):
        atoms.positions = x.reshape(-1, 3)
        turn = np.radians(atoms.get_dihedral(2, 0, 1, 5) - before)
        return 20 * ((atoms.get_all_distances() - kept)[stiff] ** 2).sum() - 0.1 * np.sin(3 * turn)

    def model(x):
        places.append(x)
        return Value(energy(x), differences(lambda y: np.array(energy(y)), x.ravel()))

    x, kept = atoms.positions.copy(), atoms.get_all_distances()
    step, change = minimum_within(model, x, model_of(atoms), 40.0, 3.0, Segments([8]))
    assert change == pytest.approx(-0.1, abs=1e-3)
    assert len(places) <= 20
    assert np.linalg.norm(step, axis=1).max() > 0.2
