"""Cells that relax: the log strain as three more rows, its gradient, its limits, and when it is done."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import ExpCellFilter, FrechetCellFilter, UnitCellFilter
from ase.io import Trajectory, read, write
from ase.spacegroup import crystal
from helpers import full, rotation
from toys import Bonds, CountedEMT, copper, fmax_of

from relax import CoReRelax, FIRERelax, LBFGSRelax
from relax.core.segments import Segments
from relax.engine.arrays import Start
from relax.geometry.cell import GPA, CellFreedom, deformation, logarithm, periodic_plane, strain_gradient
from relax.optimizers.named import OPTIMIZERS
from relax.optimizers.structure import AtomsStructure

ALL = pytest.mark.parametrize("optimizer", full(OPTIMIZERS))
SOME = pytest.mark.parametrize("optimizer", [CoReRelax, FIRERelax, LBFGSRelax])


def alloy() -> Atoms:
    """Three metals in a triclinic cell, with EMT."""
    atoms = bulk("Cu", "fcc", a=3.8).repeat((2, 1, 2))
    atoms.symbols[1:3] = "AuAg"
    strain = np.array([[0.03, 0.05, -0.02], [0.0, -0.04, 0.06], [0.01, 0.0, 0.02]])
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    atoms.calc = CountedEMT()
    return atoms


def rutile(rattle: float = 0.05) -> Atoms:
    """Rutile with bonds that are off their minimum."""
    sites, cell = [(0, 0, 0), (0.29, 0.29, 0)], [4.594, 4.594, 2.959, 90, 90, 90]
    atoms = crystal(["Ti", "O"], sites, spacegroup=136, cellpar=cell)
    atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=Bonds())
    atoms.rattle(rattle, seed=3)
    return atoms


def left_handed() -> Atoms:
    atoms = rutile()
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    assert np.linalg.det(atoms.cell[:]) < 0
    return atoms


def slab(turn: bool = False) -> Atoms:
    """Two layers of copper, stretched in their plane; on edge in space, if turned."""
    atoms = fcc111("Cu", (1, 2, 2), a=3.7, vacuum=5.0)
    assert atoms.pbc.tolist() == [True, True, False]
    atoms.rattle(0.05, seed=1)
    if turn:
        atoms.set_cell(atoms.cell[:] @ rotation(1).T, scale_atoms=True)
    atoms.calc = CountedEMT()
    return atoms


def wire(turn: bool = False) -> Atoms:
    """A chain of copper atoms along a diagonal that is no axis."""
    atoms = Atoms(
        "Cu3", [[0, 0, 0], [0.3, 0.2, 2.4], [0, 0.1, 4.9]], cell=[9, 9, 7.4], pbc=(False, False, True)
    )
    if turn:
        atoms.set_cell(atoms.cell[:] @ rotation(4).T, scale_atoms=True)
    atoms.calc = CountedEMT()
    return atoms


BULK = {"copper": copper, "alloy": alloy, "rutile": rutile, "left-handed": left_handed}
LOW = {"slab": slab, "wire": wire, "turned slab": lambda: slab(True), "turned wire": lambda: wire(True)}


class Crystal:
    """One structure in place, asked for what the engine makes of it."""

    def __init__(self, atoms: Atoms, freedom: CellFreedom) -> None:
        freedom = freedom if freedom.length else replace(freedom, length=float(len(atoms)))
        self.structure = AtomsStructure(Start(0, atoms, freedom))
        self.rows, self.scale = self.structure.coordinates, freedom.length
        self.free, self.allow = self.rows.free[0], self.rows.limit

    def get_x(self) -> np.ndarray:
        self.structure.changed()
        return self.rows.x.ravel()

    def set_x(self, x: np.ndarray) -> None:
        self.rows.move((x - self.get_x()).reshape(-1, 3))
        self.structure.write()

    def get_gradient(self) -> np.ndarray:
        evaluation = self.structure.evaluate()
        gradients = self.rows.gradients(evaluation.forces, evaluation.stresses)
        self.fmax, self.smax = gradients.fmax[0], gradients.smax[0]
        return gradients.g.ravel()

    def get_value(self) -> float:
        return float(self.rows.values(self.structure.evaluate())[0])


def strained(crystal: Crystal, size: float, seed: int = 0) -> Crystal:
    """Set a random strain whose largest component is ``size``, of those that are free."""
    strain = np.random.default_rng(seed).uniform(-1, 1, (3, 3))
    strain = np.reshape(crystal.free @ (strain + strain.T).ravel(), (3, 3))
    x = crystal.get_x().reshape(-1, 3)
    x[-3:] = crystal.scale * strain * size / max(np.abs(strain).max(), 1e-12)
    crystal.set_x(x.ravel())
    return crystal


# The gradient


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"pressure": 15.0}, {"scalar_pressure": 15.0 * GPA}),
        ({"hydrostatic": True}, {"hydrostatic_strain": True}),
        ({"constant_volume": True}, {"constant_volume": True}),
        ({"mask": [1, 1, 1, 0, 0, 0]}, {"mask": [1, 1, 1, 0, 0, 0]}),
    ],
    ids=["free", "pressure", "hydrostatic", "constant volume", "mask"],
)
@pytest.mark.parametrize("size", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("system", BULK)
def test_forces_are_those_of_the_frechet_filter(system, size, ours, theirs):
    atoms = BULK[system]()
    crystal = Crystal(atoms, CellFreedom(length=len(atoms), **ours))
    cell_filter = FrechetCellFilter(atoms, **theirs)
    strained(crystal, size)
    expected = cell_filter.get_forces()
    np.testing.assert_allclose(-crystal.get_gradient().reshape(-1, 3), expected, rtol=0, atol=1e-10)
    energy = cell_filter.get_potential_energy(force_consistent=system not in ("rutile", "left-handed"))
    assert crystal.get_value() == pytest.approx(energy, abs=1e-10)
    assert crystal.smax == pytest.approx(np.abs(cell_filter.stress).max() / GPA, rel=1e-9, abs=1e-9)
    assert crystal.fmax == pytest.approx(fmax_of(atoms.get_forces()), rel=1e-9)


FREEDOMS = {
    "free": {},
    "pressure": {"pressure": -8.0},
    "six": {"mask": [1, 0, 1, 0, 1, 0]},
    "3x3": {"mask": [[1, 1, 0], [1, 0, 0], [0, 0, 1]]},
    "hydrostatic": {"hydrostatic": True},
    "constant volume": {"constant_volume": True},
    "mask and volume": {"mask": [1, 1, 0, 0, 0, 1], "constant_volume": True, "pressure": 3.0},
}


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("system", BULK | LOW)
def test_gradient_is_the_derivative_of_the_enthalpy(system, freedom):
    crystal = Crystal((BULK | LOW)[system](), CellFreedom(**FREEDOMS[freedom]))
    strained(crystal, 0.1)
    x, gradient = crystal.get_x(), crystal.get_gradient()
    rng, h = np.random.default_rng(1), 1e-5
    units = np.concatenate([np.zeros((9, x.size - 9)), crystal.free], axis=1)  # strains that are free
    atoms = np.concatenate([rng.normal(size=(3, x.size - 9)), np.zeros((3, 9))], axis=1)
    for along in np.concatenate([units, atoms]):
        ends = []
        for way in (h, -h):
            crystal.set_x(x + way * along)
            ends.append(crystal.get_value())
        crystal.set_x(x)
        assert gradient @ along == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=2e-6)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("system", BULK | LOW)
def test_what_is_held_has_no_gradient_and_does_not_move(system, freedom):
    atoms = (BULK | LOW)[system]()
    crystal = Crystal(atoms, CellFreedom(**FREEDOMS[freedom]))
    held = np.eye(9) - crystal.free
    strained(crystal, 0.1)
    assert np.abs(held @ crystal.get_gradient()[-9:]).max() < 1e-12
    step = crystal.allow(np.random.default_rng(0).normal(size=(len(atoms) + 3, 3)))
    assert np.abs(held @ step[-3:].ravel()).max() < 1e-12


@pytest.mark.parametrize(
    ("freedom", "left"),
    [({}, 9), ({"constant_volume": True}, 8), ({"hydrostatic": True}, 1), ({"mask": [1, 0, 1, 0, 1, 0]}, 4)],
    ids=str,
)
def test_how_many_strains_are_free(freedom, left):
    def count(atoms: Atoms) -> int:
        return round(np.trace(Crystal(atoms, CellFreedom(**freedom)).free))

    assert count(rutile()) == left
    in_the_plane = {9: 4, 8: 3, 1: 1, 4: 1}[left]
    assert count(slab()) == in_the_plane
    assert count(wire()) == (0 if "constant_volume" in freedom else 1)


@pytest.mark.parametrize("system", LOW)
@pytest.mark.parametrize("optimizer", [CoReRelax, LBFGSRelax])
def test_nothing_strains_along_a_direction_that_is_not_periodic(optimizer, system):
    atoms = LOW[system]()
    start = atoms.cell[:].copy()
    across = np.eye(3) - periodic_plane(start, atoms.pbc)
    opt = optimizer(atoms, logfile=None, cell=True)
    opt.run(fmax=1e-6, steps=25)
    deformed = np.linalg.solve(start, atoms.cell[:]).T
    np.testing.assert_allclose(deformed @ across, across, rtol=0, atol=1e-12)
    assert np.abs(deformed - np.eye(3)).max() > 0.01
    assert opt.result.energy_last < opt.result.energy_first


def test_a_mask_and_a_turned_slab_both_hold():
    # Neither may undo the other: what is left is in the plane and leaves the masked components alone.
    atoms = slab(turn=True)
    plane = periodic_plane(atoms.cell[:], atoms.pbc)
    crystal = Crystal(atoms, CellFreedom(mask=[1, 1, 1, 0, 1, 1]))
    step = crystal.allow(np.random.default_rng(0).normal(size=(len(atoms) + 3, 3)))[-3:]
    np.testing.assert_allclose(plane @ step @ plane, step, rtol=0, atol=1e-14)
    assert step[[1, 2], [2, 1]] == pytest.approx([0, 0], abs=1e-14)
    assert np.abs(step).max() > 1e-3


def symmetric(count: int) -> np.ndarray:
    a = np.random.default_rng(count).uniform(-0.2, 0.2, (count, 3, 3))
    return a + np.swapaxes(a, 1, 2)


@pytest.mark.parametrize("array", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_strain_gradient_of_a_batch_is_that_of_each(array):
    strain, virial = symmetric(6), symmetric(7)[:6]
    deformed = np.asarray(deformation(strain))
    batch = strain_gradient(array(strain), deformation(array(strain)), array(virial))
    assert type(batch) is type(array(strain))
    for k in range(6):
        one = strain_gradient(*(a[k : k + 1] for a in (strain, deformed, virial)))
        np.testing.assert_allclose(np.asarray(batch)[k], one[0], rtol=0, atol=1e-13)


def test_strain_gradient_without_strain_is_the_virial():
    virial = symmetric(2)
    zero = np.zeros((2, 3, 3))
    np.testing.assert_array_equal(strain_gradient(zero, deformation(zero), virial), virial)


# Coordinates


@pytest.mark.parametrize("system", BULK | LOW)
def test_positions_and_cell_round_trip(system):
    atoms = (BULK | LOW)[system]()
    crystal = strained(Crystal(atoms, CellFreedom()), 0.2)
    x, cell, positions = crystal.get_x(), atoms.cell[:].copy(), atoms.positions.copy()
    crystal.set_x(x)
    np.testing.assert_allclose(crystal.get_x(), x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(atoms.cell[:], cell, rtol=0, atol=1e-13)
    np.testing.assert_allclose(atoms.positions, positions, rtol=0, atol=1e-13)


@pytest.mark.parametrize("system", BULK)
def test_scaled_positions_follow_the_strain(system):
    atoms = BULK[system]()
    scaled = atoms.get_scaled_positions(wrap=False)
    strained(Crystal(atoms, CellFreedom()), 0.2)
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False), scaled, rtol=0, atol=1e-13)


def test_a_cell_set_by_somebody_else_is_learnt():
    atoms = alloy()
    crystal = strained(Crystal(atoms, CellFreedom()), 0.1)
    x = crystal.get_x()
    cell, positions = atoms.cell[:].copy(), atoms.positions.copy()
    atoms.set_cell(cell * 1.02, scale_atoms=True)
    assert np.abs(crystal.get_x() - x).max() > 0.01
    atoms.set_cell(cell)
    atoms.positions = positions
    np.testing.assert_allclose(crystal.get_x(), x, rtol=0, atol=1e-12)


def test_the_logarithm_undoes_the_exponential():
    strain = symmetric(1)[0]
    np.testing.assert_allclose(logarithm(deformation(strain[None])[0]), strain, rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="more than a strain"):
        logarithm(np.diag([1.0, 1.0, -1.0]))


@SOME
def test_rebasing_changes_neither_energies_nor_the_end(optimizer):
    def relaxed(rebase: float) -> tuple[Any, Atoms]:
        atoms = copper(stretch=1.08, rattle=0.02)
        opt = optimizer(atoms, logfile=None, cell=CellFreedom(rebase=rebase))
        references = set()
        opt.attach(lambda: references.add(opt.engine.structure.coordinates.place.reference.tobytes()))
        opt.attach(lambda: energies.append((opt.optimizable.standing.energy, atoms.get_potential_energy())))
        energies: list[tuple[float, float]] = []
        assert opt.run(fmax=1e-3, steps=300)
        assert all(told == pytest.approx(found, abs=1e-12) for told, found in energies)
        return len(references), atoms

    (once, a), (often, b) = relaxed(1.0), relaxed(0.03)
    assert once == 1 < often
    assert a.get_volume() == pytest.approx(b.get_volume(), rel=1e-3)
    assert a.get_potential_energy() == pytest.approx(b.get_potential_energy(), abs=1e-4)


# Steps


@pytest.mark.parametrize("count", [1, 48])
@ALL
def test_no_step_strains_more_than_its_limit(optimizer, count):
    atoms = bulk("Cu", a=3.9)
    if count > 1:
        atoms = bulk("Cu", a=3.9).repeat((4, 4, 3))
        atoms.rattle(0.01, seed=0)
    atoms.calc = CountedEMT()
    opt = optimizer(atoms, logfile=None, cell=CellFreedom(max_strain=0.01), maxstep=10.0)
    cells = []
    opt.attach(lambda: cells.append(atoms.cell[:].copy()))
    opt.run(fmax=1e-3, smax=0.01, steps=6)
    strains = [np.linalg.solve(a, b).T - np.eye(3) for a, b in pairwise(cells)]
    largest = max(np.linalg.norm(strain, 2) for strain in strains)
    assert largest < np.expm1(0.01) * (1 + 1e-9)
    if optimizer in (CoReRelax, FIRERelax, LBFGSRelax):
        assert largest > 0.003  # and is not far below


@SOME
def test_a_cell_of_one_atom_relaxes(optimizer):
    atoms = bulk("Cu", a=3.75)
    atoms.calc = CountedEMT()
    opt = optimizer(atoms, logfile=None, cell=True)
    assert opt.run(fmax=0.01, smax=0.1, steps=400)
    assert atoms.cell.lengths() == pytest.approx([3.5898 / np.sqrt(2)] * 3, abs=2e-3)


@ALL
def test_every_rule_takes_a_cell_of_one_atom_downhill(optimizer):
    atoms = bulk("Cu", a=3.75)
    atoms.calc = CountedEMT()
    opt = optimizer(atoms, logfile=None, cell=True)
    opt.run(fmax=0.01, steps=20)
    assert opt.result.energy_last < opt.result.energy_first


@SOME
def test_pressure_compresses(optimizer):
    def volume(pressure: float) -> float:
        atoms = copper(rattle=0.0)
        opt = optimizer(atoms, logfile=None, cell=True, pressure=pressure)
        assert opt.run(fmax=0.01, smax=0.01, steps=200)
        stress = atoms.get_stress(voigt=False) / GPA
        np.testing.assert_allclose(stress, -pressure * np.eye(3), rtol=0, atol=0.02)
        assert opt.result.smax <= 0.01
        assert opt.result.energy_last == pytest.approx(
            atoms.get_potential_energy() + pressure * GPA * atoms.get_volume(), abs=1e-10
        )
        return atoms.get_volume()

    assert volume(20.0) < volume(0.0) < volume(-5.0)


@SOME
def test_constant_volume_is_constant(optimizer):
    atoms = copper(rattle=0.05)
    atoms.set_cell(atoms.cell[:] * [1.05, 1.0, 1.0], scale_atoms=True)
    volume = atoms.get_volume()
    opt = optimizer(atoms, logfile=None, cell=CellFreedom(constant_volume=True))
    assert opt.run(fmax=0.02, smax=0.1, steps=300)
    assert atoms.get_volume() == pytest.approx(volume, rel=1e-10)
    assert atoms.cell.lengths() == pytest.approx([np.cbrt(volume)] * 3, abs=0.02)


# Any frame

TURNED = [
    *(pytest.param(optimizer, "alloy", id=name) for name, optimizer in OPTIMIZERS.items()),
    *(pytest.param(OPTIMIZERS[name], "turned slab", id=f"{name}, a slab") for name in ("core", "lbfgs")),
]


@pytest.mark.parametrize(("optimizer", "system"), TURNED)
def test_a_turned_crystal_follows_the_turned_path(optimizer, system):
    turn = rotation(2)
    one = (BULK | LOW)[system]()
    other = one.copy()
    other.set_cell(one.cell[:] @ turn.T)
    other.positions = one.positions @ turn.T
    other.calc = EMT()
    for atoms in (one, other):
        optimizer(atoms, logfile=None, cell=True).run(fmax=1e-6, steps=15)
    np.testing.assert_allclose(other.positions, one.positions @ turn.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(other.cell[:], one.cell[:] @ turn.T, rtol=0, atol=1e-8)


# When it is done


def test_fmax_and_smax_each_decide():
    atoms = copper(stretch=1.03, rattle=0.0)  # no force on any atom, by symmetry
    opt = FIRERelax(atoms, logfile=None, cell=True)
    assert not opt.run(fmax=1e-3, smax=0.1, steps=2)
    assert opt.result.fmax < 1e-9
    assert opt.result.smax > 0.1
    assert opt.run(fmax=1e-3, smax=opt.result.smax * 1.001, steps=0)
    assert opt.run(fmax=1e-3, smax=0.1, steps=200)
    assert opt.result.smax <= 0.1
    assert "residual stress" in opt.result.reason
    assert "GPa" in opt.result.reason

    atoms = copper(rattle=0.1)
    opt = FIRERelax(atoms, logfile=None, cell=True)
    assert opt.run(fmax=1e9, smax=1e9, steps=0)
    assert not opt.run(fmax=0.01, smax=1e9, steps=2)
    assert opt.run(fmax=0.01, smax=1e9, steps=300)
    assert fmax_of(atoms.get_forces()) <= 0.01


def test_smax_looks_at_what_is_free_and_counts_the_pressure():
    atoms = copper(stretch=1.03, rattle=0.0)
    told = Crystal(atoms, CellFreedom(mask=[0, 0, 0, 1, 1, 1]))
    told.get_gradient()
    assert told.smax == pytest.approx(0.0, abs=1e-9)
    at_rest = Crystal(atoms, CellFreedom(pressure=-atoms.get_stress()[0] / GPA))
    at_rest.get_gradient()
    assert at_rest.smax == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("cell", [True, False])
def test_energy_change_and_displacement_each_decide(cell):
    def steps(**criteria: float) -> int:
        atoms = copper(rattle=0.1)
        opt = FIRERelax(atoms, logfile=None, cell=cell)
        before: list[Any] = []
        opt.attach(lambda: before.append((opt.optimizable.standing.energy, atoms.positions.copy())))
        assert opt.run(fmax=1e9, smax=1e9 if cell else None, steps=300, **criteria)
        (e0, x0), (e1, x1) = before[-2:]
        if "energy_change" in criteria:
            assert abs(e1 - e0) / len(atoms) <= criteria["energy_change"]
        elif not cell:
            assert np.linalg.norm(x1 - x0, axis=1).max() <= criteria["displacement"]
        return opt.nsteps

    # They are of the last step, so that there has to be one.
    assert 1 <= steps(energy_change=1e9) <= steps(energy_change=1e-3) < steps(energy_change=1e-6)
    assert 1 <= steps(displacement=1e9) <= steps(displacement=1e-2) < steps(displacement=1e-4)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
@pytest.mark.parametrize("name", ["fmax", "smax", "energy_change", "displacement", "timeout"])
def test_a_criterion_that_is_none(name, value):
    opt = FIRERelax(copper(), logfile=None, cell=True)
    with pytest.raises(ValueError, match=f"{name} = .* is not allowed"):
        opt.run(**{name: value})


@SOME
def test_without_smax_the_criterion_is_that_of_the_frechet_filter(optimizer):
    atoms = copper(stretch=1.02, rattle=0.05)
    opt = optimizer(atoms, logfile=None, cell=True)
    theirs = []

    def norm() -> float:
        return fmax_of(FrechetCellFilter(atoms).get_forces())

    opt.attach(lambda: theirs.append(norm()))
    assert opt.run(fmax=0.02, steps=200)
    assert theirs[-1] <= 0.02 < min(theirs[:-1])


def test_the_log_has_force_and_stress():
    log = io.StringIO()
    atoms = copper(stretch=1.02)
    opt = FIRERelax(atoms, logfile=log, cell=True)
    opt.run(fmax=1e-9, steps=2)
    head, *rows = log.getvalue().splitlines()
    assert head.split() == ["Step", "Time", "Energy", "fmax", "smax/GPa"]
    assert len(rows) == 3
    name, step, _, energy, fmax, smax = rows[-1].split()
    assert (name, step) == ("FIRERelax:", "2")
    assert float(energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert float(fmax) == pytest.approx(fmax_of(atoms.get_forces()), abs=1e-6)
    assert float(smax) == pytest.approx(np.abs(atoms.get_stress()).max() / GPA, abs=1e-6)


def test_the_result_of_a_run_that_is_not_done_has_both():
    opt = FIRERelax(copper(stretch=1.02), logfile=None, cell=True)
    opt.run(fmax=1e-9, steps=2)
    assert f"{opt.result.fmax:.4g} eV/A" in opt.result.reason
    assert f"{opt.result.smax:.3g} GPa" in opt.result.reason


# Files


RESTARTED = [
    *(pytest.param(optimizer, "free", id=name) for name, optimizer in OPTIMIZERS.items()),
    *(pytest.param(OPTIMIZERS[name], "keep", id=f"{name}, keeping its group") for name in ("core", "lbfgs")),
]


@pytest.mark.parametrize(("optimizer", "keeps"), RESTARTED)
def test_a_restarted_path_is_the_same_to_the_last_bit(optimizer, keeps, tmp_path):
    def build(atoms: Atoms, **kwargs: Any) -> Any:
        cell = CellFreedom(rebase=0.05)
        return optimizer(atoms, logfile=None, cell=cell, pressure=0.0, symmetry=keeps, **kwargs)

    def start() -> Atoms:
        atoms = rutile(0.05 if keeps == "free" else 0.0)
        atoms.calc = Bonds(skin=0.0)  # whose sums do not depend on where it began
        return atoms

    def path(opt: Any, steps: int) -> list[np.ndarray]:
        seen: list[np.ndarray] = []
        opt.attach(lambda: seen.append(np.concatenate([opt.atoms.positions, opt.atoms.cell[:]])))
        opt.run(fmax=1e-9, steps=steps)
        return seen

    through = path(build(start()), 7)
    left = start()
    path(build(left, restart=tmp_path / "state"), 4)
    write(tmp_path / "left.traj", left)
    again = read(tmp_path / "left.traj")
    again.calc = Bonds(skin=0.0)
    taken_up = path(build(again, restart=tmp_path / "state"), 3)
    assert np.array_equal(through[4:], taken_up)


def test_a_restart_from_another_place_goes_on_from_there(tmp_path):
    atoms = alloy()
    start = atoms.copy()
    FIRERelax(atoms, logfile=None, cell=True, restart=tmp_path / "state").run(fmax=1e-9, steps=5)
    start.rattle(1e-6, seed=1)  # as it was it would go on from where the file has it
    start.calc = EMT()
    opt = FIRERelax(start, logfile=None, cell=CellFreedom(), restart=tmp_path / "state")
    cell = start.cell[:].copy()
    opt.run(fmax=1e-9, steps=1)
    assert np.abs(start.cell[:] - cell).max() < 0.2
    assert np.linalg.norm(np.linalg.solve(cell, start.cell[:]) - np.eye(3), 2) < 0.021


@pytest.mark.parametrize(
    "other",
    [{"cell": CellFreedom(pressure=1.0)}, {"cell": CellFreedom(length=4.0)}, {"wrap": FrechetCellFilter}],
    ids=["pressure", "length", "filter"],
)
def test_a_restart_file_of_another_cell_is_refused(other, tmp_path):
    FIRERelax(alloy(), logfile=None, cell=True, restart=tmp_path / "state").run(fmax=1e-9, steps=2)
    atoms = other.pop("wrap", lambda a: a)(alloy())
    with pytest.raises(ValueError, match="was written with CellFreedom"):
        FIRERelax(atoms, logfile=None, restart=tmp_path / "state", **other)


def test_trajectories_hold_the_relaxed_cells(tmp_path):
    atoms = copper(stretch=1.03)
    cells: list[np.ndarray] = []
    opt = FIRERelax(atoms, logfile=None, cell=True, trajectory=tmp_path / "t.traj")
    opt.attach(lambda: cells.append(atoms.cell[:].copy()))
    opt.run(fmax=1e-9, steps=4)
    with Trajectory(tmp_path / "t.traj") as frames:
        assert len(frames) == 5
        for frame, cell in zip(frames, cells, strict=True):
            np.testing.assert_array_equal(frame.cell[:], cell)
        assert np.array_equal(frames[-1].positions, atoms.positions)
        assert frames[-1].get_potential_energy() == atoms.get_potential_energy()
        assert frames[-1].get_stress() == pytest.approx(atoms.get_stress())
    assert np.abs(cells[-1] - cells[0]).max() > 0.01


# Beside what ASE has


@ALL
def test_fixed_atoms_stay_at_their_scaled_positions(optimizer):
    atoms = alloy()
    scaled = atoms.get_scaled_positions()
    atoms.set_constraint(FixAtoms([0, 2]))
    opt = optimizer(atoms, logfile=None, cell=True)
    opt.run(fmax=1e-6, steps=10)
    np.testing.assert_allclose(atoms.get_scaled_positions()[[0, 2]], scaled[[0, 2]], rtol=0, atol=1e-12)
    assert np.abs(atoms.get_scaled_positions() - scaled)[[1, 3]].max() > 1e-4
    assert opt.result.energy_last < opt.result.energy_first


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@SOME
def test_fixed_symmetry_is_kept(optimizer):
    from ase.constraints import FixSymmetry

    atoms = copper(rattle=0.0)
    atoms.set_cell(atoms.cell[:] * [1.0, 1.0, 1.03], scale_atoms=True)
    atoms.set_constraint(FixSymmetry(atoms))
    opt = optimizer(atoms, logfile=None, cell=True)
    opt.run(fmax=0.01, steps=20)
    assert opt.result.energy_last < opt.result.energy_first
    assert opt.result.spacegroup_first == "I4/mmm (139)"
    assert atoms.cell.angles() == pytest.approx([90.0] * 3, abs=1e-8)
    assert atoms.cell.lengths()[0] == pytest.approx(atoms.cell.lengths()[1], abs=1e-8)


@pytest.mark.parametrize(
    "wrap",
    [
        UnitCellFilter,
        FrechetCellFilter,
        pytest.param(ExpCellFilter, marks=pytest.mark.filterwarnings("ignore:Use FrechetCellFilter")),
    ],
)
def test_a_filter_and_our_cell_end_alike(wrap):
    ours, theirs = copper(stretch=1.03, rattle=0.05), copper(stretch=1.03, rattle=0.05)
    assert FIRERelax(ours, logfile=None, cell=True).run(fmax=0.005, steps=400)
    assert FIRERelax(wrap(theirs), logfile=None).run(fmax=0.005, steps=400)
    assert ours.get_volume() == pytest.approx(theirs.get_volume(), rel=1e-3)
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-4)


def test_a_step_costs_one_call():
    atoms = copper(stretch=1.02)
    opt = FIRERelax(atoms, logfile=None, cell=True)
    opt.run(fmax=1e-9, steps=5)
    assert opt.result.force_calls == atoms.calc.calls == 6


def test_a_supercell_follows_its_cell():
    """FIRE alone weighs all rows by one sum, in which the strain of a supercell counts as its atoms do."""
    length = 4.0
    one, four = copper(stretch=1.02, rattle=0.05), copper(stretch=1.02, rattle=0.05).repeat((2, 2, 1))
    four.calc = EMT()
    for atoms, times in ((one, 1), (four, 4)):
        freedom = CellFreedom(length=length * np.sqrt(times), max_strain=1.0)
        opt = FIRERelax(atoms, logfile=None, cell=freedom, maxstep=100.0)
        opt.run(fmax=1e-9, steps=10)
    np.testing.assert_allclose(four.cell[:], one.cell[:] * [[2], [2], [1]], rtol=0, atol=1e-8)
    np.testing.assert_allclose(four.positions[:4], one.positions, rtol=0, atol=1e-8)


# Segments with a strain


@pytest.mark.parametrize("array", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_a_tensor_has_one_product_on_its_three_rows(array):
    a = np.random.default_rng(0).normal(size=(9, 3))
    dots = Segments([5, 4], [True, False]).own_dot(array(a), array(a))
    expected = (a * a).sum(axis=1)
    expected[2:5] = expected[2:5].sum()
    np.testing.assert_allclose(np.asarray(dots)[:, 0], expected, rtol=1e-14)
    assert Segments([5, 4], [True, False]).longest(array(a))[0, 0] == pytest.approx(expected[:5].max() ** 0.5)


def test_a_tensor_needs_three_rows():
    with pytest.raises(ValueError, match="three rows"):
        Segments([4, 2], [False, True])


# What is refused


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (molecule("H2O"), "not periodic, and have no cell"),
        (molecule("H2O", vacuum=4.0), "not periodic"),
        (Atoms("Cu", pbc=True), "with a volume"),
        (Atoms("Cu", cell=[3, 3, 0], pbc=(True, True, False)), "give a slab a vacuum"),
        (Atoms("Cu", cell=[[3, 0, 0], [3, 0, 0], [0, 0, 3]], pbc=True), "with a volume"),
        (graphene(), "give a slab a vacuum"),
    ],
    ids=["molecule", "molecule in a box", "no cell", "two vectors", "singular", "slab without vacuum"],
)
def test_a_cell_that_cannot_relax(atoms, words):
    with pytest.raises(ValueError, match=words):
        FIRERelax(atoms, logfile=None, cell=True)


@pytest.mark.parametrize("settings", [{"cell": True}, {"symmetry": "keep"}], ids=str)
@pytest.mark.parametrize("wrap", [FrechetCellFilter, UnitCellFilter])
def test_filters_have_a_cell_of_their_own(wrap, settings):
    with pytest.raises(ValueError, match=f"plain Atoms, not for a {wrap.__name__}"):
        FIRERelax(wrap(copper()), logfile=None, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pressure": 1.0}, "give cell=True"),
        ({"cell": CellFreedom(), "pressure": 1.0}, "give the pressure once"),
        ({"symmetry": "kept"}, "give 'keep' or 'free'"),
        ({"on_bad": "panic"}, "give 'stop', 'backtrack' or 'raise'"),
        ({"rattle": -0.1}, "0 or more"),
        ({"rattle": float("nan")}, "0 or more"),
        ({"rattle": 0.1, "symmetry": "keep"}, "give one of them"),
    ],
    ids=str,
)
def test_words_that_are_not_allowed(settings, words):
    with pytest.raises(ValueError, match=words):
        FIRERelax(copper(), logfile=None, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pressure": float("inf")}, "finite number"),
        ({"max_strain": 0.0}, "max_strain = 0.0 is not allowed"),
        ({"length": -1.0}, "length = -1.0 is not allowed"),
        ({"rebase": float("nan")}, "rebase = nan is not allowed"),
        ({"mask": [1, 1, 1]}, "six truth values"),
        ({"mask": [[1, 1, 0], [0, 1, 0], [0, 0, 1]]}, "symmetric 3x3"),
        ({"mask": [0] * 6}, "leaves no strain"),
        ({"hydrostatic": True, "constant_volume": True}, "takes no mask and no constant volume"),
        ({"hydrostatic": True, "mask": [1] * 6}, "takes no mask and no constant volume"),
    ],
    ids=str,
)
def test_freedoms_that_are_none(settings, words):
    with pytest.raises(ValueError, match=words):
        CellFreedom(**settings)


@pytest.mark.parametrize("kind", [UnitCellFilter, FrechetCellFilter])
def test_smax_counts_for_the_filters_of_ase_too(kind):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.set_cell(0.97 * atoms.cell, scale_atoms=True)
    atoms.calc = EMT()
    opt = LBFGSRelax(kind(atoms), logfile=None)
    assert opt.run(fmax=1.0, smax=0.02, steps=200)
    assert np.abs(atoms.get_stress()).max() / GPA <= 0.02
    assert opt.result.smax <= 0.02
