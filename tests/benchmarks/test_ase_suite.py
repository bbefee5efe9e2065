"""ASE's tests with another optimizer in the place of ASE's."""

from __future__ import annotations

import json

import pytest
from ase.calculators.emt import EMT
from ase.optimize import BFGS, FIRE, LBFGS, RFO, CellAwareBFGS, LBFGSLineSearch, MDMin
from ase.optimize.optimize import Optimizer
from ase.optimize.precon import PreconLBFGS
from ase.units import GPa
from commands import ROOT, alloy, call

from benchmarks.ase_suite import __main__ as suite
from benchmarks.ase_suite.exclusions import reason, unknown
from benchmarks.ase_suite.runs import run
from benchmarks.ase_suite.stand_ins import Count, named_class, stand_ins
from benchmarks.ase_suite.tables import counts, verdict, with_reasons
from relax.optimizers.named import PairLBFGSRelax

OUTCOMES = {
    "optimize/test_a.py::test_one": {"outcome": "passed"},
    "optimize/test_a.py::test_two[1]": {"outcome": "excluded", "why": "because"},
    "optimize/test_a.py::test_two[2]": {"outcome": "excluded", "why": "because"},
    "neb/test_b.py::test_three": {"outcome": "failed", "why": "assert 1 == 2"},
    "neb/test_b.py::test_four": {"outcome": "no optimizer"},
}


@pytest.fixture(scope="module")
def made():
    return stand_ins("pair-lbfgs")


def emt_alloy():
    atoms = alloy()
    atoms.calc = EMT()
    return atoms


def test_a_stand_in_drops_what_only_ase_knows(made):
    before = Count.made
    calls = [
        (BFGS, {"alpha": 70.0}),
        (LBFGS, {"memory": 7, "damping": 0.5, "use_line_search": False}),
        (FIRE, {"dt": 0.2, "dtmax": 2.0, "downhill_check": True}),
        (MDMin, {"dt": 0.01}),
        (RFO, {"damping": 0.9}),
        (PreconLBFGS, {"precon": None}),
    ]
    for asked, settings in calls:
        optimizer = made[asked](emt_alloy(), logfile=None, maxstep=0.07, **settings)
        assert type(optimizer).__name__ == asked.__name__
        assert optimizer.maxstep == 0.07
        assert optimizer.run(fmax=0.05)
    assert Count.made == before + len(calls)
    with pytest.raises(TypeError, match="memmory"):
        made[LBFGS](emt_alloy(), memmory=7)


def test_a_stand_in_reads_arguments_by_place(made, tmp_path):
    trajectory = tmp_path / "x.traj"
    optimizer = made[FIRE](emt_alloy(), None, None, trajectory, 0.2, 0.07)  # dt before maxstep
    optimizer.run(fmax=0.05)
    assert trajectory.exists()
    assert optimizer.maxstep == 0.07


def test_stand_ins_are_derived_from_each_other_as_in_ase(made):
    assert issubclass(made[LBFGSLineSearch], made[LBFGS])
    assert issubclass(made[CellAwareBFGS], made[BFGS])
    assert not issubclass(made[FIRE], made[BFGS])
    assert all(issubclass(found, (PairLBFGSRelax, Optimizer)) for found in made.values())


def test_the_stress_of_a_cell_aware_optimizer_is_in_the_units_of_ase(made, monkeypatch):
    given = []
    monkeypatch.setattr(PairLBFGSRelax, "irun", lambda self, fmax, **k: given.append(k) or iter([True]))
    optimizer = made[CellAwareBFGS](emt_alloy(), logfile=None, alpha=70)
    assert optimizer.run(fmax=0.01, smax=0.5 * GPa)
    assert optimizer.run(fmax=0.01, smax=0.5 * GPa, steps=3)
    optimizer.smax = 0.25 * GPa
    list(optimizer.irun(fmax=0.01))
    assert given == [{"smax": pytest.approx(0.5)} | more for more in ({}, {"steps": 3})] + [
        {"smax": pytest.approx(0.25)}
    ]


def test_ase_in_the_place_of_ase_gets_what_it_knows():
    optimizer = stand_ins("ase:GOQN")[CellAwareBFGS](emt_alloy(), logfile=None, maxstep=0.07, alpha=70)
    assert optimizer.run(fmax=0.05, smax=0.005)


def test_settings_reach_the_class():
    named, settings = named_class("pair-lbfgs:maxstep=0.07")
    assert named is PairLBFGSRelax
    assert stand_ins("pair-lbfgs:maxstep=0.07")[BFGS](emt_alloy(), logfile=None).maxstep == 0.07
    assert settings == {"maxstep": 0.07}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "pair-lbfg"], "did you mean 'pair-lbfgs'"),
        (["--optimizer", "ase:FIRRE"], "did you mean 'ase:FIRE'"),
        (["--optimizer", "ase:PreconLBFGS:Exp"], "is no class of relax or of ASE"),
        (["--optimizer", "pair-lbfgs:memry=3"], "memry"),
        (["--optimizer", ","], "--optimizer names none"),
        (["--json", "nowhere/x.json"], "there is no folder nowhere"),
    ],
)
def test_bad_input_ends_in_one_line(words, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = call(suite.main, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_outcomes_are_counted_and_written(monkeypatch, tmp_path):
    monkeypatch.setattr(suite, "run", lambda name: OUTCOMES)
    done = call(suite.main, "--json", tmp_path / "x.json")
    assert done.exit_code == 0
    assert "pair-lbfgs: passed 1 of 2 that make sense for a drop-in" in done.stdout
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["excluded"] == {f"optimize/test_a.py::test_two[{k}]": "because" for k in (1, 2)}
    (row,) = record["rows"]
    assert (row["passed"], row["failed"]) == (1, 1)
    assert row["why"] == {"neb/test_b.py::test_three": "assert 1 == 2"}
    assert counts(OUTCOMES)[-1] == ["all", "1", "1", "1", "0", "2"]
    assert verdict(OUTCOMES) == "passed 1 of 2 that make sense for a drop-in"
    assert with_reasons(OUTCOMES, "excluded") == [["optimize/test_a.py::test_two[1] and 1 more", "because"]]


def test_one_class_is_run_for_all():
    test = "optimize/test_optimizers.py::test_optimize"
    assert reason(f"{test}[BFGS]") == ""
    assert "test_optimize[BFGS]" in reason(f"{test}[MDMin]")
    assert reason("optimize/test_nsteps.py::test_nsteps[4]") == ""
    assert "H0" in reason("optimize/test_cellawarebfgs.py::test_elasticity_tensor")


@pytest.mark.slow
def test_exclusions_name_tests_that_exist():
    tests = run(None, "--collect-only")
    assert len(tests) > 250
    assert unknown(tests) == []
    assert unknown(["optimize/test_pure.py::test_booth[BFGS]"]) != []


@pytest.mark.slow
def test_what_replaces_ase_is_used_and_judged():
    found = run("ase:BFGS", "-k", "test_restart or test_nsteps or test_repeat_FixAtoms")
    ends = {test: end["outcome"] for test, end in found.items()}
    assert ends["optimize/test_nsteps.py::test_nsteps[4]"] == "passed"
    assert ends["optimize/test_restart.py::test_path_restart"] == "passed"
    assert "no optimizer" in ends.values()
