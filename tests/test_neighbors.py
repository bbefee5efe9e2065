"""Pairs of atoms: all of them, and still all of them while the structures move."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list
from helpers import geometry

from relax.calculators.neighbor_lists import NeighborLists
from relax.geometry.neighbors import pairs, squares, vectors

EVERY_PBC = [[bool(k & bit) for bit in (4, 2, 1)] for k in range(8)]


def random_box(seed, n=6, pbc=True, tilt=1.5, spread=12.0):
    """Return atoms anywhere in and around a skewed cell."""
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(3, 7, 3)) + rng.uniform(-tilt, tilt, (3, 3))
    return Atoms(f"Cu{n}", rng.uniform(-spread, spread, (n, 3)), cell=cell, pbc=pbc)


def listed(atoms, reach):
    """Return our pairs, in rows."""
    i, j, shifts = pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    return np.column_stack([i, j, shifts])


def from_ase(atoms, reach):
    """Return the pairs that ASE finds, in the same order; it fails on cells that are flat."""
    atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array * atoms.pbc[:, None], pbc=atoms.pbc)
    i, j, shifts = neighbor_list("ijS", atoms, reach)
    rows = np.column_stack([i, j, shifts])
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize("pbc", EVERY_PBC, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_ase(pbc, seed):
    atoms = random_box(seed, pbc=pbc)
    for reach in (2.0, 5.0, 9.0):
        np.testing.assert_array_equal(listed(atoms, reach), from_ase(atoms, reach))


@pytest.mark.parametrize("pbc", EVERY_PBC, ids=str)
@pytest.mark.parametrize("n", [1, 6, 80])
def test_pairs_in_one_direction_are_half_of_all(pbc, n):
    atoms = random_box(4, n=n, pbc=pbc)
    rows = np.column_stack(pairs(atoms.positions, atoms.cell.array, atoms.pbc, 5.0, once=True))
    every = listed(atoms, 5.0)
    assert 2 * len(rows) == len(every)
    later = [i < j or (i == j and shift > [0, 0, 0]) for i, j, *shift in every.tolist()]
    np.testing.assert_array_equal(rows, every[np.array(later, bool)])


@pytest.mark.parametrize("seed", range(3))
def test_pairs_in_very_skewed_cells(seed):
    atoms = random_box(seed, n=3, tilt=0.3)
    atoms.cell[1] += 3 * atoms.cell[0]
    atoms.cell[2] -= 2 * atoms.cell[0] + 4 * atoms.cell[1]
    np.testing.assert_array_equal(listed(atoms, 4.0), from_ase(atoms, 4.0))


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Cu"),
        bulk("Cu", cubic=True).repeat(5),
        fcc111("Cu", (1, 1, 3), periodic=False),
        molecule("C6H6"),
        Atoms("Cu", pbc=False),
        Atoms("Cu", cell=[2.0, 0, 0], pbc=[True, False, False]),
        Atoms("Cu2", [[0, 0, 0], [0, 0, 2]], cell=[[3, 0, 0], [0, 3, 0], [1, 1, 0]], pbc=[True, True, False]),
        Atoms("Cu2", [[0, 0, 0], [0, 0, 2]], cell=[[3, 0, 0], [0, 3, 0], [0, 0, 1e-9]], pbc=[1, 1, 0]),
    ],
)
def test_pairs_of_crystals_slabs_and_molecules(atoms):
    atoms.rattle(0.02, seed=1)
    np.testing.assert_array_equal(listed(atoms, 4.7), from_ase(atoms, 4.7))


@pytest.mark.parametrize("pbc", EVERY_PBC, ids=str)
def test_atoms_may_be_far_outside_the_cell(pbc):
    atoms = random_box(0, n=20, pbc=pbc, spread=4.0)
    near = listed(atoms, 4.0)
    away = np.random.default_rng(1).integers(-1000, 1000, (20, 3)) * np.array(pbc)
    atoms.positions += away @ atoms.cell.array + 1000.0
    far = listed(atoms, 4.0)
    far[:, 2:] += away[far[:, 1]] - away[far[:, 0]]
    np.testing.assert_array_equal(near, far)


@pytest.mark.parametrize("away", [1e9, 1e49])
@pytest.mark.parametrize("pbc", EVERY_PBC, ids=str)
def test_an_atom_that_left_costs_nothing(pbc, away):
    atoms = random_box(0, n=20, pbc=pbc, spread=4.0)
    alone = listed(atoms[1:], 4.0)
    atoms.positions[0] = [away, -away, away]
    found = listed(atoms, 4.0)
    kept = found[(found[:, :2] > 0).all(axis=1)]
    np.testing.assert_array_equal(kept[:, :2] - 1, alone[:, :2])


def test_what_cannot_be_listed_is_refused():
    three = np.ones(3, bool)
    with pytest.raises(ValueError, match="too many pairs"):
        pairs(np.zeros((4, 3)), np.eye(3) * 1e-3, three, 5.0)
    with pytest.raises(ValueError, match="too many pairs"):
        pairs(np.zeros((10_000, 3)), np.eye(3), ~three, 5.0)
    with pytest.raises(ValueError, match="too many pairs"):
        pairs(np.zeros((1, 3)), np.array([[1.0, 0, 0], [1e9, 1, 0], [0, 0, 1]]), three, 5.0)
    with pytest.raises(ValueError, match="flat"):
        pairs(np.zeros((1, 3)), np.diag([1.0, 1.0, 0.0]), three, 5.0)
    for bad in (np.nan, np.inf, -1e99):
        with pytest.raises(ValueError, match="not finite"):
            pairs(np.full((2, 3), bad), np.eye(3), three, 5.0)
        with pytest.raises(ValueError, match="not finite"):
            pairs(np.zeros((2, 3)), np.full((3, 3), bad), three, 5.0)


def test_finding_pairs_loads_no_torch():
    script = (
        "import sys, numpy as np\n"
        "from relax.geometry.neighbors import pairs\n"
        "print(len(pairs(np.zeros((1, 3)), np.eye(3), np.ones(3, bool), 1.5)[0]), 'torch' in sys.modules)\n"
        "import torch, vesin\n"
        "nl = vesin.NeighborList(cutoff=1.5, full_list=True)\n"
        "found = nl.compute(torch.zeros(1, 3).double(), torch.eye(3).double(), True, 'd')[0]\n"
        "print(type(found).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["18", "False", "Tensor"]


STRUCTURES = [
    bulk("Cu", cubic=True),
    molecule("C6H6"),
    fcc111("Cu", (2, 1, 3), vacuum=5.0),
    bulk("NaCl", "rocksalt", a=5.6),
    Atoms("Cu", pbc=False),
]


def assert_complete(found, structures, reach):
    """Assert that ``found`` are all pairs of ``structures`` and where they are."""
    start = 0
    for atoms in structures:
        i, j, shifts = pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
        mine = (found.first >= start) & (found.first < start + len(atoms))
        rows = np.column_stack([found.first[mine] - start, found.second[mine] - start, found.shifts[mine]])
        np.testing.assert_array_equal(rows, np.column_stack([i, j, shifts]))
        d = vectors(atoms.positions, i, j, shifts, atoms.cell.array)
        np.testing.assert_allclose(found.vectors[mine], d, atol=1e-12)
        np.testing.assert_allclose(found.distances[mine], np.sqrt(squares(d)), atol=1e-12)
        start += len(atoms)
    assert (np.diff(found.first) >= 0).all()


def test_kept_lists_are_complete_along_a_walk():
    rng = np.random.default_rng(3)
    structures = [atoms.copy() for atoms in STRUCTURES]
    lists = NeighborLists(4.5, skin=1.0)
    for key, atoms in enumerate(structures):
        n = len(pairs(atoms.positions, atoms.cell.array, atoms.pbc, 4.5)[0])
        assert lists.add(key, atoms) == n
    steps = 60
    for _ in range(steps):
        for atoms in structures:
            strain = np.eye(3) + 0.004 * rng.normal(size=(3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=False)
            atoms.positions = atoms.positions @ strain + 0.02 * rng.normal(size=(len(atoms), 3))
        assert_complete(lists(geometry(structures)), structures, 4.5)
    assert 0 < lists.rebuilds < steps * len(structures) / 3


def test_nothing_is_found_anew_where_nothing_moved_far():
    lists = NeighborLists(4.5, skin=1.0)
    structures = [atoms.copy() for atoms in STRUCTURES]
    for key, atoms in enumerate(structures):
        lists.add(key, atoms)
        atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    lists(geometry(structures))
    assert lists.rebuilds == 0
    structures[0].positions[0] += 3.0
    assert_complete(lists(geometry(structures)), structures, 4.5)
    assert lists.rebuilds == 1


def test_structures_come_and_go_in_any_order():
    lists = NeighborLists(4.5)
    for key, atoms in enumerate(STRUCTURES):
        lists.add(key, atoms)
    for keys in ([0, 1, 2], [2, 0], [4], [3, 4, 1, 2, 0]):
        chosen = [STRUCTURES[k] for k in keys]
        assert_complete(lists(geometry(chosen, keys)), chosen, 4.5)
    lists.drop(2)
    with pytest.raises(KeyError):
        lists(geometry([STRUCTURES[2]], [2]))
    lists.add(7, STRUCTURES[2])
    chosen = [STRUCTURES[2], STRUCTURES[0]]
    assert_complete(lists(geometry(chosen, [7, 0])), chosen, 4.5)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e200])
@pytest.mark.parametrize("where", ["positions", "cells"])
def test_what_is_not_finite_has_no_pairs_and_harms_no_other(where, value):
    lists = NeighborLists(4.5)
    for key, atoms in enumerate(STRUCTURES):
        lists.add(key, atoms)
    told = geometry(STRUCTURES)
    getattr(told, where)[1] = value
    found = lists(told)
    bad = 0 if where == "positions" else 1
    assert found.without.tolist() == [k == bad for k in range(len(STRUCTURES))]
    assert not (found.owner[found.first] == bad).any()
    assert np.isfinite(found.vectors).all()
    whole = lists(geometry(STRUCTURES))
    np.testing.assert_array_equal(whole.vectors[whole.owner[whole.first] != bad], found.vectors)


def test_a_collapsed_structure_is_a_fault_of_its_own():
    lists = NeighborLists(4.5)
    for key, atoms in enumerate(STRUCTURES):
        lists.add(key, atoms)
    told = geometry(STRUCTURES)
    told.cells[0] *= 1e-3
    found = lists(told)
    assert list(found.faults) == [0]
    assert "collapsed" in found.faults[0]
    assert found.without.tolist() == [True] + 4 * [False]
    whole = lists(geometry(STRUCTURES))
    np.testing.assert_array_equal(whole.vectors[whole.owner[whole.first] != 0], found.vectors)
