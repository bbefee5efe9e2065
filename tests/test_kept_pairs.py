"""Pairs that are kept from step to step, beside those that are listed anew."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

import relax.preconditioner.springs as module
from relax.preconditioner.springs import KeptPairs, Limits, springs
from relax.rules import RULES

BUILDERS = {
    "metal": lambda: bulk("Cu", cubic=True),
    "salt": lambda: bulk("NaCl", "rocksalt", 5.6),
    "slab": lambda: fcc111("Al", (2, 2, 3), vacuum=6.0),
    "large molecule": lambda: molecule("C60") + Atoms("Ar5", np.diag([9.0, 8, 7])[[0, 1, 2, 0, 1]] * 2 + 1),
    "molecule": lambda: molecule("CH3CH2OH"),
}


def kept(atoms: Atoms) -> KeptPairs:
    return KeptPairs(covalent_radii[atoms.numbers], atoms.pbc)


def walk(atoms: Atoms, seed: int):
    """Yield positions and cells on a walk with short and long steps, strains, and atoms in other cells."""
    rng = np.random.default_rng(seed)
    cell = atoms.cell.array * atoms.pbc[:, None]
    positions = atoms.positions + rng.integers(-2, 3, (len(atoms), 3)) @ cell
    for turn in range(30):
        yield positions, cell
        strain = np.eye(3) + rng.normal(0, 0.01, (3, 3)) * (0.1 if turn % 3 else 1.0)
        positions = positions @ strain + rng.normal(0, 0.02 if turn % 5 else 0.3, positions.shape)
        cell = cell @ strain


@pytest.mark.parametrize("rule", ["pair-lbfgs", "internal-lbfgs"])
@pytest.mark.parametrize("name", BUILDERS)
def test_springs_are_the_same_to_the_last_bit(name, rule):
    atoms, stiffness = BUILDERS[name](), RULES[rule]().stiffness
    pairs = kept(atoms)
    for positions, cell in walk(atoms, 3):
        ours, fresh = (springs(positions, cell, some, stiffness) for some in (pairs, kept(atoms)))
        for one, other in zip(ours, fresh, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", BUILDERS)
def test_pairs_are_those_of_ase(name):
    atoms = BUILDERS[name]()
    pairs, limits = kept(atoms), Limits(1.6, 2.9)
    for positions, cell in walk(atoms, 4):
        found = pairs.within(limits, positions, cell)
        # ASE's list takes a cell along directions that are not periodic too.
        whole = np.where(atoms.pbc[:, None], cell, atoms.cell.array)
        moved = Atoms(atoms.numbers, positions, cell=whole, pbc=atoms.pbc)
        i, j, r = neighbor_list("ijd", moved, limits.cutoff(pairs.radii))
        near = (r < limits.reach * (pairs.radii[i] + pairs.radii[j])) | (r < limits.farthest)
        np.testing.assert_allclose(np.repeat(np.sort(found.distances), 2), np.sort(r[near]), rtol=1e-10)


def test_small_moves_take_no_search(monkeypatch):
    searches = []
    monkeypatch.setattr(
        module, "pairs", lambda *given, own=module.pairs, **more: searches.append(1) or own(*given, **more)
    )
    atoms = bulk("Cu", cubic=True)
    pairs, stiffness = kept(atoms), RULES["pair-lbfgs"]().stiffness
    springs(atoms.positions, atoms.cell.array, pairs, stiffness)
    first = len(searches)
    for step in range(1, 9):
        springs(atoms.positions + 0.04 * step * np.eye(4, 3), atoms.cell.array, pairs, stiffness)
    assert len(searches) == first
    springs(atoms.positions + np.eye(4, 3), atoms.cell.array, pairs, stiffness)
    assert len(searches) > first


def test_lists_that_atoms_outrun_have_no_skin_for_a_while(monkeypatch):
    reaches = []

    def recorded(positions, cell, pbc, reach, once=False, own=module.pairs):
        reaches.append(reach)
        return own(positions, cell, pbc, reach, once=once)

    monkeypatch.setattr(module, "pairs", recorded)
    atoms, limits = bulk("Cu", cubic=True), Limits(1.2, 0.0)
    pairs = kept(atoms)
    bare = limits.cutoff(pairs.radii)
    for step in range(module.WITHOUT + 3):
        pairs.within(limits, atoms.positions + step * np.eye(4, 3), atoms.cell.array)
    skins = [module.SKIN, *[0.0] * module.WITHOUT, module.SKIN, 0.0]
    np.testing.assert_allclose(np.array(reaches) - bare, skins, atol=1e-12)


def test_what_cannot_be_listed_is_said_each_time():
    atoms = bulk("Cu", cubic=True)
    pairs, limits = kept(atoms), Limits(1.2, 0.0)
    pairs.within(limits, atoms.positions, atoms.cell.array)
    for bad in (np.nan, np.inf, 1e200):
        with pytest.raises(ValueError, match="not finite"):
            pairs.within(limits, atoms.positions + bad, atoms.cell.array)
    assert len(pairs.within(limits, atoms.positions, atoms.cell.array).first) == 24
