"""PySCF as a calculator: forces, electrons, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.fd import calculate_numerical_forces

from relax import relax
from relax.calculators.registry import CalculatorError, load, unsupported

pytest.importorskip("pyscf", reason='PySCF is not installed: pip install "relax[pyscf]"')


def bent_water() -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"xc": "b3lyp", "basis": "sto-3g", "density_fit": False}])
def test_forces_are_the_slope_of_the_energy(settings):
    atoms = bent_water()
    atoms.calc = load("pyscf", settings=settings | {"conv_tol": 1e-11})
    # The grid moves with the atoms, which the gradient leaves out.
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, 1e-3), atol=2e-3)


@pytest.mark.slow
def test_the_last_density_changes_no_number():
    atoms, other = bent_water(), bent_water()
    atoms.calc, other.calc = load("pyscf"), load("pyscf")
    other.get_forces()
    atoms.positions[0, 0] += 0.05
    other.positions[0, 0] += 0.05
    assert other.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(other.get_forces(), atoms.get_forces(), atol=1e-3)


@pytest.mark.slow
def test_a_molecule_relaxes_to_the_known_bond():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.9]])
    result = relax(atoms, load("pyscf", settings={"xc": "hf", "basis": "6-31g**"}), fmax=0.005)
    assert result.converged
    # Hehre, Radom, Schleyer and Pople, Ab Initio Molecular Orbital Theory (1986).
    assert atoms.get_distance(0, 1) == pytest.approx(0.733, abs=1e-3)


def test_charge_and_spin_are_of_the_structure_unless_they_are_set():
    small = {"basis": "sto-3g", "xc": "hf"}

    def energy(settings=None, **arrays):
        atoms = Atoms("He", **arrays)
        atoms.calc = load("pyscf", settings=small | (settings or {}))
        return atoms.get_potential_energy()

    ion = energy(charges=[1], magmoms=[1])
    assert ion > energy() + 10
    assert energy({"charge": 1, "spin": 1}) == pytest.approx(ion, abs=1e-6)
    assert energy({"charge": 0, "spin": 0}, charges=[1], magmoms=[1]) == pytest.approx(energy(), abs=1e-6)


def test_other_elements_are_another_molecule():
    calculator = load("pyscf", settings={"basis": "sto-3g", "xc": "hf"})
    helium, neon = Atoms("He"), Atoms("Ne")
    for atoms in (helium, neon, helium):
        atoms.calc = calculator
        fresh = atoms.copy()
        fresh.calc = load("pyscf", settings={"basis": "sto-3g", "xc": "hf"})
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-6)


def test_what_does_not_converge_is_one_line_and_the_next_begins_anew():
    atoms = bent_water()
    atoms.calc = load("pyscf", settings={"basis": "sto-3g", "max_cycle": 2})
    with pytest.raises(RuntimeError, match="the SCF does not converge to 1e-09 Hartree in 2 cycles"):
        atoms.get_forces()
    assert atoms.calc.scf is None
    result = relax(bent_water(), load("pyscf", settings={"basis": "sto-3g", "max_cycle": 2}))
    assert result.status == "calculator_error"
    assert "does not converge" in result.reason


def test_what_it_cannot_do_is_said():
    calculator = load("pyscf")
    assert unsupported(calculator, molecule("H2O")) == ""
    assert "molecules only" in unsupported(calculator, bulk("Si"))
    with pytest.raises(CalculatorError, match="did you mean 'basis'"):
        load("pyscf", settings={"basis_set": "def2-svp"})
    with pytest.raises(CalculatorError, match="must be a number"):
        load("pyscf", settings={"charge": "one"})
