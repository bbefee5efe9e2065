"""Forces that add up to something, as on the grids of density-functional theory, and external fields."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from relax import relax, relax_many

FMAX = 0.01
PUSH, TWIST = np.array([0.003, -0.002, 0.001]), np.array([0.001, 0.0, 0.002])  # eV/A, eV/A^2


class Grid(EMT):
    """EMT whose forces have an error that pushes the whole, and turns what may turn."""

    push = PUSH

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, list(properties), system_changes)
        arms = atoms.positions - atoms.positions.mean(axis=0)
        turn = 0.0 if atoms.pbc.any() else np.cross(TWIST, arms)
        self.results["forces"] = self.results["forces"] + self.push + turn


class Field(EMT):
    """EMT in a field, a harmonic well around the origin."""

    stiffness = 0.5  # eV/A^2

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, list(properties), system_changes)
        self.results["energy"] += 0.5 * self.stiffness * (atoms.positions**2).sum()
        self.results["forces"] = self.results["forces"] - self.stiffness * atoms.positions


def structures():
    methanol = molecule("CH3OH")
    crystal = bulk("Cu", cubic=True) * (2, 1, 1)
    for atoms in (methanol, crystal):
        atoms.rattle(0.05, seed=1)
    return methanol, crystal


@pytest.mark.parametrize("atoms", structures(), ids=["molecule", "crystal"])
@pytest.mark.parametrize("rule", ["internal-lbfgs", "pair-lbfgs", "kriging"])
def test_an_error_that_moves_the_whole_costs_no_calls(atoms, rule):
    exact, wrong = atoms.copy(), atoms.copy()
    right = relax(exact, EMT(), rule, fmax=FMAX, steps=200)
    found = relax(wrong, Grid(), rule, fmax=FMAX, steps=200)
    assert right.status == found.status == "converged"
    assert found.force_calls <= right.force_calls + 3
    np.testing.assert_allclose(wrong.positions.mean(axis=0), atoms.positions.mean(axis=0), atol=1e-3)
    assert wrong.get_potential_energy() == pytest.approx(exact.get_potential_energy(), abs=1e-3)


def test_structures_of_a_batch_do_as_alone():
    many = [atoms.copy() for atoms in structures()]
    together = {done.index: done for done in relax_many(many, Grid(), fmax=FMAX, steps=60)}
    for n, atoms in enumerate(structures()):
        alone = relax(atoms, Grid(), fmax=FMAX, steps=60)
        assert together[n].result.force_calls == alone.force_calls
        np.testing.assert_allclose(together[n].atoms.positions, atoms.positions, atol=1e-9)


def test_a_field_moves_the_whole():
    atoms = structures()[0]
    atoms.translate([1.0, 0.5, -0.5])
    result = relax(atoms, Field(), fmax=FMAX, steps=200)
    assert result.status == "converged"
    # In the same field everywhere the center of the atoms is where the field has its minimum.
    assert np.abs(atoms.positions.mean(axis=0)).max() < FMAX / Field.stiffness


def test_what_is_held_is_pushed_as_the_forces_say():
    atoms = structures()[1]
    atoms.set_constraint(FixAtoms([0]))
    calculator = Grid()
    calculator.push = np.array([0.0, 0.0, 0.009])  # below fmax, and no drift: it strains the bonds
    atoms.calc = calculator
    result = relax(atoms, calculator, fmax=FMAX / 5, steps=200)
    assert result.status == "converged"
    held = atoms.get_forces()
    assert np.linalg.norm(held, axis=1).max() < FMAX / 5
    np.testing.assert_allclose(atoms.positions[0], structures()[1].positions[0])
