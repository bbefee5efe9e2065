"""Batches that are checked for saddles, against the same structures one by one."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from test_batch import (
    Faulty,
    alone,
    argon,
    assert_same,
    blame,
    cold,
    metal,
    numbers,
    reduced,
    spoil_force,
    spoil_stress,
    throw,
    together,
)
from toys import CountedEMT

from relax.engine.api import relax_many
from relax.engine.minima.minimum_check import MinimumCheck

CHECK = MinimumCheck(saddle=-0.02)


def square():
    """Return four atoms in a plane, which would rather be a tetrahedron."""
    return Atoms("Cu4", [[0, 0, 0], [2.3, 0, 0], [2.3, 2.3, 0], [0, 2.3, 0]])


def body_centred(symbol="Cu", a=2.9):
    """Return a cubic cell that falls along the strain that makes it face-centred."""
    return bulk(symbol, "bcc", a=a, cubic=True)


def held(atoms):
    """Return atoms with the first one held."""
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def periodic():
    return [body_centred(), held(body_centred("Ni", 2.8)), metal(), bulk("Al", cubic=True)]


def periodic_alone(atoms):
    return bool(atoms.pbc.any())


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("rule", ["internal-lbfgs", "pair-lbfgs", "lbfgs", "fire"])
def test_a_batch_is_checked_as_single_runs_are(rule, cell, escape):
    structures = [square(), held(square()), *periodic()]
    options = {"check": CHECK, "escape": escape}
    criteria = {"fmax": 0.02, "steps": 40}

    def freed(atoms):
        return cell and periodic_alone(atoms)

    batch = together(structures, EMT(), rule, budget=9, cell=freed, **options, **criteria)
    for done, atoms in zip(batch, structures, strict=True):
        single = alone(atoms, EMT(), rule, cell=freed(atoms), options=options, **criteria)
        assert_same(done, *single, held=not freed(atoms))
    ended = [done.result for done in batch]
    if not escape:
        assert [result.status == "saddle" for result in ended[:4]] == [True, True, cell, cell]
        assert {result.status for result in ended[4:]} == {"converged"}
    assert [result.escapes > 0 for result in ended] == [escape, escape, *2 * [cell and escape], False, False]


def test_what_breaks_the_symmetry_that_is_kept_is_no_saddle():
    options = {"check": CHECK, "symmetry": "keep"}
    batch = together(periodic(), EMT(), "lbfgs", cell=True, fmax=0.02, **options)
    for done, atoms in zip(batch, periodic(), strict=True):
        single = alone(atoms, EMT(), "lbfgs", cell=True, fmax=0.02, options=options)
        assert_same(done, *single, held=False)
    assert batch[0].result.status == "converged"
    assert batch[0].result.curvature > 0


@pytest.mark.parametrize(
    "criteria",
    [
        {"fmax": 0.02, "energy_change": 1e-4},
        {"fmax": 0.02, "steps": 0},
        {"fmax": 0.3, "pressure": 5.0},
        {"fmax": 0.3, "on_bad": "backtrack"},
    ],
)
def test_a_check_goes_with_whatever_else_is_asked(criteria):
    options = {"check": CHECK, "escape": True} | {
        name: criteria.pop(name) for name in ("pressure", "on_bad") if name in criteria
    }
    structures = periodic()[:3]
    batch = together(structures, EMT(), "lbfgs", cell=True, **options, **criteria)
    for done, atoms in zip(batch, structures, strict=True):
        backwards = options.get("on_bad", "stop")
        others = {k: v for k, v in options.items() if k != "on_bad"}
        single = alone(atoms, EMT(), "lbfgs", cell=True, on_bad=backwards, options=others, **criteria)
        assert_same(done, *single, held=False)


def test_when_the_escapes_are_spent_it_is_a_saddle():
    check = MinimumCheck(saddle=-0.02, push=1e-3, escapes=3)
    options = {"check": check, "escape": True}
    (done,) = together([square()], EMT(), "lbfgs", fmax=0.02, **options)
    assert_same(done, *alone(square(), EMT(), "lbfgs", fmax=0.02, options=options))
    assert done.result.status == "saddle"
    assert done.result.escapes == 3
    assert done.result.reason.endswith("after 3 escapes")


def test_checks_do_not_depend_on_order_size_and_swaps():
    """To the last bit, with a potential of which that is true."""
    structures = [cold(6, seed=k) for k in range(2)] + [argon(4 - k % 2, seed=k) for k in range(3)]

    def relaxed(order, budget):
        found = together(
            [structures[k] for k in order], reduced(), "lbfgs", fmax=1e-3, steps=300,
            cell=periodic_alone, budget=budget, check=CHECK, escape=True,
        )  # fmt: skip
        return {
            k: (one.atoms.positions.tobytes(), one.atoms.cell.array.tobytes(), repr(numbers(one.result)))
            for k, one in zip(order, found, strict=True)
        }

    reference = relaxed(range(5), 1000)
    assert all("the lowest curvature is" in words for _, _, words in reference.values())
    for order, budget in [(range(5), 1), (range(4, -1, -1), 10), ([2, 0, 4, 1, 3], 14)]:
        assert relaxed(order, budget) == reference


def test_every_call_is_counted_and_what_comes_out_has_results():
    structures, calculator = [square(), *periodic()], CountedEMT()
    batch = together(structures, calculator, "lbfgs", fmax=0.02, cell=periodic_alone, check=CHECK)
    assert sum(done.result.force_calls for done in batch) == calculator.calls
    plain = together(structures, EMT(), "lbfgs", fmax=0.02, cell=periodic_alone)
    for done, unchecked in zip(batch, plain, strict=True):
        assert done.result.steps == unchecked.result.steps
        assert 1 <= done.result.force_calls - unchecked.result.force_calls <= CHECK.calls
        assert done.atoms == unchecked.atoms
        assert done.atoms.get_potential_energy() == unchecked.atoms.get_potential_energy()
        assert (done.atoms.get_forces() == unchecked.atoms.get_forces()).all()
        assert done.result.energy_last == unchecked.result.energy_last
        assert done.result.fmax == unchecked.result.fmax


@pytest.mark.parametrize("on_bad", ["stop", "backtrack"])
@pytest.mark.parametrize(
    ("deed", "status"),
    [
        (blame, "calculator_error"),
        (throw, "calculator_error"),
        (spoil_force, "nonfinite"),
        (spoil_stress, "nonfinite"),
    ],
)
def test_what_goes_wrong_beside_the_place_ends_there(deed, status, on_bad):
    structures = [metal(), bulk("Al", a=4.0, cubic=True), body_centred()]
    options = {"fmax": 0.05, "cell": True, "check": CHECK, "on_bad": on_bad}
    clean = together(structures, EMT(), "lbfgs", **options)
    plain = together(structures, EMT(), "lbfgs", **options | {"check": None})
    potential = Faulty(deed, at=plain[1].result.force_calls + 1)
    batch = together(structures, potential, "lbfgs", **options)
    assert batch[1].result.status == status
    assert batch[1].result.force_calls == plain[1].result.force_calls + 1
    assert batch[1].atoms == plain[1].atoms
    assert batch[1].atoms.get_potential_energy() == plain[1].atoms.get_potential_energy()
    for k in (0, 2):
        assert repr(numbers(batch[k].result)) == repr(numbers(clean[k].result))
        assert batch[k].atoms.positions.tobytes() == clean[k].atoms.positions.tobytes()
    assert not potential.inside


def test_time_may_be_up_beside_the_place():
    (done,) = together([body_centred()], EMT(), "lbfgs", fmax=1.0, timeout=0.0, check=CHECK)
    assert done.result.status == "timeout"
    assert done.result.force_calls == 2
    assert done.atoms == body_centred()


def test_where_nothing_can_move_nothing_is_asked():
    (done,) = together([bulk("Cu")], EMT(), "lbfgs", check="minimum")
    assert (done.result.status, done.result.force_calls) == ("converged", 1)
    assert np.isinf(done.result.curvature)


def test_wrong_words():
    with pytest.raises(ValueError, match="check = 'maximum' is not allowed"):
        relax_many([], EMT(), check="maximum")
    with pytest.raises(ValueError, match="escape=True needs a check"):
        relax_many([], EMT(), escape=True)
