"""The ASE optimizers in the place of ASE's own, where a user would notice that they are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, fcc100, molecule
from ase.calculators.qmmm import ForceConstantCalculator
from ase.constraints import ExternalForce, FixAtoms, FixBondLength, FixInternals
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.mep import NEB
from ase.optimize.optimize import RestartError
from ase.utils.abc import Optimizable
from scipy.optimize import rosen, rosen_der
from toys import CountedEMT, copper, fmax_of

from relax.engine.api import relax_many
from relax.optimizers.named import OPTIMIZERS, FIRERelax, InternalLBFGSRelax, PairLBFGSRelax

ALL = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
OURS = pytest.mark.parametrize("optimizer", [PairLBFGSRelax, InternalLBFGSRelax])


def test_a_gradient_for_converged_is_deprecated_as_in_ase():
    atoms = copper()
    both: list[Any] = [optimizer(atoms, logfile=None) for optimizer in (ase.optimize.BFGS, FIRERelax)]
    for opt in both:
        opt.fmax = 0.05
        for force in (0.04, 0.06):
            gradient = np.full(3 * len(atoms), force / np.sqrt(3))
            with pytest.warns(FutureWarning, match="gradient"):
                assert opt.converged(gradient=gradient) == (force < 0.05)
            assert opt.gradient_converged(gradient) == (force < 0.05)


def test_a_restart_file_that_is_none_is_told_as_in_ase(tmp_path):
    path = tmp_path / "state"
    path.write_text("hello world\n")
    for optimizer in (ase.optimize.BFGS, PairLBFGSRelax):
        with pytest.raises(RestartError, match="Could not decode") as raised:
            optimizer(Atoms(), restart=path, logfile=None)
        assert "\n" not in str(raised.value)


def pulled() -> tuple[Atoms, FixBondLength]:
    """Return a chain of gold whose ends are pulled apart, and the constraint that holds them."""
    atoms = Atoms("Au3", [(0, 0, 0), (2.5, 0.3, 0), (5.0, 0, 0)], calculator=CountedEMT())
    held = FixBondLength(0, 2)
    atoms.set_constraint([ExternalForce(0, 2, 0.2), held])
    return atoms, held


@OURS
def test_a_constraint_tells_what_force_it_took(optimizer):
    forces = []
    for made in (ase.optimize.BFGS, optimizer):
        atoms, held = pulled()
        assert made(atoms, logfile=None).run(fmax=1e-4)
        forces.append(held.constraint_forces)
    assert np.linalg.norm(forces[0][0]) > 0.1
    np.testing.assert_allclose(*forces, atol=1e-3)


def test_a_constraint_that_is_changed_between_runs_is_followed():
    lengths = []
    for optimizer in (ase.optimize.BFGS, PairLBFGSRelax):
        atoms = Atoms("Au2", [(0, 0, 0), (2.5, 0, 0)], calculator=CountedEMT())
        pull = ExternalForce(0, 1, 0.0)
        atoms.set_constraint(pull)
        opt = optimizer(atoms, logfile=None)
        for pull.external_force in (0.1, 0.4):
            assert opt.run(fmax=1e-4)
            lengths.append(atoms.get_distance(0, 1))
    assert lengths[1] > lengths[0] + 0.005
    assert lengths[2:] == pytest.approx(lengths[:2], abs=1e-4)


def climber() -> Atoms:
    """Return an adatom of platinum whose bonds to two atoms of a held slab are too long by 0.3 A in all."""
    atoms = fcc100("Pt", size=(2, 2, 1), vacuum=10.0)
    add_adsorbate(atoms, "Pt", 1.611, "hollow")
    bonds = [[0, 4, 1.0], [1, 4, 1.0]]
    length = FixInternals.get_bondcombo(atoms, bonds) + 0.3
    atoms.set_constraint([FixInternals(bondcombos=[[length, bonds]]), FixAtoms(range(4))])
    atoms.calc = CountedEMT()
    return atoms


@OURS
def test_a_start_off_its_constraints_is_put_on_them(optimizer):
    """FixInternals moves the slab, too, and FixAtoms puts it back: half of the way is left each time."""
    atoms = climber()
    opt = optimizer(atoms, logfile=None)
    assert opt.run(fmax=0.01, steps=100), opt.result
    (relaxed,) = relax_many([climber()], CountedEMT(), optimizer.rule_class.NAME, fmax=0.01, steps=100)
    assert relaxed.result.converged
    relaxed.atoms.calc = CountedEMT()
    start = climber()
    for ended in (atoms, relaxed.atoms):
        ((length, bonds),) = start.constraints[0].bondcombos
        assert FixInternals.get_bondcombo(ended, bonds) == pytest.approx(length, abs=1e-5)
        assert fmax_of(ended.get_forces()) < 0.011


class Immovable:
    """A constraint that lets nothing move, but says so of no force."""

    def adjust_positions(self, atoms: Atoms, new: np.ndarray) -> None:
        new[:] = atoms.positions

    def adjust_forces(self, atoms: Atoms, forces: np.ndarray) -> None:
        """Leave the forces as they are."""


@OURS
def test_a_run_whose_steps_are_held_ends(optimizer):
    atoms = copper()
    atoms.rattle(0.1, seed=1)
    atoms.set_constraint(Immovable())
    opt = optimizer(atoms, logfile=None)
    assert not opt.run(fmax=1e-3, steps=1000)
    assert opt.result.status == "stalled"
    assert opt.result.force_calls == 1
    assert opt.nsteps < 20


@ALL
def test_no_step_is_longer_than_maxstep(optimizer):
    """Not by rounding either: the positions are 10 A from the origin."""
    atoms = molecule("N2", vacuum=10)
    atoms.calc = ForceConstantCalculator(100 * np.eye(6), atoms.copy(), np.zeros((2, 3)))
    atoms.positions[1] += 1.0
    opt, places = optimizer(atoms, maxstep=0.2, logfile=None), []
    opt.attach(lambda: places.append(atoms.positions.copy()))
    opt.run(fmax=1e-3, steps=3)
    assert np.linalg.norm(np.diff(places, axis=0), axis=2).max() <= 0.2


@OURS
def test_two_stages_are_one(optimizer):
    steps = []
    for stages in ((100,), (3, 100)):
        atoms = copper()
        atoms.rattle(0.2, seed=2)
        opt = optimizer(FrechetCellFilter(atoms), logfile=None)
        for limit in stages:
            done = opt.run(fmax=1e-5, steps=limit)
        assert done
        steps.append((opt.nsteps, atoms.positions.copy()))
    assert steps[0][0] == steps[1][0] > 3
    np.testing.assert_allclose(steps[0][1], steps[1][1], atol=1e-9)


class Rosenbrock(Optimizable):
    """The function of Rosenbrock in a number of variables that need not be one of coordinates of atoms."""

    def __init__(self, n: int) -> None:
        self.x = np.full(n, 0.8)

    def ndofs(self) -> int:
        return len(self.x)

    def get_x(self) -> np.ndarray:
        return self.x.copy()

    def set_x(self, x: np.ndarray) -> None:
        self.x[:] = x

    def get_value(self) -> float:
        return float(rosen(self.x))

    def get_gradient(self) -> np.ndarray:
        return rosen_der(self.x)

    def gradient_norm(self, gradient: np.ndarray) -> float:
        return float(np.linalg.norm(gradient))

    def iterimages(self) -> Iterator[Atoms]:
        return iter([])


@OURS
@pytest.mark.parametrize("n", [2, 3, 5])
def test_what_has_no_atoms_is_minimized(n, optimizer):
    target = Rosenbrock(n)
    opt = optimizer(target, logfile=None)
    assert opt.run(fmax=1e-7, steps=500), opt.result
    np.testing.assert_allclose(target.x, 1.0, atol=1e-6)
    assert opt.optimizable.get_x().shape == opt.optimizable.get_gradient().shape == (n,)
    assert opt.result.energy_last == pytest.approx(0.0, abs=1e-12)
    target.x[:] = 0.9
    assert not opt.converged()
    assert opt.run(fmax=1e-7, steps=500)


@ALL
def test_a_replayed_run_goes_on_as_if_it_had_not_ended(tmp_path, optimizer):
    file = str(tmp_path / "half.traj")
    theirs = copper(1.02)
    first = optimizer(theirs, logfile=None, trajectory=file)
    first.run(fmax=1e-9, steps=3)
    ours = read(file)
    ours.calc = CountedEMT()
    start = ours.positions.copy()
    opt = optimizer(ours, logfile=None)
    opt.replay_trajectory(file)
    np.testing.assert_array_equal(ours.positions, start)
    for run in (first, opt):
        run.run(fmax=1e-9, steps=2)
    np.testing.assert_allclose(ours.positions, theirs.positions, atol=1e-9)
    assert np.abs(ours.positions - start).max() > 1e-4


@OURS
def test_a_replayed_run_of_a_cell_comes_to_the_same_end(tmp_path, optimizer):
    file, ends = str(tmp_path / "half.traj"), []
    optimizer(copper(1.02), logfile=None, cell=True, trajectory=file).run(fmax=1e-9, steps=4)
    for replays in (False, True):
        atoms = read(file)
        atoms.calc = CountedEMT()
        opt = optimizer(atoms, logfile=None, cell=True)
        if replays:
            opt.replay_trajectory(file)
        assert opt.run(fmax=1e-3, steps=50)
        ends.append((atoms.get_potential_energy(), opt.result.force_calls))
    assert ends[0][0] == pytest.approx(ends[1][0], abs=1e-5)
    assert ends[1][1] <= ends[0][1]


def test_a_trajectory_that_cannot_be_replayed(tmp_path):
    atoms = copper()
    with pytest.raises(TypeError, match="for plain Atoms, not for a FrechetCellFilter"):
        PairLBFGSRelax(FrechetCellFilter(atoms), logfile=None).replay_trajectory([atoms])
    opt = PairLBFGSRelax(atoms, logfile=None)
    with pytest.raises(ValueError, match="frame 0 of the trajectory is of OH2, not of Cu4"):
        opt.replay_trajectory([molecule("H2O")])
    with pytest.raises(ValueError, match="frame 0 of the trajectory has no forces"):
        opt.replay_trajectory([atoms.copy()])


@OURS
def test_a_band_is_judged_by_its_forces_from_the_start(optimizer):
    images = [copper() for _ in range(3)]
    images[2].positions[0] += 0.1
    opt = optimizer(NEB(images, method="improvedtangent"), logfile=None)
    opt.run(fmax=1e-9, steps=1)
    assert not opt.result.conservative
    assert "energies=False" in opt.todict()["rule"]
    plain = optimizer(images[0], logfile=None)
    plain.run(fmax=1e-9, steps=1)
    assert plain.result.conservative
