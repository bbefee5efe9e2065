"""The default rule hands large structures of metals over to CoRe, and takes them back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

import relax.preconditioner.model_hessian as module
from relax import InternalLBFGSRelax, relax, relax_many
from relax.core.rule import Point
from relax.core.segments import Segments
from relax.preconditioner.base import Identity
from relax.rules import CoRe, InternalLBFGS, PairLBFGS

RULE = InternalLBFGS(hardness=5.0)
CUT, PATIENCE = RULE.CUT, RULE.PATIENCE
STIFF = np.array([[1.0, 3.0, 9.0], [2.0, 4.0, 6.0]])  # eV/A^2
FAR = np.array([[9.0, -8.0, 7.0], [-9.0, 8.0, 9.0]])  # A; every step from here to the minimum is cut


@dataclasses.dataclass(frozen=True)
class OfMetals(Identity):
    """A metric of structures of which some are large, and of metals alone."""

    which: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1), bool))

    @property
    def large_metals(self):
        return self.which


def bowl(x, e=None, metric=None, lengths=(2,)):
    stiff = np.tile(STIFF, (len(lengths), 1))
    seg = Segments(lengths)
    energy = 0.5 * seg.dot(x, stiff * x) if e is None else np.full((len(x), 1), e)
    return Point(x, stiff * x, energy, seg, OfMetals(x) if metric is None else metric)


def walk(rule, x, steps, energies=None):
    """Return the places of a run, the states after its steps, and the steps."""
    state, places, states, made = rule.init(x), [x], [], []
    for step in range(steps):
        dx, state = rule.update(state, bowl(x, None if energies is None else energies(step)))
        x = x + dx
        places, states, made = [*places, x], [*states, state], [*made, dx]
    return places, states, made


def is_on(states):
    return [bool(state["then"]["on"].all()) for state in states]


def test_after_some_steps_that_were_cut_it_is_core():
    places, states, steps = walk(RULE, FAR, CUT + 8)
    assert is_on(states) == [False] * CUT + [True] * 8
    x, state = places[CUT], RULE.THEN.init(FAR)
    for expected in steps[CUT:]:
        dx, state = RULE.THEN.update(state, bowl(x))
        np.testing.assert_array_equal(expected, dx)
        x = x + dx


def test_steps_that_are_not_cut_do_not_count():
    _, states, _ = walk(RULE, 0.02 * FAR, 60)
    assert not any(is_on(states))


@pytest.mark.parametrize("start", [FAR, 0.02 * FAR])
@pytest.mark.parametrize("metric", [None, Identity(FAR)])
def test_other_structures_are_left_to_lbfgs(start, metric):
    ours, plain = RULE.init(start), PairLBFGS(largest=RULE.largest)
    theirs, x = plain.init(start), start
    for _ in range(3 * CUT):
        point = bowl(x)._replace(metric=metric)
        (dx, ours), (expected, theirs) = RULE.update(ours, point), plain.update(theirs, point)
        np.testing.assert_array_equal(dx, expected)
        x = x + dx


def test_core_without_a_lower_energy_is_taken_back():
    def rises(step):
        return -100.0 - step if step <= CUT else float(step)

    places, states, steps = walk(RULE, FAR, CUT + 1 + PATIENCE + 2 * CUT + 2, rises)
    back = CUT + 1 + PATIENCE - 1
    on = is_on(states)
    assert on[:back] == [False] * CUT + [True] * (PATIENCE)
    assert not on[back]
    fresh, _ = RULE.update(RULE.init(FAR), bowl(places[back], rises(back)))
    np.testing.assert_array_equal(steps[back], fresh)


def test_the_next_turn_of_lbfgs_is_twice_as_long():
    """The energy falls while L-BFGS is on, and never while CoRe is."""
    state, x, on, e = RULE.init(FAR), FAR, [], 0.0
    for _ in range(8 * CUT + 3 * PATIENCE):
        e = e + 1.0 if on and on[-1] else e - 1.0
        dx, state = RULE.update(state, bowl(FAR * (1 + 1e-3 * len(on)) + 0 * x, e))
        x = x + dx
        on.append(bool(state["then"]["on"].all()))
    changes = np.flatnonzero(np.diff(np.array(on, int)))
    turns = np.diff(changes)
    assert len(turns) >= 3
    assert set(turns[::2].tolist()) == {PATIENCE}
    assert turns[1::2].tolist() == [2**k * CUT for k in range(1, 1 + len(turns[1::2]))]


def test_where_only_forces_count_it_is_not_taken_back():
    _, states, _ = walk(RULE, FAR, CUT + 3 * PATIENCE, lambda step: np.nan)
    assert is_on(states) == [False] * CUT + [True] * 3 * PATIENCE


def test_a_batch_does_what_each_structure_does_alone():
    starts = [FAR, 0.02 * FAR, 0.9 * FAR]
    large = [True, True, False]
    alone = []
    for start, is_large in zip(starts, large, strict=True):
        state, x = RULE.init(start), start
        for _ in range(CUT + 2 * PATIENCE):
            dx, state = RULE.update(state, bowl(x, metric=OfMetals(x, np.full((2, 1), is_large))))
            x = x + dx
        alone.append(x)
    x = np.concatenate(starts)
    state, which = RULE.init(x), np.repeat(large, 2)[:, None]
    for _ in range(CUT + 2 * PATIENCE):
        dx, state = RULE.update(state, bowl(x, metric=OfMetals(x, which), lengths=(2, 2, 2)))
        x = x + dx
    np.testing.assert_array_equal(x, np.concatenate(alone))


@pytest.fixture
def five_rows_are_many(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 5)


@pytest.fixture
def core_steps(monkeypatch):
    """Return a list that gets an entry for each step of CoRe."""
    made, own = [], CoRe.update

    def update(self, state, point):
        made.append(len(point.x))
        return own(self, state, point)

    monkeypatch.setattr(CoRe, "update", update)
    return made


def disordered(seed=0, stdev=0.7):
    atoms = bulk("Cu", cubic=True) * (3, 3, 2)
    atoms.rattle(stdev, seed=seed)
    atoms.calc = EMT()
    return atoms


@pytest.mark.usefixtures("five_rows_are_many")
def test_a_disordered_metal_is_relaxed(core_steps):
    atoms = disordered()
    result = relax(atoms, fmax=0.01, steps=600)
    assert result.status == "converged"
    assert 0 < len(core_steps) < result.steps
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 0.01


@pytest.mark.usefixtures("five_rows_are_many")
@pytest.mark.parametrize("atoms", [disordered(stdev=0.05), molecule("CH3CH2OH")], ids=["ordered", "molecule"])
def test_what_is_near_a_minimum_takes_no_step_of_core(atoms, core_steps):
    atoms.calc = EMT()
    assert relax(atoms, fmax=0.01, steps=300).status == "converged"
    assert not core_steps


def test_a_small_metal_takes_no_step_of_core(core_steps):
    relax(disordered(), fmax=0.01, steps=60)
    assert not core_steps


@pytest.mark.usefixtures("five_rows_are_many")
def test_a_restart_goes_the_same_way(tmp_path, core_steps):
    whole, parted = disordered(1), disordered(1)
    InternalLBFGSRelax(whole, logfile=None).run(fmax=1e-6, steps=50)
    assert core_steps
    for steps in (30, 20):
        with InternalLBFGSRelax(parted, logfile=None, restart=tmp_path / "state.json") as optimizer:
            optimizer.run(fmax=1e-6, steps=steps)
    np.testing.assert_array_equal(parted.positions, whole.positions)


@pytest.mark.usefixtures("five_rows_are_many")
def test_in_a_batch_of_the_engine_it_is_the_same_as_alone(core_steps):
    structures = [disordered(2), disordered(3, 0.05), disordered(4)]
    together = list(relax_many([atoms.copy() for atoms in structures], EMT(), fmax=0.01, steps=60))
    assert core_steps
    for atoms, result in zip(structures, together, strict=True):
        (alone,) = relax_many([atoms.copy()], EMT(), fmax=0.01, steps=60)
        np.testing.assert_array_equal(result.atoms.positions, alone.atoms.positions)
