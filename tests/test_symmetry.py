"""Space groups: found, kept by every rule without being told to, kept by force, and left by choice."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.spacegroup import crystal
from helpers import Walk, full
from toys import Bonds, copper

from relax import (
    CoReRelax,
    FIRERelax,
    InternalLBFGSRelax,
    KrigingRelax,
    LBFGSRelax,
    PairLBFGSRelax,
    RPROPRelax,
)
from relax.geometry.cell import CellFreedom, periodic_plane
from relax.geometry.perturb import rattle
from relax.geometry.symmetry import SpaceGroup, space_group
from relax.optimizers.named import OPTIMIZERS
from relax.rules import LBFGS, RPROP, SGD
from relax.rules.adaptive_base import Adaptive

SQUARE, HEXAGONAL = [90, 90, 90], [90, 90, 120]
# Space group, one atom of each orbit, and the cell; what symmetry leaves free is off the minimum.
MINERALS: dict[str, tuple[int, str, list[Any], list[float]]] = {
    "triclinic": (2, "CuF", [(0.21, 0.32, 0.17), (0.30, 0.72, 0.41)], [3.1, 3.6, 4.4, 82, 97, 104]),
    "baddeleyite": (
        14, "ZrOO", [(0.275, 0.04, 0.21), (0.07, 0.33, 0.345), (0.45, 0.757, 0.48)],
        [5.15, 5.21, 5.32, 90, 99.2, 90],
    ),
    "MnP": (62, "MnP", [(0.01, 0.25, 0.20), (0.19, 0.25, 0.57)], [5.26, 3.17, 5.92, *SQUARE]),
    "rutile": (136, "TiO", [(0, 0, 0), (0.29, 0.29, 0)], [4.594, 4.594, 2.959, *SQUARE]),
    "anatase": (141, "TiO", [(0, 0, 0), (0, 0, 0.20)], [3.784, 3.784, 9.515, *SQUARE]),
    "quartz": (154, "SiO", [(0.46, 0, 0), (0.41, 0.26, 0.12)], [4.916, 4.916, 5.405, *HEXAGONAL]),
    "calcite": (167, "CaCO", [(0, 0, 0), (0, 0, 0.25), (0.25, 0, 0.25)], [4.99, 4.99, 17.06, *HEXAGONAL]),
    "wurtzite": (186, "ZnS", [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.38)], [3.82, 3.82, 6.26, *HEXAGONAL]),
    "pyrite": (205, "FeS", [(0, 0, 0), (0.385, 0.385, 0.385)], [5.42, 5.42, 5.42, *SQUARE]),
    "perovskite": (221, "SrTiO", [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], [3.9, 3.9, 3.9, *SQUARE]),
    "fluorite": (225, "CaF", [(0, 0, 0), (0.25, 0.25, 0.25)], [5.46, 5.46, 5.46, *SQUARE]),
    "diamond": (227, "C", [(0, 0, 0)], [3.6, 3.6, 3.6, *SQUARE]),
}  # fmt: skip


@cache
def built(mineral: str) -> Atoms:
    number, symbols, sites, cell = MINERALS[mineral]
    kinds = [str(symbol) for symbol in Atoms(symbols).symbols]
    atoms = crystal(kinds, sites, spacegroup=number, cellpar=cell, primitive_cell=True)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def mineral(name: str) -> Atoms:
    atoms = built(name).copy()
    atoms.calc = Bonds()
    return atoms


def number(atoms: Atoms, symprec: float) -> int:
    """Return the number of the space group, by spglib itself."""
    cell = atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers
    return int(spglib.get_symmetry_dataset(cell, symprec=symprec).number)


def astray(group: SpaceGroup, atoms: Atoms) -> float:
    """Return how far (A) the atoms and the cell's corners are from where ``group`` has them."""
    there = atoms.copy()
    group.snap(there)
    apart = np.concatenate([there.positions - atoms.positions, there.cell[:] - atoms.cell[:]])
    return float(np.linalg.norm(apart, axis=1).max())


def jolted(atoms: Atoms, size: float = 0.002) -> Atoms:
    """Move atoms and cell off their symmetry by some ``size``, A."""
    rng = np.random.default_rng(7)
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + rng.uniform(-1, 1, (3, 3)) * size / 10), scale_atoms=True)
    atoms.positions += rng.uniform(-size, size, (len(atoms), 3)) / 2
    return atoms


pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
every_mineral = pytest.mark.parametrize("name", MINERALS)


# Finding it


@every_mineral
def test_the_group_is_found(name):
    group = SpaceGroup.of(mineral(name))
    assert group.name.endswith(f" ({MINERALS[name][0]})")
    assert group.name == space_group(mineral(name))
    # Each operation takes the atoms to atoms of their kind, no two to the same.
    for images in group.images:
        assert sorted(images) == list(range(len(built(name))))
        assert (built(name).numbers[images] == built(name).numbers).all()
    assert astray(group, mineral(name)) < 1e-10


def test_what_has_no_group_to_name():
    assert space_group(molecule("H2O")) == ""
    assert space_group(fcc111("Cu", (1, 1, 2), vacuum=4.0)) == ""
    assert space_group(Atoms("Cu", pbc=True)) == ""
    assert space_group(Atoms("Cu", [[np.nan, 0, 0]], cell=[3, 3, 3], pbc=True)) == ""
    assert space_group(Atoms("Cu2", cell=[3, 3, 3], pbc=True)) == ""  # two atoms at one place
    assert space_group(bulk("Cu").repeat(11)) == ""  # more atoms than are looked at unasked


def test_a_tolerance_decides():
    atoms = jolted(mineral("rutile"), 0.01)
    assert space_group(atoms, symprec=0.1) == "P4_2/mnm (136)"
    assert space_group(atoms, symprec=1e-5) != "P4_2/mnm (136)"


# Projecting on it


@every_mineral
def test_projection_is_idempotent_and_leaves_symmetric_forces_alone(name):
    atoms = mineral(name)
    group, cell = SpaceGroup.of(atoms), atoms.cell[:]
    rows = np.random.default_rng(0).normal(size=(len(atoms), 3))
    once = group.of_rows(rows, cell)
    np.testing.assert_allclose(group.of_rows(once, cell), once, rtol=0, atol=1e-12)
    tensors = group.tensors(cell)
    np.testing.assert_allclose(tensors @ tensors, tensors, rtol=0, atol=1e-12)
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False).ravel()
    np.testing.assert_allclose(group.of_rows(forces, cell), forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(tensors @ stress, stress, rtol=0, atol=1e-9)


def test_symmetric_strains_are_as_many_as_the_lattice_has_lengths_and_angles():
    # One more for each plane in which the cell may turn: strains include rotations.
    free = {name: np.trace(SpaceGroup.of(mineral(name)).tensors(built(name).cell[:])) for name in MINERALS}
    expected = {"triclinic": 9, "baddeleyite": 5, "MnP": 3, "rutile": 2, "wurtzite": 2, "fluorite": 1}
    assert {name: round(free[name], 9) for name in expected} == expected


@every_mineral
def test_snap_puts_atoms_and_cell_in_place(name):
    atoms = jolted(mineral(name))
    assert number(atoms, 1e-6) == 1 or name == "triclinic" or len(atoms) == 2
    before = atoms.copy()
    SpaceGroup.of(atoms, symprec=0.02).snap(atoms)
    assert number(atoms, 1e-6) == MINERALS[name][0]
    assert np.linalg.norm(atoms.positions - before.positions, axis=1).max() < 0.02
    once = atoms.copy()
    SpaceGroup.of(atoms, symprec=0.02).snap(atoms)
    assert np.array_equal(once.positions, atoms.positions)
    assert np.array_equal(once.cell[:], atoms.cell[:])


# Kept without being told to

# They make steps that are too long for stiff directions which they have not seen yet; see below.
AMPLIFY = (LBFGSRelax, PairLBFGSRelax, InternalLBFGSRelax, KrigingRelax, RPROPRelax)
CALM = {name: optimizer for name, optimizer in OPTIMIZERS.items() if optimizer not in AMPLIFY}


@every_mineral
@pytest.mark.parametrize("optimizer", full(CALM))
def test_rules_keep_the_group_without_being_told_to(optimizer, name):
    atoms = mineral(name)
    group, start = SpaceGroup.of(atoms), atoms.copy()
    # In a metric CoRe amplifies rounding, as L-BFGS does.
    options = {"metric": False} if optimizer is CoReRelax else {}
    opt = optimizer(atoms, logfile=None, cell=True, **options)
    opt.run(fmax=1e-5, smax=1e-4, steps=25)
    assert opt.result.status in ("converged", "max_steps")
    assert np.abs(atoms.cell[:] - start.cell[:]).max() > 1e-4
    assert astray(group, atoms) < 1e-8
    assert number(atoms, 1e-6) == MINERALS[name][0]


@pytest.mark.parametrize(
    ("rule", "grows"), [(LBFGS(), True), (RPROP(), True), (SGD(), False)], ids=["lbfgs", "rprop", "sgd"]
)
def test_why_two_rules_cannot(rule, grows):
    """What symmetry holds is a stiff direction with nothing in it but rounding.

    L-BFGS takes the curvature of directions that it has not seen from the newest pair; where that is soft,
    its step of the rounding is many times too long.  RPROP goes as far as ever while the gradient fades,
    and the rounding becomes a larger share of it.
    """
    curvatures = np.array([[0.5, 1.0, 80.0], [0.7, 1.5, 60.0], [1.0, 2.0, 70.0]])

    def potential(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * (curvatures * x * x).sum()), curvatures * x

    start = np.random.default_rng(0).uniform(0.1, 0.3, (3, 3))
    start[:, 2] = 1e-15
    (end,) = Walk(rule, [start], potential).step(8).structures
    assert (np.abs(end[:, 2]).max() > 1e-9) == grows


# Kept by force

ADAPTIVE = [optimizer for optimizer in OPTIMIZERS.values() if issubclass(optimizer.rule_class, Adaptive)]


@pytest.mark.parametrize("name", ["baddeleyite", "MnP", "calcite", "diamond"])
@pytest.mark.parametrize("optimizer", AMPLIFY)
def test_every_rule_keeps_the_group_where_it_is_told_to(optimizer, name):
    atoms = mineral(name)
    group = SpaceGroup.of(atoms)
    optimizer(atoms, logfile=None, cell=True, symmetry="keep").run(fmax=1e-5, smax=1e-4, steps=25)
    assert astray(group, atoms) < 1e-8
    assert number(atoms, 1e-6) == MINERALS[name][0]


@pytest.mark.parametrize("name", ["baddeleyite", "quartz", "fluorite"])
@pytest.mark.parametrize("optimizer", ADAPTIVE)
def test_symmetry_is_kept_by_component_and_from_a_start_that_is_off(optimizer, name):
    atoms = jolted(mineral(name))
    settings = {"symmetry": "keep", "symprec": 0.02, "granularity": "component"}
    opt = optimizer(atoms, logfile=None, cell=optimizer is not CoReRelax, **settings)
    assert number(atoms, 1e-6) == MINERALS[name][0]
    opt.run(fmax=1e-5, steps=25)
    assert number(atoms, 1e-6) == MINERALS[name][0]
    assert (
        opt.result.spacegroup_first
        == opt.result.spacegroup_last
        == opt.engine.structure.coordinates.starts[0].group.name
    )


def test_without_force_scales_by_component_leave_the_group():
    atoms = mineral("quartz")
    CoReRelax(atoms, logfile=None, cell=True, granularity="component").run(fmax=1e-5, steps=25)
    assert number(atoms, 1e-4) != 154


@pytest.mark.parametrize("optimizer", [CoReRelax, FIRERelax])
def test_keeping_costs_nothing_where_nothing_is_lost(optimizer):
    free, kept = mineral("rutile"), mineral("rutile")
    optimizer(free, logfile=None, cell=True).run(fmax=1e-4, steps=20)
    optimizer(kept, logfile=None, cell=True, symmetry="keep").run(fmax=1e-4, steps=20)
    np.testing.assert_allclose(kept.positions, free.positions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(kept.cell[:], free.cell[:], rtol=0, atol=1e-6)


def test_a_mask_and_a_symmetry_both_hold():
    # Rutile keeps a = b, the mask holds a: what is left is c.
    atoms = mineral("rutile")
    opt = FIRERelax(atoms, logfile=None, symmetry="keep", cell=CellFreedom(mask=[0, 1, 1, 0, 0, 0]))
    start = atoms.cell.lengths()
    opt.run(fmax=1e-4, steps=10)
    assert atoms.cell.lengths()[:2] == pytest.approx(start[:2], abs=1e-10)
    assert abs(atoms.cell.lengths()[2] - start[2]) > 0.01


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (molecule("H2O"), "periodic in three directions"),
        (fcc111("Cu", (1, 1, 2), vacuum=4.0), "periodic in three directions"),
        (Atoms("Cu2", cell=[3, 3, 3], pbc=True), "no space group"),
    ],
    ids=["molecule", "slab", "two atoms at one place"],
)
def test_no_symmetry_to_keep(atoms, words):
    with pytest.raises(ValueError, match=words):
        FIRERelax(atoms, logfile=None, symmetry="keep")


# Left by choice


def caged(symmetric: bool = True) -> Atoms:
    """An atom at the centre of a cage that is too large for it: no force, and downhill on every side."""
    atoms = bulk("NaCl", "cesiumchloride", a=4.3)
    if not symmetric:
        atoms.positions[1] += [0.02, 0.01, 0.0]
    atoms.calc = Bonds(cutoff=6.0)
    return atoms


def relaxed(atoms: Atoms, **settings: Any) -> tuple[Any, Atoms]:
    opt = FIRERelax(atoms, logfile=None, **settings)
    assert opt.run(fmax=1e-3, steps=500)
    return opt.result, atoms


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_without_a_rattle_a_saddle_is_not_left(optimizer):
    atoms = caged()
    sites = atoms.get_scaled_positions()
    opt = optimizer(atoms, logfile=None)
    assert opt.run(fmax=1e-6, steps=50)
    assert opt.nsteps == 0
    # Nor where the cell goes on, and all that is felt by atoms is rounding.
    opt = optimizer(atoms, logfile=None, cell=True)
    opt.run(fmax=1e-6, steps=10)
    assert opt.nsteps > 0
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False), sites, rtol=0, atol=1e-9)


def test_a_rattle_leaves_a_saddle_and_is_repeatable():
    saddle, _ = relaxed(caged())
    result, one = relaxed(caged(), rattle=0.02, seed=3)
    assert result.energy_last < saddle.energy_last - 0.1
    assert result.spacegroup_first == "Pm-3m (221)"
    assert result.spacegroup_last != "Pm-3m (221)"
    _, again = relaxed(caged(), rattle=0.02, seed=3)
    assert np.array_equal(one.positions, again.positions)
    _, other = relaxed(caged(), rattle=0.02, seed=4)
    assert not np.array_equal(one.positions, other.positions)


def test_a_rattle_strains_what_is_free():
    def after(atoms: Atoms, **settings: Any) -> np.ndarray:
        start = atoms.cell[:].copy()
        FIRERelax(atoms, logfile=None, rattle=0.05, seed=1, **settings)
        return np.linalg.solve(start, atoms.cell[:]).T - np.eye(3)

    assert (after(copper(rattle=0)) == 0).all()
    strain = after(copper(rattle=0), cell=True)
    assert 0.005 < np.abs(strain).max() < 0.1
    np.testing.assert_allclose(strain, strain.T, rtol=0, atol=1e-12)
    masked = after(copper(rattle=0), cell=CellFreedom(mask=[0, 0, 1, 0, 0, 0]))
    assert np.abs(masked[2, 2]) > 1e-4
    assert np.abs(masked - np.diag([0, 0, masked[2, 2]])).max() < 1e-12


def test_a_rattle_of_a_slab_that_is_turned_stays_in_its_plane():
    slab = fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.rotate(40, (1, 2, 3), rotate_cell=True)
    before = slab.copy()
    rattle(slab, 0.05, 0, CellFreedom())
    strain = np.linalg.solve(before.cell[:], slab.cell[:]).T - np.eye(3)
    across = np.eye(3) - periodic_plane(before.cell[:], before.pbc)
    assert np.abs(strain @ across).max() < 1e-12
    assert np.abs(strain).max() > 0.001
