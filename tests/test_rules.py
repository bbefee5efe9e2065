"""One table: every rule, plain and wrapped, times the properties that all of them promise."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache

import numpy as np
import pytest
from ase.formula import Formula
from ase.spacegroup import crystal
from helpers import ARRAYS, Walk, cluster, crystal_morse, leaves, morse, quadratic, rotation

from relax.core import state as states
from relax.core.parameters import parameters
from relax.core.rule import Rule
from relax.rules import (
    FIRE,
    LBFGS,
    NAG,
    RULES,
    SGD,
    AdaDelta,
    Adam,
    CoRe,
    Frankenstein,
    Momentum,
    PairLBFGS,
    RMSprop,
)
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
from relax.rules.wrappers.schedules import Cosine, Exponential, WarmUp

PLAIN: dict[str, Rule] = {name: rule() for name, rule in RULES.items()}
PLAIN["sgd"] = SGD(lr=0.01)  # half the limit of stability on the quadratics; the default is for stiffer bonds
PLAIN["lbfgs"] = LBFGS(memory=10)  # each pair costs time, and ten show all that a hundred would
BY_COMPONENT: dict[str, Rule] = {
    f"{name}, component": rule(granularity="component")
    for name, rule in RULES.items()
    if issubclass(rule, Adaptive)
}
FORMS: dict[str, Rule] = {
    "core, paper": CoRe.paper(),
    "core, freezing": CoRe(t_hist=10, frozen=0.3),
    "core, signs": CoRe(beta2=-1.0),
    "frankenstein, paper": Frankenstein.paper(),
    "frankenstein, package": Frankenstein.package(),
    "frankenstein, power": Frankenstein(judge="power"),
    "lbfgs, short and plain": LBFGS(memory=5, scaled=False, careful=False),
    "rprop, no backtracking": RULES["rprop"](backtracking=False),
}
WRAPPED: dict[str, Rule] = {
    "max step, atom": MaxStep(CoRe(), 0.05, "atom"),
    "max step, structure": MaxStep(FIRE(), 0.1, "structure"),
    "max step, component": MaxStep(LBFGS(memory=10), 0.1, "component"),
    "clip, atom": ClipGradient(Momentum(), 1.0, "atom"),
    "clip, structure": ClipGradient(Adam(), 2.0, "structure"),
    "clip, component": ClipGradient(NAG(), 1.0, "component"),
    "scheduled": Scheduled(Adam(), WarmUp(5, Exponential(0.5, 400.0))),
    "restart, energy": Restart(Momentum(), "energy"),
    "restart, power": Restart(NAG(), "power"),
    "restart, stall": Restart(Momentum(), "stall", 15),
    "ascent of ascent": Ascent(Ascent(FIRE())),
    "checked energies": CheckedEnergies(PairLBFGS()),
    "no energies": CheckedEnergies(PairLBFGS(), energies=False),
    "centred": Centred(Adam()),
    "force_floor": ForceFloor(Adam()),
    "all at once": for_atoms(
        Momentum(), maxstep=0.1, clip=5.0, schedule=Cosine(2000, 0.5), restart_when="power", centred=True
    ),
}
TABLE = PLAIN | BY_COMPONENT | FORMS | WRAPPED
SIZES = (5, 3, 8)
STEPS = 40

every_rule = pytest.mark.parametrize("name", TABLE)
IN_BOTH = [*((name, "numpy") for name in TABLE), *((name, "torch") for name in PLAIN)]


def shells(rule):
    """Return ``rule`` and all it holds, the outermost first."""
    found = [rule]
    while isinstance(found[-1], Wrapper):
        found.append(found[-1].rule)
    return found


def core_of(rule):
    """Return the rule inside all wrappers."""
    return shells(rule)[-1]


# A rule that looks at single components, be it in its scale or in its norm, knows the axes.
EQUIVARIANT = [
    name
    for name, rule in TABLE.items()
    if not any("component" in dataclasses.asdict(shell).values() for shell in shells(rule))
]


def starts(seed=0):
    return [cluster(n, seed=seed + n) for n in SIZES]


@cache
def alone(name, array="numpy", times=STEPS):
    """Return where each of the starting structures ends when relaxed on its own."""
    return [Walk(TABLE[name], [x], array=ARRAYS[array]).step(times).structures[0] for x in starts()]


@cache
def together(name, array="numpy", times=STEPS):
    """Return the walk of all starting structures in one batch, which nobody may take further."""
    return Walk(TABLE[name], starts(), array=ARRAYS[array]).step(times)


def equal(one, other):
    return states.to_plain(one) == states.to_plain(other)


# A batch in numpy is its structures to the last bit, A.
TOLERANCE = {"numpy": 0.0, "torch": 1e-12}


# Descent


PUBLISHED = ("frankenstein, paper", "frankenstein, package")
# How many steps, and the energy then as a share of the first: on a bowl, and where curvatures span
# 0.5 to 50 eV/A^2.
FALLS = {name: (400, 1e-6, 1e-3) for name in TABLE}
FALLS |= {name: (9, 1e-12, 1e-2) for name in TABLE if isinstance(core_of(TABLE[name]), LBFGS)}
# These hover within their constant step, or need hundreds of steps to find their size.
FALLS |= {name: (400, 1e-2, 1e-2) for name in TABLE if isinstance(core_of(TABLE[name]), RMSprop | AdaDelta)}
# The published forms of Frankenstein take steps of 1e-3 A; a frozen atom takes none.
FALLS |= {name: (400, 1e-2, 1e-2) for name in (*PUBLISHED, "core, freezing")}
FALLS["frankenstein, power"] = (800, 1e-6, 1e-3)  # on a bowl, power sees an overshoot late


@every_rule
def test_energy_falls_on_quadratics(name):
    times, *shares = FALLS[name]
    start = np.random.default_rng(1).uniform(-0.4, 0.4, (4, 3))
    for curvatures, share in zip(([5.0] * 12, np.geomspace(0.5, 50, 12)), shares, strict=True):
        potential = quadratic(curvatures)
        (x,) = Walk(TABLE[name], [start], potential).step(times).structures
        assert potential(x)[0] <= share * potential(start)[0]


@every_rule
def test_energy_of_clusters_falls(name):
    walk = Walk(for_atoms(TABLE[name]), starts())
    before = [morse(x)[0] for x in walk.structures]
    walk.step(100)
    assert all(morse(x)[0] < e for x, e in zip(walk.structures, before, strict=True))


@every_rule
def test_steps_stay_finite_long_after_the_minimum(name):
    # In a batch, a structure may be asked to go on when it has nothing left to do.
    walk = Walk(TABLE[name], [np.full((2, 3), 0.2), np.full((1, 3), 0.1)], quadratic_rows)
    walk.step(150)
    assert np.isfinite(walk.x).all()
    assert all(np.isfinite(leaf).all() for leaf in leaves(walk.state))


def quadratic_rows(x):
    """Energy and gradient of rows that are each bound to the origin, by 2, 5 and 20 eV/A^2."""
    g = np.array([2.0, 5.0, 20.0]) * x
    return float(0.5 * (g * x).sum()), g


@every_rule
def test_atom_without_force_rests(name):
    # Exactly zero, as the force on a fixed atom is; the other atom goes on.
    def potential(x):
        g = x * np.array([[1.0], [0.0]])
        return float(0.5 * (g * x).sum()), g

    start = np.array([[0.3, 0.2, 0.1], [0.5, 0.1, 0.4]])
    rules = [TABLE[name]]
    eps = parameters(TABLE[name]).get("eps")
    if eps is not None and eps.bounds.allow(0.0):
        rules.append(dataclasses.replace(TABLE[name], eps=0.0))
    for rule in rules:
        walk = Walk(rule, [start], potential).step(10)
        np.testing.assert_array_equal(walk.x[1], start[1])
        assert (walk.x[0] != start[0]).all()
        assert all(np.isfinite(leaf).all() for leaf in leaves(walk.state))


# Purity


@every_rule
def test_update_changes_nothing_it_is_given(name):
    walk = Walk(TABLE[name], starts()).step(5)
    point = walk.point()
    for array in (*leaves(walk.state), *point[:3]):
        array.flags.writeable = False
    dx, state = walk.rule.update(walk.state, point)
    again, same = walk.rule.update(walk.state, point)
    np.testing.assert_array_equal(dx, again)
    assert equal(state, same)


@every_rule
def test_rule_is_frozen_and_compares_by_value(name):
    rule = TABLE[name]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(rule, dataclasses.fields(rule)[0].name, None)
    assert dataclasses.replace(rule) == rule
    assert hash(dataclasses.replace(rule)) == hash(rule)


# Batches


@pytest.mark.parametrize(("name", "array"), IN_BOTH)
def test_batch_equals_singles(name, array):
    for x, single in zip(together(name, array).structures, alone(name, array), strict=True):
        np.testing.assert_allclose(x, single, rtol=0, atol=TOLERANCE[array])


@every_rule
@pytest.mark.parametrize(("array", "times"), [("torch", STEPS), ("strict", 15)])
def test_namespace_is_irrelevant(name, array, times):
    # In rows of float64 although torch's default is float32, which a mere `where(c, 1.2, 0.5)` falls into.
    walk = together(name, array, times)
    for x, numpys in zip(walk.structures, together(name, times=times).structures, strict=True):
        np.testing.assert_allclose(x, numpys, rtol=0, atol=1e-12)
    kinds = {str(array.dtype).rpartition(".")[2] for array in (walk.x, *leaves(walk.state))}
    assert kinds == {"float64"}


@every_rule
def test_order_of_rows_is_irrelevant(name):
    rng = np.random.default_rng(5)
    orders = [rng.permutation(n) for n in SIZES]
    shuffled = Walk(TABLE[name], [x[order] for x, order in zip(starts(), orders, strict=True)]).step(STEPS)
    for x, order, single in zip(shuffled.structures, orders, alone(name), strict=True):
        np.testing.assert_allclose(x, single[order], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "array"), IN_BOTH)
def test_structures_come_and_go(name, array):
    newcomer = cluster(6, seed=11)
    walk = Walk(TABLE[name], starts(), array=ARRAYS[array]).step(15).swap(1, newcomer).step(STEPS - 15)
    first, _, last = alone(name, array)
    young = Walk(TABLE[name], [newcomer], array=ARRAYS[array]).step(STEPS - 15).structures[0]
    for x, expected in zip(walk.structures, (first, last, young), strict=True):
        np.testing.assert_allclose(x, expected, rtol=0, atol=TOLERANCE[array])


@every_rule
def test_every_leaf_of_a_state_has_the_rows_first(name):
    walk = Walk(TABLE[name], starts())
    for _ in range(3):
        assert {leaf.shape[0] for leaf in leaves(walk.state)} == {sum(SIZES)}
        assert all(leaf.ndim > 1 and leaf.dtype == np.float64 for leaf in leaves(walk.state))
        walk.step()


# Memory


@pytest.mark.parametrize(("name", "array"), IN_BOTH)
def test_stored_state_resumes_to_the_last_bit(name, array):
    walk = Walk(TABLE[name], starts(), array=ARRAYS[array]).step(12)
    stored = json.loads(json.dumps(states.to_plain(walk.state)))
    resumed = Walk(TABLE[name], walk.structures, array=ARRAYS[array])
    resumed.state = states.from_plain(stored, resumed.x)
    assert equal(resumed.state, walk.state)
    resumed.step(STEPS - 12)
    np.testing.assert_array_equal(np.asarray(resumed.x), np.asarray(together(name, array).x))
    assert equal(resumed.state, together(name, array).state)


@every_rule
def test_copy_shares_no_memory(name):
    walk = Walk(TABLE[name], starts()).step(3)
    copied = states.copy(walk.state)
    assert equal(copied, walk.state)
    assert not any(np.shares_memory(a, b) for a, b in zip(leaves(copied), leaves(walk.state), strict=True))


# Parameters


CLASSES = {
    **{rule.__name__: (rule, {}) for rule in RULES.values()},
    **{
        rule.__name__: (rule, {"rule": SGD()})
        for rule in (MaxStep, ClipGradient, Restart, Centred, ForceFloor)
    },
}
DECLARED = [(name, field) for name, (rule, _) in CLASSES.items() for field in parameters(rule)]


def misfits(declared):
    """Return values just outside what is declared, and of the wrong kind."""
    if declared.bounds is None:
        return ["sideways", "", None, 3] if declared.choices else ["true", 1, None]
    whole = isinstance(declared.default, int)
    wrong = [math.nan, "0.5", None, True, -math.inf, *([1.5] if whole else [])]
    for edge, beyond, closed in (
        (declared.bounds.low, -math.inf, declared.bounds.text[0] == "["),
        (declared.bounds.high, math.inf, declared.bounds.text[-1] == "]"),
    ):
        if not closed:
            wrong.append(edge)
        elif math.isfinite(edge):
            wrong.append(edge + math.copysign(1, beyond) if whole else math.nextafter(edge, beyond))
    return wrong


@pytest.mark.parametrize(("name", "field"), DECLARED)
def test_value_that_is_not_allowed_is_refused(name, field):
    rule, held = CLASSES[name]
    for value in misfits(parameters(rule)[field]):
        with pytest.raises(ValueError, match=rf"{name}: {field} = .* is not allowed"):
            rule(**held, **{field: value})


@pytest.mark.parametrize(("name", "field"), DECLARED)
def test_closed_ends_of_bounds_are_allowed(name, field):
    declared = parameters(CLASSES[name][0])[field]
    declared.check(field, declared.default)
    if declared.bounds is not None:
        text, low, high = declared.bounds.text, declared.bounds.low, declared.bounds.high
        for bracket, edge in ((text[0], low), (text[-1], high)):
            if bracket in "[]":
                declared.check(field, edge)


@pytest.mark.parametrize("name", RULES)
def test_unknown_name_is_refused_with_the_nearest(name):
    for field in parameters(RULES[name]):
        with pytest.raises(TypeError, match=f"has no parameter '{field}_'; did you mean '{field}'"):
            RULES[name].from_settings({f"{field}_": 1.0})
    with pytest.raises(TypeError, match="has no parameter 'xyzzy' \\(it has: "):
        RULES[name].from_settings({"xyzzy": 1.0})


@pytest.mark.parametrize("name", RULES)
def test_settings_rebuild_the_rule(name):
    rule = RULES[name]()
    assert RULES[name].from_settings(rule.settings()) == rule


@pytest.mark.parametrize("name", RULES)
def test_words_of_a_command_line_become_values(name):
    for field, declared in parameters(RULES[name]).items():
        value = declared.parse(field, str(declared.default))
        assert value == declared.default
        assert type(value) is type(declared.default)
        with pytest.raises(ValueError, match=field):
            declared.parse(field, "xyzzy")


def test_smallest_step_above_the_largest_is_refused():
    for rule in (CoRe, RULES["rprop"]):
        with pytest.raises(ValueError, match="s_min"):
            rule(s_min=0.3, s_max=0.2)


def test_settings_tell_nested_rules_apart():
    slow, fast = (MaxStep(ClipGradient(SGD(lr=lr), 5.0), 0.1) for lr in (0.01, 0.02))
    assert slow.settings() != fast.settings()
    assert slow.settings() != MaxStep(ClipGradient(Momentum(momentum=0.0, lr=0.01), 5.0), 0.1).settings()


def test_settings_survive_json():
    for name, rule in TABLE.items():
        if not any(isinstance(shell, Scheduled) for shell in shells(rule)):
            assert json.loads(json.dumps(rule.settings())) == rule.settings(), name


# Symmetry


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_path_of_a_turned_structure_is_the_turned_path(name):
    turn = rotation(2)
    turned = Walk(TABLE[name], [x @ turn.T for x in starts()]).step(STEPS)
    for x, single in zip(turned.structures, alone(name), strict=True):
        np.testing.assert_allclose(x, single @ turn.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [*BY_COMPONENT, "core, paper", "frankenstein, package"])
def test_scales_by_component_know_the_axes(name):
    turn = rotation(2)
    turned = Walk(TABLE[name], [x @ turn.T for x in starts()]).step(STEPS)
    astray = [
        np.abs(x - single @ turn.T).max() for x, single in zip(turned.structures, alone(name), strict=True)
    ]
    assert max(astray) > 1e-3


def drift(rule):
    """Return how far the centroid of each cluster has gone after 40 steps, in A."""
    ends = Walk(rule, starts()).step(STEPS).structures
    return [np.abs((x - start).mean(axis=0)).max() for x, start in zip(ends, starts(), strict=True)]


# Clipping atom by atom shortens some forces and not their counterforces.
BALANCED = [
    name
    for name in EQUIVARIANT
    if isinstance(core_of(TABLE[name]), SGD | FIRE | LBFGS) and name != "clip, atom"
]


@pytest.mark.parametrize("name", BALANCED)
def test_sums_of_forces_keep_the_centroid(name):
    assert max(drift(TABLE[name])) < 1e-12


@pytest.mark.parametrize("name", PLAIN)
def test_centred_keeps_the_centroid(name):
    assert max(drift(Centred(TABLE[name]))) < 1e-12


def test_scales_by_atom_drift_unless_centred():
    assert max(drift(Adam())) > 1e-4


def test_centred_leaves_the_step_where_a_net_force_acts():
    def pushed(x):
        e, g = morse(x)
        return e + 0.2 * float(x[:, 2].sum()), g + np.array([0.0, 0.0, 0.2])

    centred, free = (Walk(rule, starts(), pushed).step(STEPS) for rule in (Centred(Adam()), Adam()))
    np.testing.assert_array_equal(centred.x, free.x)


def test_centred_judges_each_structure_alone():
    def pushed(x):
        e, g = morse(x)
        return e, g + 0.2 * (len(x) == SIZES[0])

    ends = Walk(Centred(Adam()), starts(), pushed).step(STEPS).structures
    ways = [np.abs((x - start).mean(axis=0)).max() for x, start in zip(ends, starts(), strict=True)]
    assert ways[0] > 1e-2
    assert max(ways[1:]) < 1e-12


# Space group, atoms, their sites and the cell: positions that the symmetry leaves free, off the minimum.
SQUARE, HEXAGONAL = [90, 90, 90], [90, 90, 120]
CRYSTALS = {
    "cristobalite": (92, "SiO", [(0.3, 0.3, 0), (0.24, 0.1, 0.18)], [4.97, 4.97, 6.93, *SQUARE]),
    "quartz": (154, "SiO", [(0.46, 0, 0), (0.41, 0.26, 0.12)], [4.916, 4.916, 5.405, *HEXAGONAL]),
    "corundum": (167, "AlO", [(0, 0, 0.35), (0.31, 0, 0.25)], [4.759, 4.759, 12.991, *HEXAGONAL]),
    "arsenic": (166, "As", [(0, 0, 0.24)], [3.76, 3.76, 10.55, *HEXAGONAL]),
}
# Here the metal is on a site without freedom, so that the force on it is nothing but rounding.
PINNED = {"rutile": (136, "TiO", [(0, 0, 0), (0.29, 0.29, 0)], [4.594, 4.594, 2.959, *SQUARE])}


@cache
def built(mineral):
    """Return the number of the space group, the crystal, and its potential."""
    number, symbols, sites, cell = (CRYSTALS | PINNED)[mineral]
    kinds = list(Formula(symbols).count())
    atoms = crystal(kinds, sites, spacegroup=number, cellpar=cell, primitive_cell=True)
    return number, atoms, crystal_morse(atoms)


def check_space_group(rule, mineral):
    """Relax a crystal for 20 short steps and ask spglib which space group is left."""
    spglib = pytest.importorskip("spglib")
    number, atoms, potential = built(mineral)
    start = atoms.get_positions()
    walk = Walk(for_atoms(rule, maxstep=0.045), [start], potential)
    for _ in range(20):
        if np.abs(walk.point().g).max() > 1e-6:  # as a driver, which stops before all is rounding
            walk.step()
    (x,) = walk.structures
    assert np.abs(x - start).max() > 1e-3
    for positions in (start, x):
        scaled = np.linalg.solve(atoms.cell[:].T, positions.T).T
        found = spglib.get_symmetry_dataset((atoms.cell[:], scaled, atoms.numbers), symprec=1e-5)
        assert found.number == number


by_spglib = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


@by_spglib
@pytest.mark.parametrize("name", [*PLAIN, "core, signs", "core, freezing", "centred"])
@pytest.mark.parametrize("mineral", CRYSTALS)
def test_space_group_is_kept(mineral, name):
    check_space_group(TABLE[name], mineral)


@by_spglib
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("mineral", PINNED)
def test_atoms_without_freedom_keep_their_sites(mineral, name):
    check_space_group(TABLE[name], mineral)
