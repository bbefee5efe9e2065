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


def test_what_is_not_known_counts_as_a_saddle():
    assert saddles([None, None]) is None
    assert saddles([None, [-0.1, 0.2], [-0.1, -0.1], [0.3, 0.3]]) == [3, 2]
