"""The stop in the calculator: every optimizer ends at the first force call that fulfils it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import FIRE

from relax import FIRERelax
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.call_counter import CallCounter, ForcesBelow, StopReached
from relax.analysis.comparison.runs.run import STRICTER, own_fmax, relax_counted

FMAX = 0.05


def start() -> Atoms:
    atoms = molecule("N2")
    atoms.rattle(0.1, seed=1)
    return atoms


def largest(atoms: Atoms) -> float:
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


@pytest.mark.parametrize("name", ["pair-lbfgs", "lbfgs", "ase:BFGS", "ase:BFGSLineSearch", "ase:FIRE"])
def test_a_run_ends_at_the_first_call_that_fulfils_the_stop(name):
    seen = []
    below = ForcesBelow(FMAX)

    def stop(atoms, results):
        seen.append(bool(np.linalg.norm(results["forces"], axis=1).max() <= FMAX))
        return below(atoms, results)

    run = relax_counted(
        lambda atoms: make_optimizer(name, atoms, System.POSITIONS), start(), EMT(), 1e-4, 100, stop=stop
    )
    assert seen == [False] * (run.calls - 1) + [True]
    assert run.fault is None
    assert run.reported == ("", "")
    assert run.examine(largest, np.inf)[0] <= FMAX


def test_the_calculator_decides_though_an_optimizer_has_a_looser_criterion():
    class Eager(FIRE):
        def run(self, fmax, steps):
            return super().run(fmax=3 * fmax, steps=steps)

    runs = [
        relax_counted(lambda atoms: Eager(atoms, logfile=None), start(), EMT(), FMAX, 100, stop=stop)
        for stop in (None, ForcesBelow(FMAX))
    ]
    alone, stopped = (run.examine(largest, np.inf)[0] for run in runs)
    assert stopped <= FMAX < alone <= 3 * FMAX


@pytest.mark.parametrize(
    ("optimizer", "stop", "part"),
    [(FIRERelax, ForcesBelow(FMAX), 1.0), (FIRE, ForcesBelow(FMAX), STRICTER), (FIRE, None, 1.0),
     (FIRERelax, lambda atoms, results: False, STRICTER)],
)  # fmt: skip
def test_who_has_the_same_criterion_is_told_it(optimizer, stop, part):
    assert own_fmax(optimizer(start(), logfile=None), FMAX, stop) == part * FMAX


def test_an_optimizer_that_catches_the_stop_makes_no_more_calls():
    atoms = start()
    atoms.calc = counter = CallCounter(EMT(), atoms, 100, stop=lambda atoms, results: True)
    ended = atoms.positions.copy()
    for _ in range(3):
        with pytest.raises(StopReached):
            atoms.get_forces()
        atoms.positions[0, 0] += 0.1
    assert counter.calls == 1
    assert (counter.evaluated.positions == ended).all()
    counter.release()
    atoms.get_forces()
    assert counter.calls == 2


def test_a_stop_of_forces_considers_constraints_and_needs_forces():
    atoms, forces = start(), np.array([[0, 0, 1.0], [0, 0, 0.04]])
    assert not ForcesBelow(FMAX)(atoms, {"forces": forces})
    assert not ForcesBelow(FMAX)(atoms, {"energy": 0.0})
    atoms.set_constraint(FixAtoms([0]))
    assert ForcesBelow(FMAX)(atoms, {"forces": forces})
    assert forces[0, 2] == 1.0


def test_the_time_of_the_stop_is_neither_the_calculators_nor_the_optimizers():
    now = [0.0]

    class Slow(EMT):
        def calculate(self, *args, **kwargs):
            now[0] += 1.0
            super().calculate(*args, **kwargs)

    def stop(atoms, results):
        now[0] += 100.0
        return False

    run = relax_counted(
        lambda atoms: make_optimizer("ase:BFGS", atoms, System.POSITIONS),
        start(), Slow(), FMAX, 100, clock=lambda: now[0], stop=stop,
    )  # fmt: skip
    assert run.calls > 3
    assert (run.seconds_calculator, run.seconds_outside) == (run.calls, 0.0)
