"""The lowest curvature of crystals, against curvatures that are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from benchmarks.common.curvature import SADDLE, lowest_curvature
from benchmarks.crystals.statistics import saddles


class Springs(Calculator):
    """Each component of each atom in a spring of its own, the forces of one atom with a jump at its rest."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, stiffness, jump=0.0):
        super().__init__()
        self.stiffness, self.jump = stiffness, jump
        self.rest = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = atoms.get_scaled_positions(wrap=False)  # a strain alone stretches no spring
        self.rest = x.copy() if self.rest is None else self.rest
        x = (x - self.rest) @ atoms.cell
        forces = -self.stiffness * x
        forces[0, 0] += self.jump * np.sign(np.round(x[0, 0], 9))
        stress = np.zeros(6)
        self.results = {"energy": 0.5 * (self.stiffness * x * x).sum(), "forces": forces, "stress": stress}


def crystal(stiffness, jump=0.0):
    atoms = Atoms("Cu2", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
    atoms.calc = Springs(np.array(stiffness), jump)
    atoms.get_potential_energy()
    return atoms


def test_the_lowest_curvature_is_found():
    stiffness = [[3.0, 2.0, 5.0], [4.0, -0.7, 6.0]]
    curvature = lowest_curvature(crystal(stiffness))
    # Moving both atoms along y is left out, so that the curvature is the mean of the two.
    assert curvature.of_gradients == pytest.approx(0.0, abs=1e-6)  # the strains, which nothing holds
    stiffness[1][1] = -3.0
    curvature = lowest_curvature(crystal(stiffness))
    assert curvature == pytest.approx([-0.5, -0.5], abs=1e-6)


def test_a_jump_of_forces_is_no_saddle_by_energies():
    stiffness = [[3.0, 2.0, 5.0], [4.0, 2.0, 6.0]]
    curvature = lowest_curvature(crystal(stiffness, jump=1.0))
    assert curvature.of_gradients < SADDLE
    assert curvature.of_energies > 0


@pytest.mark.parametrize(("lattice", "a", "saddle"), [("bcc", 2.8, True), ("fcc", 3.52, False)])
def test_of_two_lattices_of_nickel_one_is_a_saddle(lattice, a, saddle):
    atoms = bulk("Ni", lattice, a=a, cubic=True)
    atoms.calc = EMT()
    curvature = lowest_curvature(atoms)
    assert (curvature.of_gradients < SADDLE) == saddle
    assert (curvature.of_energies < SADDLE) == saddle


class Pairs(Calculator):
    """Springs of one stiffness between all pairs of atoms, without a cell."""

    implemented_properties = ("energy", "forces")

    def __init__(self, stiffness, rest):
        super().__init__()
        self.stiffness, self.rest = stiffness, rest

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        apart = atoms.positions[:, None] - atoms.positions
        distances = np.linalg.norm(apart, axis=2) + np.eye(len(atoms))
        stretch = distances - self.rest
        np.fill_diagonal(stretch, 0.0)
        forces = -self.stiffness * ((stretch / distances)[..., None] * apart).sum(axis=1)
        self.results = {"energy": 0.25 * self.stiffness * (stretch**2).sum(), "forces": forces}


def test_of_a_molecule_its_vibrations_are_left():
    # A triangle of springs has the doublet 3 k / 2 and the breathing mode 3 k; a line of two only 2 k.
    triangle = Atoms("Cu3", [[0, 0, 0], [2, 0, 0], [1, np.sqrt(3), 0]], calculator=Pairs(4.0, 2.0))
    assert lowest_curvature(triangle, cell=False, step=1e-3) == pytest.approx([6.0, 6.0], abs=1e-4)
    pair = Atoms("Cu2", [[0, 0, 0], [2, 0, 0]], calculator=Pairs(4.0, 2.0))
    assert lowest_curvature(pair, cell=False, step=1e-3) == pytest.approx([8.0, 8.0], abs=1e-4)


def test_a_line_of_springs_falls_across_itself():
    # The forces on an end atom vanish where k (d - a) + k (2 d - a) = 0.
    a, k = 2.0, 4.0
    d = 2 * a / 3
    line = Atoms("Cu3", [[-d, 0, 0], [0, 0, 0], [d, 0, 0]], calculator=Pairs(k, a))
    # Across, a spring of tension t and length r has the stiffness t / r; in the mode (1, -2, 1) / sqrt(6)
    # both short ones are turned by 3 / sqrt(6), and the long one is not.
    across = 3 * k * (d - a) / d
    found = lowest_curvature(line, cell=False, step=1e-3, below=0.0)
    assert found.of_gradients == pytest.approx(across, abs=1e-3)
    assert found.of_energies < 0


def test_the_atoms_of_a_crystal_may_move_without_the_cell():
    stiffness = [[3.0, 2.0, 5.0], [4.0, -3.0, 6.0]]
    assert lowest_curvature(crystal(stiffness), cell=False) == pytest.approx([-0.5, -0.5], abs=1e-6)


def test_a_strain_counts_as_the_length_that_is_given():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    softer, stiffer = (lowest_curvature(atoms, length=length).of_gradients for length in (40.0, 20.0))
    assert stiffer == pytest.approx(4 * softer, rel=1e-2)


def test_what_is_not_known_counts_as_a_saddle():
    assert saddles([None, None]) is None
    assert saddles([None, [-0.1, 0.2], [-0.1, -0.1], [0.3, 0.3]]) == [3, 2]
