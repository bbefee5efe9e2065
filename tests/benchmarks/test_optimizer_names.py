"""The registry of optimizers: names, settings, and what is recorded of them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from commands import alloy

from benchmarks.lj38.tables import published
from relax import CoReRelax, relax
from relax.analysis.comparison.minimizers import names as optimizer_names
from relax.analysis.comparison.minimizers.construction import (
    check_optimizer,
    chosen_optimizers,
    make_optimizer,
    settings_text,
)
from relax.analysis.comparison.minimizers.differences import hessian_by_differences
from relax.analysis.comparison.minimizers.names import (
    ALIASES,
    PEERS,
    PRECON,
    SCIPY,
    TUNED_PRECON,
    System,
    known_optimizers,
    packages_of,
    read_settings,
    resolved,
    split_names,
)
from relax.analysis.comparison.runs.call_counter import silenced
from relax.analysis.comparison.runs.run import relax_counted
from relax.engine.batch.of_ase.names import ASE, ase_class
from relax.rules import DEFAULT_RULE

CLUSTERS, CRYSTALS, POSITIONS, MOLECULES = System
KNOWN = [
    pytest.param(name, system, id=f"{system.name} {name}")
    for system in System
    for name in known_optimizers(system)
]


def test_names_are_split_but_not_inside_settings():
    assert split_names(["core:s_0=0.1,rattle=0.05,adam", "ase:FIRE, core"]) == [
        "core:s_0=0.1,rattle=0.05",
        "adam",
        "ase:FIRE",
        "core",
    ]


def test_settings_have_the_types_of_their_parameters():
    named, settings = read_settings("core:s_0=0.1,t_hist=5,granularity=component,maxstep=0.1,maximize=true")
    assert named is CoReRelax
    assert settings == {
        "metric": False,  # the rule alone, though its class adds one
        "s_0": 0.1,
        "t_hist": 5,
        "granularity": "component",
        "maxstep": 0.1,
        "maximize": True,
    }


@pytest.mark.parametrize(
    ("name", "system", "message"),
    [
        ("cor", CLUSTERS, "did you mean 'core'"),
        ("ase:fire", CLUSTERS, "did you mean 'ase:FIRE'"),
        ("scipy:LBFGS", CLUSTERS, "did you mean 'scipy:L-BFGS-B'"),
        (PRECON, CLUSTERS, "there is no optimizer 'ase:PreconLBFGS'"),
        ("cor", CRYSTALS, "did you mean 'core'"),
        ("ase:fire", CRYSTALS, "did you mean 'ase:FIRE'"),
        (TUNED_PRECON, CRYSTALS, "there is no optimizer 'ase:PreconLBFGS:Exp'"),
        (SCIPY, CRYSTALS, "there is no optimizer"),
        ("core:s0=1", CRYSTALS, "did you mean 's_0'"),
        ("core:s_0=-1", CRYSTALS, "not allowed"),
        ("core:s_0", CRYSTALS, "no setting"),
        ("pair-lbfgz", POSITIONS, "there is no optimizer 'pair-lbfgz'"),
        ("core:s_1=1", POSITIONS, "did you mean 's_0'"),
        ("default:s_1=1", POSITIONS, "no parameter|unknown|unexpected|did you mean"),
        ("sella", POSITIONS, "there is no optimizer 'sella'"),
        ("geometrik", MOLECULES, "did you mean 'geometric'"),
    ],
)
def test_unknown_names_and_settings_are_rejected(name, system, message):
    with pytest.raises(ValueError, match=message):
        check_optimizer(name, system)


def test_names_are_chosen_from_lists_or_defaults():
    names = chosen_optimizers(["core:s_0=0.1,lbfgs", TUNED_PRECON], (), POSITIONS)
    assert names == ["core:s_0=0.1", "lbfgs", TUNED_PRECON]
    assert chosen_optimizers([], ["fire"], POSITIONS) == ["fire"]


@pytest.mark.parametrize(("name", "system"), KNOWN)
def test_every_name_has_settings(name, system):
    check_optimizer(name, system)
    assert settings_text(name, system)


def test_every_optimizer_of_ase_exists():
    for name in ASE:
        assert ase_class(name)


def test_settings_are_in_the_text_of_a_row():
    text = settings_text("core:s_0=0.1,symmetry=keep", CRYSTALS)
    assert "s_0=0.1" in text
    assert "symmetry='keep'" in text
    assert "s_0=0.002" in settings_text("core:s_0=0.002", POSITIONS)
    assert settings_text("core:s_0=0.002", POSITIONS) != settings_text("core", POSITIONS)
    assert settings_text("ase:GOQN", POSITIONS) == settings_text("ase:GoodOldQuasiNewton", POSITIONS)


def test_default_is_the_rule_that_relax_follows_where_none_is_named(monkeypatch):
    for system in System:
        assert settings_text("default", system) == settings_text(DEFAULT_RULE, system)
    longer = settings_text("default:maxstep=0.3", MOLECULES)
    assert (
        longer
        == settings_text(f"{DEFAULT_RULE}:maxstep=0.3", MOLECULES)
        != settings_text("default", MOLECULES)
    )
    assert resolved("ase:GOQN") == "ase:GoodOldQuasiNewton"
    assert resolved("core:s_0=0.1") == "core:s_0=0.1"
    monkeypatch.setitem(ALIASES, "default", "fire")
    assert settings_text("default", POSITIONS) == settings_text("fire", POSITIONS)


def test_molecules_have_the_settings_of_positions():
    for name in known_optimizers(POSITIONS):
        assert settings_text(name, MOLECULES) == settings_text(name, POSITIONS)
    assert set(known_optimizers(MOLECULES)) - set(known_optimizers(POSITIONS)) == set(PEERS)


def test_preconlbfgs_is_tuned_for_crystals_and_has_both_names_for_positions():
    assert "Exp(A=3)" in settings_text(PRECON, CRYSTALS)
    assert "defaults" in settings_text(PRECON, POSITIONS)
    assert "Exp(A=3)" in settings_text(TUNED_PRECON, POSITIONS)


def test_the_solver_of_preconlbfgs_is_recorded(monkeypatch):
    monkeypatch.setattr(optimizer_names, "find_spec", lambda name: object())
    for system, name in ((CRYSTALS, PRECON), (POSITIONS, PRECON), (POSITIONS, TUNED_PRECON)):
        assert packages_of(name, system)[-1] == "pyamg"
    assert "pyamg" not in packages_of("ase:FIRE", POSITIONS) + packages_of("core", POSITIONS)


def test_ours_relax_the_cell_of_crystals_only():
    for system, relaxed in ((CRYSTALS, True), (POSITIONS, False)):
        atoms = bulk("Cu", a=3.7)
        atoms.calc = EMT()
        before = atoms.cell.array.copy()
        make_optimizer("lbfgs", atoms, system).run(fmax=0.05, steps=20)
        assert np.allclose(atoms.cell.array, before) is not relaxed


def test_the_cell_for_a_preconditioner_leaves_positions_unchanged():
    atoms = molecule("CO2")
    before = atoms.positions.copy()
    atoms.calc = EMT()
    make_optimizer(TUNED_PRECON, atoms, POSITIONS)
    assert (atoms.positions == before).all()
    assert atoms.cell.rank == 3
    assert not atoms.pbc.any()


def test_published_rows_are_compared_with_known_optimizers():
    assert {name for _, entry in published() for name in entry.ours} <= set(known_optimizers(CLUSTERS))


@pytest.mark.slow
@pytest.mark.parametrize("system", [CRYSTALS, POSITIONS])
def test_every_name_takes_a_step(system):
    for name in known_optimizers(system):
        atoms: Atoms = alloy()
        atoms.calc = EMT()
        with silenced():  # PreconLBFGS warns that its defaults are of no use for so few atoms
            make_optimizer(name, atoms, system).run(fmax=0.05, steps=1)


def test_several_draws_are_counted_together():
    name, start = "default:draws=3,rattle=0.2,check=minimum", bulk("Al", cubic=True)
    made = relax_counted(lambda atoms: make_optimizer(name, atoms, CRYSTALS), start, EMT(), 0.02, 200)
    result = relax(bulk("Al", cubic=True), EMT(), fmax=0.02, steps=200, cell=True, draws=3, rattle=0.2,
                   check="minimum")  # fmt: skip
    assert made.reported == (result.status, result.reason)
    assert made.calls == result.force_calls
    np.testing.assert_allclose(made.atoms.cell, start.cell, atol=0.5)
    assert "draws=3" in settings_text(name, CRYSTALS)
    assert settings_text(name, CRYSTALS) != settings_text(name.replace("3", "4", 1), CRYSTALS)


def test_a_hessian_by_differences_is_not_counted():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.03, seed=1)
    makers = [
        lambda atoms, name=name: make_optimizer(name, atoms, MOLECULES)
        for name in ("default", "default:hessian=differences")
    ]
    without, known = (relax_counted(make, atoms, EMT(), 0.01, 50) for make in makers)
    assert known.reported[0] == "converged"
    assert known.calls < without.calls
    assert settings_text("default:hessian=differences", MOLECULES) == (
        settings_text("default", MOLECULES) + ", hessian='differences'"
    )
    with pytest.raises(ValueError, match="hessian is 'exact'; write hessian=differences"):
        check_optimizer("default:hessian=exact", MOLECULES)


def test_differences_are_the_hessian_of_a_quadratic():
    class Springs(EMT):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            g = matrix @ atoms.positions.ravel()
            self.results = {"energy": 0.5 * atoms.positions.ravel() @ g, "forces": -g.reshape(-1, 3)}

    random = np.random.default_rng(0).normal(size=(6, 6))
    matrix = random + random.T
    found = hessian_by_differences(Springs())(Atoms("Cu2", [[0, 0, 0], [1, 2, 3]]))
    assert np.allclose(found, matrix, atol=1e-8)
