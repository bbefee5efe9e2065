"""Wrappers and schedules, by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from helpers import Walk, cluster, morse

from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.rules import FIRE, LBFGS, SGD, Adam, CoRe, Momentum
from relax.rules.adaptive_base import Adaptive
from relax.rules.wrappers import (
    Ascent,
    Centred,
    CheckedEnergies,
    ClipGradient,
    ForceFloor,
    MaxStep,
    Restart,
    Scheduled,
    Wrapper,
    for_atoms,
)
from relax.rules.wrappers.schedules import Constant, Cosine, Exponential, WarmUp

UNIT = SGD(lr=1.0, momentum=0.0)  # a step is minus the gradient

# Two structures, of two atoms and of one; rows of length 3, 5 and 13.
ROWS = np.array([[1.0, 2.0, -2.0], [0.0, 3.0, -4.0], [3.0, -4.0, 12.0]])
TOGETHER = math.sqrt(9 + 25)
MOST = 2.5 * (1 - 1e-12)  # so that rounding exceeds no limit of 2.5


def first_step(rule, g=ROWS, e=0.0):
    """Return the first step that ``rule`` takes along the gradient ``g``."""
    x = np.zeros_like(g)
    seg = Segments([2, 1]) if len(g) == 3 else Segments([len(g)])
    dx, _ = rule.update(rule.init(x), Point(x, g, np.full((len(g), 1), e), seg))
    return dx


def told(rule, energies, gradients):
    """Return the steps and the states as one atom after the other force call is told to structures."""
    n = len(energies[0])
    x, seg = np.zeros((n, 3)), Segments([1] * n)
    state, steps, states = rule.init(x), [], []
    for e, g in zip(energies, gradients, strict=True):
        g = np.array(g, dtype=float)[:, None] * [1.0, 0.0, 0.0]
        dx, state = rule.update(state, Point(x, g, np.array(e, dtype=float)[:, None], seg))
        steps.append(dx[:, 0].copy())
        states.append(state)
        x = x + dx
    return np.array(steps), states


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("component", [[1.0, 2.0, -2.0], [0.0, MOST, -MOST], [MOST, -MOST, MOST]]),
        ("atom", [ROWS[0] * MOST / 5, ROWS[1] * MOST / 5, ROWS[2] * MOST / 13]),
        ("structure", [ROWS[0] * MOST / TOGETHER, ROWS[1] * MOST / TOGETHER, ROWS[2] * MOST / 13]),
    ],
)
def test_max_step(norm, expected):
    np.testing.assert_allclose(first_step(MaxStep(UNIT, 2.5, norm)), -np.array(expected), rtol=1e-15)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("component", [[1.0, 2.0, -2.0], [0.0, 3.0, -4.0], [3.0, -4.0, 4.0]]),
        ("atom", [ROWS[0], ROWS[1] * 4 / 5, ROWS[2] * 4 / 13]),
        ("structure", [ROWS[0] * 4 / TOGETHER, ROWS[1] * 4 / TOGETHER, ROWS[2] * 4 / 13]),
    ],
)
def test_clip_gradient(norm, expected):
    np.testing.assert_allclose(first_step(ClipGradient(UNIT, 4.0, norm)), -np.array(expected), rtol=1e-15)


@pytest.mark.parametrize("norm", ["component", "atom", "structure"])
def test_what_is_within_the_limit_is_left_to_the_last_bit(norm):
    np.testing.assert_array_equal(first_step(MaxStep(UNIT, 13.5, norm)), -ROWS)
    np.testing.assert_array_equal(first_step(ClipGradient(UNIT, 13.5, norm)), -ROWS)


@pytest.mark.parametrize("norm", ["component", "atom", "structure"])
def test_zero_stays_zero(norm):
    for rule in (MaxStep(UNIT, 1e-3, norm), ClipGradient(UNIT, 1e-3, norm)):
        np.testing.assert_array_equal(first_step(rule, 0 * ROWS), 0 * ROWS)


def test_clip_gradient_hides_the_gradient_from_the_memory():
    # The rule remembers what it was shown, so that its momentum is that of the clipped gradient.
    steps, states = told(ClipGradient(Momentum(lr=1.0, momentum=0.5), 2.0), [[0], [0]], [[10.0], [1.0]])
    np.testing.assert_allclose(steps[:, 0], [-2.0, -2.0], rtol=1e-15)
    np.testing.assert_allclose(states[-1]["m"][0, 0], 2.0, rtol=1e-15)


T = np.array([[0.0], [1.0], [5.0], [10.0], [100.0]])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1, 1, 1, 1, 1]),
        (Constant(0.3), [0.3] * 5),
        (Exponential(0.5, 5), [1, 0.5**0.2, 0.5, 0.25, 0.5**20]),
        (Cosine(10, 0.2), [1, 0.2 + 0.4 * (1 + math.cos(math.pi / 10)), 0.6, 0.2, 0.2]),
        (WarmUp(4), [0.25, 0.5, 1, 1, 1]),
        (WarmUp(4, Exponential(0.5, 1)), [0.25, 0.5, 0.25, 0.5**7, 0.5**97]),
        (WarmUp(1, Cosine(10, 0.2)), [1, 0.2 + 0.4 * (1 + math.cos(math.pi / 10)), 0.6, 0.2, 0.2]),
    ],
)
def test_schedule(schedule, expected):
    values = schedule(T)
    assert values.shape == T.shape
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (lambda t: 1 / (1 + t), [1, 1 / 2, 1 / 3]),
        (lambda t: 0.5, [0.5, 0.5, 0.5]),
        (WarmUp(2), [0.5, 1, 1]),
    ],
)
def test_scheduled_multiplies_the_step(schedule, factors):
    steps, _ = told(Scheduled(UNIT, schedule), [[0]] * 3, [[2.0]] * 3)
    np.testing.assert_allclose(steps[:, 0], -2 * np.array(factors), rtol=1e-15)


def test_scheduled_counts_the_steps_of_each_structure():
    start, young = cluster(3), cluster(4)
    rule = Scheduled(UNIT, lambda t: 0.01 * (1 + t))
    walk = Walk(rule, [start, start]).step(3).swap(0, young)
    assert walk.state["t"][:, 0].tolist() == [3.0] * 3 + [0.0] * 4
    before = walk.structures[1]
    walk.step()
    np.testing.assert_allclose(walk.structures[1] - before, -0.01 * morse(young)[1], rtol=1e-12)


PUSH = Momentum(lr=1.0, momentum=0.5)


def test_restart_on_a_rise_of_the_energy():
    # The second structure rises at the third call; the first one, and equal energies, go on.
    energies = [[5, 5], [5, 4], [4, 4.5], [3, 4.5]]
    steps, _ = told(Restart(PUSH, "energy"), energies, [[1, 1]] * 4)
    np.testing.assert_allclose(steps[:, 0], [-1, -1.5, -1.75, -1.875], rtol=1e-15)
    np.testing.assert_allclose(steps[:, 1], [-1, -1.5, -1, -1.5], rtol=1e-15)


def test_restart_on_power():
    # The last step went along -x; the gradient of the second structure then points the same way.
    steps, _ = told(Restart(PUSH, "power"), [[0, 0]] * 3, [[1, 1], [1, -0.25], [1, -0.25]])
    np.testing.assert_allclose(steps[:, 0], [-1, -1.5, -1.75], rtol=1e-15)
    np.testing.assert_allclose(steps[:, 1], [-1, 0.25, 0.375], rtol=1e-15)


def test_restart_on_a_stall():
    # Lowest at call 1; calls 2 and 3 bring nothing lower, and two such steps are a stall.
    energies = [[5, 5], [4, 4], [3, 4], [2, 6], [1, 5], [0, 5]]
    steps, _ = told(Restart(PUSH, "stall", 2), energies, [[1, 1]] * 6)
    free, _ = told(PUSH, energies, [[1, 1]] * 6)
    np.testing.assert_array_equal(steps[:, 0], free[:, 0])
    restarted = [k for k in range(1, 6) if steps[k, 1] == -1]
    assert restarted[0] == 3


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_falling_energy_is_never_a_stall(patience):
    energies = [[-k] for k in range(12)]
    steps, _ = told(Restart(PUSH, "stall", patience), energies, [[1]] * 12)
    free, _ = told(PUSH, energies, [[1]] * 12)
    np.testing.assert_array_equal(steps, free)


@pytest.mark.parametrize("when", ["energy", "power", "stall"])
def test_restart_is_the_state_of_a_first_step(when):
    rule = Restart(CoRe(t_hist=3), when, 1)
    energies, gradients = [[0], [1], [2]], [[1.0], [-1.0], [1.0]]
    steps, states = told(rule, energies, gradients)
    fresh, first = told(CoRe(t_hist=3), energies[-1:], gradients[-1:])
    np.testing.assert_array_equal(steps[-1], fresh[0])
    for name, leaf in first[0].items():
        np.testing.assert_array_equal(states[-1]["rule"][name], leaf)


def test_ascent_climbs():
    np.testing.assert_array_equal(first_step(Ascent(UNIT)), ROWS)
    start = cluster(4, rattle=0.02)
    walk = Walk(Ascent(MaxStep(FIRE(), 0.05)), [start]).step(20)
    assert morse(walk.structures[0])[0] > morse(start)[0] + 0.1


def test_ascent_turns_the_energy_too():
    # For who climbs, a higher energy is no reason to begin again.
    steps, _ = told(Ascent(Restart(PUSH, "energy")), [[0], [1], [0.5]], [[1], [1], [1]])
    np.testing.assert_allclose(steps[:, 0], [1, 1.5, 1], rtol=1e-15)


def test_centred_takes_out_the_mean_step():
    g = np.array([[2.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    x = np.zeros_like(g)
    rule = Centred(Adam(lr=0.3, eps=1e-12))
    dx, _ = rule.update(rule.init(x), Point(x, g, np.zeros((3, 1)), Segments([3])))
    np.testing.assert_allclose(dx[:, 0], [-0.4, 0.2, 0.2], rtol=1e-10)


def test_centred_tolerance():
    g = np.array([[1.0, 0.0, 0.0], [-0.9, 0.0, 0.0]])  # a net force of 0.1 / 1.9
    free = first_step(SGD(lr=1.0), g)
    np.testing.assert_array_equal(first_step(Centred(SGD(lr=1.0), 0.05), g), free)
    np.testing.assert_allclose(
        first_step(Centred(SGD(lr=1.0), 0.06), g), free - free.mean(axis=0), rtol=1e-15
    )


def nesting(rule):
    """Return the classes of a wrapped rule, the outermost first."""
    return [type(rule), *(nesting(rule.rule) if isinstance(rule, Wrapper) else [])]


def test_for_atoms_nests_in_order():
    schedule = Cosine()
    rule = for_atoms(
        CoRe(),
        maxstep=0.3,
        maxstep_norm="component",
        clip=4.0,
        clip_norm="structure",
        schedule=schedule,
        restart_when="stall",
        maximize=True,
        centred=True,
    )
    inside = [CheckedEnergies, Restart, Scheduled, CoRe]
    assert nesting(rule) == [MaxStep, Centred, Ascent, ForceFloor, ClipGradient, *inside]
    clip = rule.rule.rule.rule.rule
    assert (rule.maxstep, rule.norm, clip.limit, clip.norm) == (0.3, "component", 4.0, "structure")
    restart = clip.rule.rule
    assert (restart.when, restart.rule.schedule) == ("stall", schedule)


def test_what_an_adaptive_rule_wears_can_be_taken_off():
    assert nesting(for_atoms(CoRe(), clip=math.inf, force_floor=0.0)) == [MaxStep, CoRe]
    assert nesting(for_atoms(FIRE(), clip=5.0, force_floor=1e-3)) == [MaxStep, ForceFloor, ClipGradient, FIRE]


def test_quiet_hears_what_is_above_both_floors():
    x = np.zeros((5, 3))
    g = np.array([[3.0, 0, 0], [0, 2e-4, 0], [0, 0, 5e-5], [1e-6, 0, 0], [0, 5e-11, 0]])
    step, _ = ForceFloor(UNIT, 1e-4).update(UNIT.init(x), Point(x, g, x[:, :1], Segments([3, 2])))
    # In the second structure the largest force is 1e-6, so that only 1e-10 and below is noise.
    g[[2, 4]] = 0
    np.testing.assert_array_equal(step, -g)


@dataclass(frozen=True)
class Given(Rule):
    """A rule that steps by one along x, and remembers the energy that it got."""

    takes_back_steps = True

    def init(self, x):
        return {"e": x[:, :1] * 0.0}

    def update(self, state, point):
        return 0 * point.x + [1.0, 0.0, 0.0], {"e": point.e}


def given(values, gradients, **settings):
    """Return the energies that a rule gets for one structure."""
    _, states = told(CheckedEnergies(Given(), **settings), [[e] for e in values], [[g] for g in gradients])
    return [float(state["rule"]["e"][0, 0]) for state in states]


def test_energies_that_agree_with_the_forces_are_passed_on():
    x = np.arange(8.0)
    energies = list(0.5 * (x - 3.2) ** 2)
    assert given(energies, list(x - 3.2)) == energies


def test_energies_that_contradict_the_forces_are_taken_away():
    # The gradient is -1 at all places, and the energy rises nevertheless.
    found = given([0.0, 0.1, 0.2, 0.3, 0.2, 0.1], [-1.0] * 6)
    np.testing.assert_array_equal(found, [0.0, 0.1, 0.2, math.nan, math.nan, math.nan])


def test_a_contradiction_is_forgotten_where_energies_agree_again():
    # Each rise against the forces is followed by a fall of the size that the forces tell.
    falls = [0.0, 0.1, -0.9, -0.8, -1.8, -1.7, -2.7, -2.6]
    assert given(falls, [-1.0] * 8) == falls


def test_contradictions_below_the_noise_do_not_count():
    energies = [1e4, 1e4 + 1e-4, 1e4 + 2e-4, 1e4 + 3e-4, 1e4 + 4e-4]
    assert given(energies, [-1.0] * 5) == energies
    assert math.isnan(given(energies, [-1.0] * 5, blur=1e-9)[-1])


def test_without_energies_a_rule_gets_none():
    assert all(map(math.isnan, given([2.0, 1.0], [1.0, 1.0], energies=False)))
    assert nesting(for_atoms(FIRE(), energies=False)) == [MaxStep, CheckedEnergies, FIRE]
    assert nesting(for_atoms(FIRE())) == [MaxStep, FIRE]


@pytest.mark.parametrize("bare", [FIRE(), LBFGS(), CoRe(), MaxStep(FIRE(), 0.5)])
def test_for_atoms_asks_the_rule_for_its_trust_radius(bare):
    rule = for_atoms(bare)
    innermost = bare.rule if isinstance(bare, Wrapper) else bare
    worn = [ForceFloor, ClipGradient] if isinstance(innermost, Adaptive) else []
    assert nesting(rule) == [MaxStep, *worn, *nesting(bare)]
    assert (rule.maxstep, rule.norm) == innermost.default_maxstep


def test_for_atoms_takes_no_more_than_the_trust_radius():
    # The trust radius is outermost: neither the schedule nor the climb leads out of it.
    rule = for_atoms(UNIT, maxstep=0.1, maxstep_norm="atom", schedule=lambda t: 1e3, maximize=True)
    lengths = np.linalg.norm(first_step(rule), axis=1)
    np.testing.assert_allclose([lengths[:2].max(), lengths[2]], 0.1 * (1 - 1e-12), rtol=1e-14)


@pytest.mark.parametrize(
    "settings", [{"maxstep": 0.0}, {"maxstep_norm": "row"}, {"clip": -1.0}, {"restart_when": "never"}]
)
def test_for_atoms_refuses_what_is_out_of_bounds(settings):
    with pytest.raises(ValueError, match="is not allowed"):
        for_atoms(CoRe(), **settings)
