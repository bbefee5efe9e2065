"""Forces that are no gradient of the energy: the run sees it, goes by the forces alone, and ends."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import MirrorForce
from helpers import cluster

import relax
from relax.optimizers import FrankensteinRelax, InternalLBFGSRelax, PairLBFGSRelax


class Curled(Calculator):
    """EMT with a linear field of forces without an energy added, of the size ``share`` (eV/A^2).

    The field vanishes at ``centre`` (N, 3), and acts on N atoms only.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, centre, share):
        super().__init__()
        self.inner, self.calls = EMT(), 0
        n = centre.size
        a = np.random.default_rng(0).normal(size=(n, n))
        moved = np.tile(np.eye(3), (len(centre), 1)) / np.sqrt(len(centre))
        turned = np.concatenate([np.cross(np.eye(3), x - centre.mean(axis=0)) for x in centre], axis=1).T
        held, _ = np.linalg.qr(np.concatenate([moved, turned], axis=1))
        free = np.eye(n) - held @ held.T
        a = free @ (a - a.T) @ free  # antisymmetric: no energy has it
        self.centre, self.field = centre.copy(), share * a / np.linalg.norm(a, 2)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        forces = self.inner.get_forces(self.atoms)
        if len(self.atoms) == len(self.centre):
            forces = forces + (self.field @ (self.atoms.positions - self.centre).ravel()).reshape(-1, 3)
        self.results = {"energy": self.inner.get_potential_energy(self.atoms), "forces": forces}


class Jump(Calculator):
    """EMT whose energy is ``size`` (eV) higher where no force is above 0.1 eV/A.

    Energies on plane waves jump where their number changes.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, size):
        super().__init__()
        self.inner, self.size = EMT(), size

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces = self.inner.get_potential_energy(self.atoms), self.inner.get_forces(self.atoms)
        energy += self.size if np.abs(forces).max() < 0.1 else 0.0
        self.results = {"energy": energy, "forces": forces}


@cache
def minimum():
    atoms = Atoms("Cu13", 2.5 * cluster(13, seed=3) / 1.1, calculator=EMT())
    PairLBFGSRelax(atoms, logfile=None).run(fmax=1e-4)
    return atoms.positions


def cu(share, seed=1):
    """Return a cluster near its minimum, which is not where the added field vanishes."""
    atoms = Atoms("Cu13", minimum())
    atoms.rattle(0.1, seed=7)
    atoms.calc = Curled(atoms.positions, share)
    atoms.positions = minimum()
    atoms.rattle(0.15, seed=seed)
    return atoms


@pytest.mark.parametrize("optimizer", [PairLBFGSRelax, InternalLBFGSRelax])
@pytest.mark.parametrize(("share", "times"), [(0.2, 3), (1.0, 6)])
def test_runs_on_forces_with_a_curl_end(optimizer, share, times):
    plain, atoms = cu(0.0), cu(share)
    first = optimizer(plain, logfile=None)
    first.run(fmax=1e-3, steps=500)
    assert first.result.converged
    assert first.result.conservative
    run = optimizer(atoms, logfile=None)
    run.run(fmax=1e-3, steps=500)
    assert run.result.converged
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 1e-3
    assert not (share == 1.0 and run.result.conservative)
    assert atoms.calc.calls < times * plain.calc.calls


def test_a_mirrored_force_is_no_gradient():
    # From the test of ase.constraints.MirrorForce: the run climbs along one distance.
    atoms = molecule("cyclobutene")
    atoms.set_constraint(MirrorForce(2, 3, max_dist=5.0, fmax=0.05))
    atoms.calc = EMT()
    run = PairLBFGSRelax(atoms, logfile=None)
    run.run(fmax=0.05, steps=300)
    assert run.result.converged
    assert not run.result.conservative


def test_without_energies_only_forces_count():
    atoms, other = cu(0.0), cu(0.0)
    InternalLBFGSRelax(atoms, logfile=None, energies=False).run(fmax=1e-3)

    class Unknown(Curled):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["energy"] = float(np.random.default_rng(self.calls).normal())

    other.calc = Unknown(other.positions, 0.0)
    run = InternalLBFGSRelax(other, logfile=None, energies=False)
    run.run(fmax=1e-3)
    assert run.result.converged
    assert not run.result.conservative
    np.testing.assert_array_equal(other.positions, atoms.positions)


def test_frankenstein_goes_by_the_power_of_the_last_step():
    atoms, other = cu(0.0), cu(0.0)
    FrankensteinRelax(atoms, logfile=None, energies=False).run(fmax=0.05)
    FrankensteinRelax(other, logfile=None, judge="power").run(fmax=0.05)
    np.testing.assert_array_equal(atoms.positions, other.positions)


def test_a_batch_sees_it_for_each_structure():
    curled, plain = cu(1.0), Atoms("Cu4", 2.4 * cluster(4, seed=5) / 1.1)
    alone = cu(1.0)
    run = PairLBFGSRelax(alone, logfile=None)
    run.run(fmax=1e-3, steps=500)
    found = list(relax.relax_many([curled, plain], curled.calc, "pair-lbfgs", fmax=1e-3))
    first, second = sorted(found, key=lambda one: one.index)
    assert (first.result.converged, second.result.converged) == (True, True)
    assert (first.result.conservative, second.result.conservative) == (False, True)
    np.testing.assert_allclose(first.atoms.positions, alone.positions, atol=1e-9)
    assert first.result.force_calls == run.result.force_calls


@pytest.mark.parametrize("size", [0.01, 0.1])
@pytest.mark.parametrize("rule", ["internal-lbfgs", "pair-lbfgs", "kriging"])
def test_an_energy_that_jumps_up_near_the_minimum_does_not_keep_a_run_away(rule, size):
    for seed in range(4):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.pbc = False
        atoms.rattle(0.1, seed=seed)
        result = relax.relax(atoms, Jump(size), rule=rule, fmax=0.01, steps=40)
        assert result.converged, (seed, result)
