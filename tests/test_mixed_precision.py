"""MACE in mixed precision: float32 far from the stop, and float64 near it and to judge it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from helpers import geometry

import relax
from relax.calculators import as_potential, load

pytestmark = pytest.mark.slow

NAME = f"mace:{Path(__file__).parent.parent / 'data' / 'mace-mini.model'}"


def crystals(n):
    """Return ``n`` rattled crystals of copper and nickel."""
    made = []
    for seed in range(n):
        atoms = bulk("Cu", cubic=True) * (1 + seed % 2, 1, 1)
        atoms.numbers[:2] = 28
        atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
        atoms.rattle(0.1, seed=seed)
        made.append(atoms)
    return made


def asked(potential, atoms, key=0):
    """Return what the potential says of one structure."""
    return potential.evaluate(geometry([atoms], [key]), True)


@pytest.fixture(scope="module")
def mixed():
    return as_potential(NAME, dtype="mixed")


@pytest.fixture(scope="module")
def double():
    return as_potential(NAME)


@pytest.fixture(scope="module")
def ends(mixed):
    """Crystals relaxed in mixed precision, in their order."""
    return ended(crystals(4), mixed)


def energy(done):
    """Return the energy that a run reports, eV."""
    return done.atoms.get_potential_energy()


def ended(structures, potential, **options):
    run = relax.relax_many(structures, potential, fmax=0.02, cell=True, **options)
    return sorted(run, key=lambda done: done.index)


def test_what_is_reported_is_of_float64(ends, double):
    for key, done in enumerate(ends):
        assert done.result.converged
        double.admit(key, done.atoms)
        exact = asked(double, done.atoms, key)
        double.release(key)
        assert energy(done) == pytest.approx(exact.energies[0], abs=1e-9)
        assert np.linalg.norm(exact.forces, axis=1).max() <= 0.02 + 1e-9
        np.testing.assert_allclose(done.atoms.get_forces(), exact.forces, rtol=0, atol=1e-9)


def test_it_ends_where_float64_does(ends, double):
    for done, other in zip(ends, ended(crystals(4), double), strict=True):
        assert energy(done) == pytest.approx(energy(other), abs=1e-4 * len(done.atoms))
        # The call in which it comes near may be two.
        assert 0 <= done.result.force_calls - other.result.force_calls <= 1


def test_it_is_repeatable_and_each_structure_goes_its_own_way(ends, mixed):
    alone = [ended([atoms], mixed)[0] for atoms in crystals(4)]
    for done, other, again in zip(ends, alone, ended(crystals(4), mixed), strict=True):
        assert energy(done) == energy(again)
        assert energy(done) == pytest.approx(energy(other), abs=1e-7)


def test_only_what_is_far_is_in_float32(mixed, double):
    far, near = crystals(2)
    near.positions = (bulk("Cu", cubic=True) * (2, 1, 1)).positions * 1.02
    near.rattle(0.001, seed=0)
    held = far.copy()
    held.set_constraint(FixAtoms([0]))
    single = as_potential(NAME, dtype="float32")
    for atoms, calls, like, unlike in (
        (far, {}, single, double), (near, {0: 2}, double, single), (held, {}, double, single)
    ):  # fmt: skip
        for potential in (mixed, double, single):
            potential.admit(7, atoms)
        found, same, other = (asked(potential, atoms, 7) for potential in (mixed, like, unlike))
        for potential in (mixed, double, single):
            potential.release(7)
        assert found.calls == calls
        np.testing.assert_array_equal(found.forces, same.forces)
        assert np.abs(found.forces - other.forces).max() > 1e-9


def test_a_looser_stop_is_judged_in_float64_too(mixed):
    (done,) = relax.relax_many(crystals(1), mixed, fmax=1.0)
    assert mixed.near == 2.0
    assert done.result.converged
    exact = as_potential(NAME)
    exact.admit(0, done.atoms)
    assert energy(done) == pytest.approx(asked(exact, done.atoms).energies[0], abs=1e-9)
    list(relax.relax_many(crystals(1), mixed, fmax=0.05))
    assert mixed.near == 0.2


def test_it_is_a_calculator_of_ase_by_name():
    atoms = crystals(1)[0]
    atoms.calc = load(NAME, dtype="mixed")
    assert relax.relax(atoms, fmax=0.05, cell=True).converged
    exact = atoms.copy()
    exact.calc = load(NAME)
    assert atoms.get_potential_energy() == pytest.approx(exact.get_potential_energy(), abs=1e-9)
