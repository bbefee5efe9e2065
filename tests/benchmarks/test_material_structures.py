"""The structures of the benchmark of materials."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list

from benchmarks.materials import amorphous, molcrystals
from benchmarks.materials.amorphous import PACKINGS, packed
from benchmarks.materials.frameworks import FRAMEWORKS
from benchmarks.materials.layers import rotated_bond, sheet
from benchmarks.materials.molcrystals import CONTACT, PLACED, between, placed
from benchmarks.materials.perovskites import PEROVSKITES, cubic, turned
from benchmarks.materials.sets import SETS, chosen_sets, fixed_atoms, starts
from relax.analysis.comparison.files.provenance import sha256_of


@pytest.mark.parametrize("kind", SETS)
def test_sets_are_large_enough_and_their_structures_sane(kind):
    made = SETS[kind].make(1)
    assert len(made) >= 8
    assert len({atoms.info["name"] for atoms in made}) == len(made)
    for atoms in made:
        assert 16 <= len(atoms) <= 100
        assert atoms.pbc.all()
        assert np.linalg.det(atoms.cell) > 0  # CHGNet takes the sign of the volume from the cell
        shortest = neighbor_list("d", atoms, 2.5).min(initial=2.5)
        assert shortest > (0.8 if "H" in atoms.symbols else 1.1), atoms.info["name"]


@pytest.mark.parametrize("kind", SETS)
def test_structures_are_those_of_their_seed(kind):
    first, again, other = (sha256_of(SETS[kind].make(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_only_slabs_have_fixed_atoms_and_those_are_where_they_were():
    for kind in SETS:
        for atoms in SETS[kind].make(1):
            assert bool(fixed_atoms(atoms)) == (kind in ("slabs", "dev"))
    for kind in ("slabs", "dev"):
        for one, other in zip(SETS[kind].make(1), SETS[kind].make(2), strict=True):
            fixed = fixed_atoms(one)
            assert (one.positions[fixed] == other.positions[fixed]).all()
            assert one.positions[fixed, 2].max() < np.delete(one.positions, fixed, axis=0)[:, 2].min()


def test_no_slab_is_reported_and_used_for_tuning():
    reported, tuned = ({atoms.info["name"] for atoms in SETS[kind].make(1)} for kind in ("slabs", "dev"))
    assert reported.isdisjoint(tuned)


@pytest.mark.parametrize(
    ("name", "bond", "neighbours"), [("CHA", 1.61, 4), ("LTA", 1.6, 4), ("stishovite", 1.77, 6)]
)
def test_frameworks_have_the_bonds_of_their_polyhedra(name, bond, neighbours):
    atoms = FRAMEWORKS[name].made()
    i, distances = neighbor_list("id", atoms, 2.1)
    assert (np.bincount(i)[atoms.symbols == "Si"] == neighbours).all()
    assert distances.mean() == pytest.approx(bond, abs=0.03)


def test_octahedra_turn_and_stay_connected():
    (a, b, x), edge, _ = PEROVSKITES["KNbO3"]
    still = cubic((a, b, x), edge) * (2, 2, 2)
    moved = turned(still, edge, np.random.default_rng(0))
    shifts = np.linalg.norm(moved.positions - still.positions, axis=1)
    assert shifts[~(still.symbols == x)].max() == 0
    assert 0.01 < shifts[still.symbols == x].max() < 0.15
    linked = moved[~(moved.symbols == a)]
    i, distances = neighbor_list("id", linked, 1.1 * edge / 2)
    assert (np.bincount(i)[linked.symbols == b] == 6).all()
    assert np.ptp(distances) < 0.01


def test_packings_have_no_pair_that_is_too_near_and_their_density(monkeypatch):
    formula, density, unlike, like = PACKINGS["SiO2"]
    atoms = packed(formula, density, unlike, like, np.random.default_rng(3))
    assert atoms.get_masses().sum() * 1.66054 / atoms.get_volume() == pytest.approx(density, rel=1e-4)
    assert neighbor_list("d", atoms, {("Si", "O"): unlike * (1.11 + 0.66)}).size == 0
    assert neighbor_list("d", atoms, {("O", "O"): like * 2 * 0.66}).size == 0
    monkeypatch.setattr(amorphous, "TRIALS", 1)
    with pytest.raises(ValueError, match="cannot be packed"):
        packed("Si8", 9.0, unlike, like, np.random.default_rng(3))


def test_molecules_that_are_placed_do_not_touch(monkeypatch):
    for name, density in PLACED.values():
        atoms = placed(name, density, np.random.default_rng(5))
        assert between(atoms, len(atoms) // 4) >= CONTACT
    monkeypatch.setattr(molcrystals, "TRIALS", 1)
    with pytest.raises(ValueError, match="finds no room"):
        placed("HCOOH", 4.0, np.random.default_rng(5))


def test_a_rotated_bond_leaves_the_others_longer():
    before, after = sheet(4), rotated_bond()
    moved = np.flatnonzero(np.abs(after.positions - before.positions).max(axis=1) > 1e-9)
    assert after.get_distance(*moved, mic=True) == pytest.approx(before.get_distance(*moved, mic=True))
    assert neighbor_list("d", after, 1.7).max() == pytest.approx(1.51, abs=0.01)


def test_structures_that_a_calculator_does_not_know_are_left_out():
    found = starts("slabs", 1, EMT())
    assert [atoms.info["name"] for atoms in found.atoms][:2] == ["O-Ni111", "CO-Pd111"]
    assert "H2O-MgO100" in found.excluded
    with pytest.raises(ValueError, match="no structure of the set 'perovskites'"):
        starts("perovskites", 1, EMT())


def test_names_of_sets():
    assert chosen_sets(["slabs, layers", "slabs"]) == ["slabs", "layers"]
    assert chosen_sets(["dev"]) == ["dev"]
    assert chosen_sets([]) == [name for name in SETS if name != "dev"]
    with pytest.raises(ValueError, match="no set 'slab'"):
        chosen_sets(["slab"])
