"""One call relaxes one structure, by the rule that needs the fewest force calls unless told otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read

import relax
from relax import InternalLBFGSRelax, LBFGSRelax


def copper():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.mark.parametrize(("rule", "optimizer"), [(None, InternalLBFGSRelax), ("lbfgs", LBFGSRelax)])
def test_it_does_what_the_optimizer_does(rule, optimizer):
    one, other = copper(), copper()
    words = {} if rule is None else {"rule": rule}
    result = relax.relax(one, EMT(), **words, fmax=0.01, cell=True, maxstep=0.1)
    other.calc = EMT()
    opt = optimizer(other, logfile=None, cell=True, maxstep=0.1)
    opt.run(fmax=0.01)
    assert result.converged
    assert (result.force_calls, result.energy_last) == (opt.result.force_calls, opt.result.energy_last)
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.cell, other.cell)


def test_a_calculator_may_be_named_or_be_there_already(tmp_path):
    named, there = copper(), copper()
    there.calc = EMT()
    first = relax.relax(named, "emt", trajectory=tmp_path / "path.traj", logfile=tmp_path / "log")
    assert first.energy_last == relax.relax(there).energy_last
    assert len(read(tmp_path / "path.traj", ":")) == first.steps + 1
    assert "InternalLBFGSRelax" in (tmp_path / "log").read_text()


def test_a_saddle_is_left():
    atoms = bulk("Cu", "bcc", a=2.9, cubic=True)
    stays = relax.relax(atoms.copy(), EMT(), cell=True, fmax=0.01)
    leaves = relax.relax(atoms, EMT(), cell=True, fmax=0.01, check="minimum", escape=True)
    assert (stays.status, stays.escapes) == ("converged", 0)
    assert leaves.converged
    assert leaves.escapes > 0
    assert leaves.energy_last < stays.energy_last - 0.01


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"rule": "pairs"}, ValueError, "unknown rule 'pairs'"),
        ({"flor": 1.0}, TypeError, "did you mean 'floor'"),
        ({"check": "saddle"}, ValueError, "give 'minimum'"),
        ({"escape": True}, ValueError, "needs a check"),
        ({"fmax": -1.0}, ValueError, "fmax = -1.0 is not allowed"),
    ],
)
def test_mistakes_are_told(words, error, says):
    with pytest.raises(error, match=says):
        relax.relax(copper(), EMT(), **words)


def test_atoms_without_a_calculator_are_refused():
    with pytest.raises(RuntimeError, match="no calculator"):
        relax.relax(copper())
