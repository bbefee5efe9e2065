"""Rules against what others computed: the authors' codes, torch.optim, ASE, and pencil and paper."""

from __future__ import annotations

import dataclasses
import math

import ase.optimize
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from helpers import golden, replay

from relax.core.rule import Point
from relax.core.segments import Segments
from relax.rules import (
    FIRE,
    LBFGS,
    NAG,
    RPROP,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    CoRe,
    Frankenstein,
    Momentum,
    RMSprop,
)
from relax.rules.adaptive_base import GradientMemory
from relax.rules.wrappers import MaxStep

INPUTS = golden("inputs")
X0, GRADIENTS = np.array(INPUTS["x0"]), np.array(INPUTS["gradients"])


def core(
    lr=1e-3, step_sizes=(1e-6, 1e-2), etas=(0.7375, 1.2), betas=(0.7375, 0.8125, 250.0, 0.99),
    eps=1e-8, weight_decay=0.1, score_history=0, frozen=0.0,
):  # fmt: skip
    """CoRe from the keywords, and with the defaults, of the authors' package."""
    (s_min, s_max), (eta_minus, eta_plus), (beta1a, beta1b, beta1c, beta2) = step_sizes, etas, betas
    # From the paper's form, so that what is ours stays off.
    return dataclasses.replace(
        CoRe.paper(), s_0=lr, s_min=s_min, s_max=s_max, eta_minus=eta_minus, eta_plus=eta_plus,
        beta1a=beta1a, beta1b=beta1b, beta1c=beta1c, beta2=beta2, eps=eps, weight_decay=weight_decay,
        t_hist=score_history, frozen=frozen,
    )  # fmt: skip


def rosenbrock(rule, steps):
    """Return the path on (1 - x)^2 + 100 (y - x^2)^2 from (-1.5, 2); the third component stands by."""
    x = np.array([[-1.5, 2.0, 0.0]])
    seg, state, path = Segments([1]), rule.init(x), []
    for _ in range(steps):
        a, b = x[0, :2]
        e = (1 - a) ** 2 + 100 * (b - a * a) ** 2
        g = np.array([[-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a), 0.0]])
        dx, state = rule.update(state, Point(x, g, np.array([[e]]), seg))
        x = x + dx
        path.append(x[0, :2])
    return np.array(path)


AUTHORS = {"core": core, "frankenstein": Frankenstein.package}
RUNS = [(name, k) for name in AUTHORS for k in range(len(golden(name)["runs"]))]
ROSENBROCK = [(name, k) for name in AUTHORS for k in range(len(golden(name)["rosenbrock"]))]


@pytest.mark.parametrize(("name", "k"), RUNS)
def test_rule_reproduces_golden_run(name, k):
    run = golden(name)["runs"][k]
    path = replay(AUTHORS[name](**run["hyperparameters"]), X0, GRADIENTS)
    np.testing.assert_allclose(path, run["positions"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "k"), ROSENBROCK)
def test_rule_reproduces_golden_rosenbrock(name, k):
    # The gradient is 1e3 and the valley narrow, so that even the order in which it is added up shows.
    run = golden(name)["rosenbrock"][k]
    path = rosenbrock(AUTHORS[name](**run["hyperparameters"]), len(run["positions"]))
    np.testing.assert_allclose(path, run["positions"], rtol=0, atol=1e-12)


def torch_path(optimizer, gradients=GRADIENTS, start=X0, **settings):
    """Return the path of a torch optimizer that is fed with ``gradients``."""
    x = torch.nn.Parameter(torch.tensor(np.array(start), dtype=torch.float64))
    descent, path = optimizer([x], **settings), []
    for g in gradients:
        x.grad = torch.tensor(g, dtype=torch.float64)
        descent.step()
        path.append(x.detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"step_sizes": (1e-6, 0.1), "weight_decay": 0.0, "betas": (0.6, 0.8, 20.0, 0.9)},
        {"step_sizes": (1e-5, 0.05), "score_history": 12, "frozen": 0.3},
        {"score_history": 8, "frozen": 0.1, "betas": (0.7, 0.7, 250.0, -1.0), "weight_decay": 0.0},
        {"lr": 0.02, "step_sizes": (1e-3, 0.2), "etas": (0.5, 1.5), "score_history": 5},
    ],
)
def test_core_equals_the_authors_package(settings):
    package = pytest.importorskip("core_optimizer")
    rng = np.random.default_rng(7)
    # A drift makes importance differ from component to component; the noise makes gradients turn.
    gradients = 3 * rng.normal(size=(5, 3)) + 2 * rng.normal(size=(80, 5, 3))
    start = rng.normal(size=(5, 3))
    expected = torch_path(package.CoRe, gradients, start, **settings)
    np.testing.assert_allclose(replay(core(**settings), start, gradients), expected, rtol=0, atol=1e-12)


def test_core_two_steps_by_hand():
    first, second, x = 4.0, -0.5, 2.0
    rule = core(
        lr=0.01,
        step_sizes=(1e-6, 0.1),
        etas=(0.5, 1.2),
        betas=(0.6, 0.8, 10.0, 0.9),
        eps=1e-3,
        weight_decay=0.1,
    )
    g1, h1 = 0.4 * first, 0.1 * first**2
    u1 = (g1 / (1 - 0.6)) / (math.sqrt(h1 / (1 - 0.9)) + 1e-3)
    x1 = x - 0.1 * abs(u1 * 0.01) * x - u1 * 0.01

    beta1 = 0.8 + (0.6 - 0.8) * math.exp(-((1 / 10) ** 2))
    g2, h2 = beta1 * g1 + (1 - beta1) * second, 0.9 * h1 + 0.1 * second**2
    u2 = (g2 / (1 - beta1**2)) / (math.sqrt(h2 / (1 - 0.9**2)) + 1e-3)
    s2 = 1.2 * 0.01  # g1 g2 > 0: the mean has not turned, although the gradient has
    assert g1 * g2 > 0
    x2 = x1 - 0.1 * abs(u2 * s2) * x1 - u2 * s2

    path = replay(rule, [[x, x, x]], [[[first] * 3], [[second] * 3]])
    np.testing.assert_allclose(path[:, 0, 0], [x1, x2], rtol=1e-14)


def test_core_freezes_the_most_important_component_by_hand():
    # u = sgn g and a history of one step leave S1 = |g1| s_0, so that the first component is on top.
    rule = core(
        lr=0.01,
        step_sizes=(1e-6, 0.1),
        betas=(0.5, 0.5, 1.0, -1.0),
        weight_decay=0.0,
        score_history=1,
        frozen=0.34,
    )
    path = replay(rule, [[0.0, 0.0, 0.0]], [[[3.0, -1.0, 2.0]], [[3.0, -1.0, -8.0]]])
    np.testing.assert_allclose(path[0], [[-0.01, 0.01, -0.01]], rtol=1e-14)
    # Frozen; grown by eta_plus; turned, hence cut by eta_minus.
    np.testing.assert_allclose(path[1] - path[0], [[0.0, 0.012, 0.007375]], rtol=1e-12)


def algorithm_1(start, gradients, alpha):
    """Return the path of one number along Algorithm 1 of arXiv:2503.02147, line by line."""
    epsilon = 1e-8
    theta, m, v, x_last = start, 0.0, 0.0, alpha
    path = []
    for g in gradients:
        beta1 = 1 - min(max(0.1 * math.sqrt(alpha / 1e-3), 0.05), 0.99)
        P = math.acos(math.tanh(m * g)) / math.pi
        x = g**2 + epsilon
        v = max(v, x)
        rho = math.log(min(max(math.e + math.sqrt(x) + 0.5 - P, math.e**0.8), math.e**1.05))
        xi = (1 + math.e**-0.5) / (1 + math.e ** -abs(x_last - P))
        m = rho * beta1 * m - alpha * g * xi / math.sqrt(v)
        theta = theta + beta1 * m - alpha * g * xi / math.sqrt(v)
        beta2 = 1 - x / x_last * abs(0.5 - P)
        v = beta2 * v + (1 - beta2) * x
        x_last = x
        path.append(theta)
    return path


@pytest.mark.parametrize("alpha", [2e-4, 1e-3, 1e-2, 0.3])
def test_frankenstein_paper_equals_algorithm_1(alpha):
    path = replay(Frankenstein.paper(alpha), X0, GRADIENTS)
    for row in range(len(X0)):
        for k in range(3):
            expected = algorithm_1(X0[row, k], GRADIENTS[:, row, k].tolist(), alpha)
            np.testing.assert_allclose(path[:, row, k], expected, rtol=0, atol=1e-12)


BY_COMPONENT = {"granularity": "component"}
CLASSICS = {
    "sgd": (SGD(lr=0.01, momentum=0.0, nesterov=False), torch.optim.SGD, {"lr": 0.01}),
    "heavy ball": (
        SGD(lr=0.01, momentum=0.8, nesterov=False),
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.8},
    ),
    "nesterov": (
        SGD(lr=0.01, momentum=0.8, nesterov=True),
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.8, "nesterov": True},
    ),
    "momentum": (Momentum(lr=0.02, momentum=0.9), torch.optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "nag": (NAG(lr=0.02, momentum=0.9), torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    "adagrad": (
        AdaGrad(lr=0.1, eps=1e-10, **BY_COMPONENT),
        torch.optim.Adagrad,
        {"lr": 0.1, "eps": 1e-10},
    ),
    "adadelta": (
        AdaDelta(lr=0.9, beta2=0.8, eps=1e-5, **BY_COMPONENT),
        torch.optim.Adadelta,
        {"lr": 0.9, "rho": 0.8, "eps": 1e-5},
    ),
    "rmsprop": (
        RMSprop(lr=0.01, beta2=0.95, eps=1e-7, **BY_COMPONENT),
        torch.optim.RMSprop,
        {"lr": 0.01, "alpha": 0.95, "eps": 1e-7},
    ),
    "adam": (
        Adam(lr=0.05, beta1=0.8, beta2=0.99, eps=1e-7, **BY_COMPONENT),
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-7},
    ),
    "adamax": (
        AdaMax(lr=0.05, beta1=0.8, beta2=0.99, eps=1e-7, **BY_COMPONENT),
        torch.optim.Adamax,
        {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-7},
    ),
    "rprop": (
        RPROP(
            s_0=0.02, s_min=1e-5, s_max=0.1, eta_minus=0.6, eta_plus=1.3, backtracking=True, **BY_COMPONENT
        ),
        torch.optim.Rprop,
        {"lr": 0.02, "etas": (0.6, 1.3), "step_sizes": (1e-5, 0.1)},
    ),
}


@pytest.mark.parametrize("name", CLASSICS)
def test_classic_rule_equals_torch(name):
    rule, optimizer, settings = CLASSICS[name]
    expected = torch_path(optimizer, **settings)
    np.testing.assert_allclose(replay(rule, X0, GRADIENTS), expected, rtol=1e-13, atol=1e-13)


def copper():
    """A rattled cluster of copper, whose first steps of FIRE and LBFGS meet the trust radius."""
    atoms = Octahedron("Cu", 3, cutoff=1)
    atoms.rattle(0.25, seed=3)
    atoms.calc = EMT()
    return atoms


def ase_deviation(rule, optimizer, steps, **settings):
    """Return the largest distance between a rule's and an ASE optimizer's positions, and the path."""
    theirs = copper()
    ours: Atoms = copper()
    dynamics = optimizer(theirs, logfile=None, **settings)
    x = ours.get_positions()
    seg, state, worst, lengths = Segments([len(x)]), rule.init(x), 0.0, []
    for _ in range(steps):
        ours.set_positions(x)
        e = np.full((len(x), 1), ours.get_potential_energy())
        dx, state = rule.update(state, Point(x, -ours.get_forces(), e, seg))
        x = x + dx
        lengths.append(np.linalg.norm(dx, axis=1).max())
        dynamics.step()
        worst = max(worst, float(np.abs(x - theirs.positions).max()))
    return worst, np.array(lengths)


def test_fire_equals_ase():
    fire = FIRE(dt=0.1, dt_max=1.0, n_min=5, f_inc=1.1, f_dec=0.5, a_start=0.1, f_a=0.99)
    worst, lengths = ase_deviation(
        MaxStep(fire, 0.2, norm="structure"), ase.optimize.FIRE, steps=60,
        dt=0.1, maxstep=0.2, dtmax=1.0, Nmin=5, finc=1.1, fdec=0.5, astart=0.1, fa=0.99, a=0.1,
    )  # fmt: skip
    assert worst < 1e-12
    assert lengths.max() > 10 * lengths.min()


def test_lbfgs_equals_ase():
    lbfgs = LBFGS(memory=100, alpha=70.0, scaled=False, careful=False)
    worst, lengths = ase_deviation(
        MaxStep(lbfgs, 0.2, norm="atom"), ase.optimize.LBFGS, steps=30, maxstep=0.2, memory=100, alpha=70.0
    )
    assert worst < 1e-10
    assert np.isclose(lengths, 0.2).any()  # the trust radius has been met


def test_lbfgs_forgets_as_ase_does():
    lbfgs = LBFGS(memory=4, alpha=70.0, scaled=False, careful=False)
    worst, _ = ase_deviation(
        MaxStep(lbfgs, 0.2, norm="atom"), ase.optimize.LBFGS, steps=20, maxstep=0.2, memory=4, alpha=70.0
    )
    assert worst < 1e-10


def told(gradient):
    """Return the point at which one structure has this gradient, eV/A."""
    g = np.array(gradient)
    return Point(0 * g, g, 0 * g[:, :1], Segments([len(g)]))


def test_gradient_memory_by_hand_by_component():
    memory = GradientMemory(Adam(granularity="component"), beta2=0.9)
    held = memory.update(memory.init(np.zeros((1, 3))), told([[1.0, -2.0, 0.5]]), 0.5)
    held = memory.update(held, told([[3.0, 2.0, 0.5]]), 0.5)
    np.testing.assert_allclose(held["g"], [[1.75, 0.5, 0.375]], rtol=1e-15)
    np.testing.assert_allclose(held["h"], [[0.09 + 0.9, 0.36 + 0.4, 0.0225 + 0.025]], rtol=1e-14)
    np.testing.assert_array_equal(held["t"], [[2.0]])
    np.testing.assert_allclose(memory.magnitude(held, unbiased=False), np.sqrt(held["h"]), rtol=1e-15)
    rms = np.sqrt(held["h"] / 0.19)
    np.testing.assert_allclose(memory.magnitude(held, unbiased=True), rms, rtol=1e-14)
    expected = held["g"] / 0.75 / (rms + 1e-3)
    np.testing.assert_allclose(memory.normalised(held, 0.5, 1e-3), expected, rtol=1e-14)


def test_gradient_memory_by_hand_by_atom():
    memory = GradientMemory(Adam(granularity="atom"), beta2=0.9)
    held = memory.update(memory.init(np.zeros((2, 3))), told([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]]), 0.5)
    np.testing.assert_allclose(held["g"], [[1.5, 2.0, 0.0], [0.0, 0.0, 1.0]], rtol=1e-15)
    np.testing.assert_allclose(held["h"], [[2.5], [0.4]], rtol=1e-14)
    # After one step both corrections undo the start from zero: the unit vector along the gradient.
    unit = memory.normalised(held, 0.5, 0.0)
    np.testing.assert_allclose(unit, [[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], rtol=1e-14)


def test_gradient_memory_with_a_coefficient_for_each_row():
    memory = GradientMemory(Adam(granularity="atom"), beta2=0.9)
    held = memory.update(memory.init(np.zeros((2, 3))), told(np.ones((2, 3))), np.array([[0.0], [0.75]]))
    np.testing.assert_allclose(held["g"], [[1.0] * 3, [0.25] * 3], rtol=1e-15)
