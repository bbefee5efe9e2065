"""The small potential in data/ loads offline, is the gradient of its energy, and relaxes what it should."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.filters import FrechetCellFilter

from benchmarks.tools.mace_mini.crystals import ELEMENTS, distorted
from relax import LBFGSRelax, relax_many
from relax.calculators import as_potential
from relax.calculators import registry as calculators

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "data" / "mace-mini.model"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unseen():
    """Return a crystal of a composition that was not trained on, larger than it will be."""
    corners = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Atoms("FePt3", scaled_positions=corners, cell=[4.1, 4.1, 4.1], pbc=True)


@pytest.fixture
def rattled(mini, unseen):
    """Return that crystal strained and rattled, so that no derivative is zero by symmetry."""
    atoms = distorted(unseen, np.random.default_rng(0), (0.95, 0.95), 0.05, 0.1)
    atoms.calc = mini
    return atoms


def energy(atoms, mini):
    mini.calculate(atoms, ["energy"], all_changes)
    return mini.results["energy"]


def test_it_computes_in_float64(rattled):
    assert rattled.get_forces().dtype == np.float64
    assert MODEL.stat().st_size < 5e6


def test_forces_are_the_gradient_of_the_energy(rattled, mini):
    forces, h = rattled.get_forces(), 1e-4
    for atom, axis in ((0, 0), (1, 1), (len(rattled) - 1, 2)):
        ends = []
        for sign in (1, -1):
            moved = rattled.copy()
            moved.positions[atom, axis] += sign * h
            ends.append(energy(moved, mini))
        assert -(ends[0] - ends[1]) / (2 * h) == pytest.approx(forces[atom, axis], rel=1e-5, abs=1e-6)


def test_stress_is_the_gradient_of_the_energy(rattled, mini):
    stress, h = rattled.get_stress(voigt=False), 1e-5
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        ends = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            moved = rattled.copy()
            moved.set_cell(moved.cell @ (np.eye(3) + strain), scale_atoms=True)
            ends.append(energy(moved, mini))
        slope = (ends[0] - ends[1]) / (2 * h) / rattled.get_volume()
        assert slope == pytest.approx(stress[i, j], rel=1e-5, abs=1e-7)


def test_a_crystal_it_has_not_seen_relaxes(mini, unseen):
    atoms = unseen.copy()
    atoms.calc = mini
    atoms.rattle(0.1, seed=0)
    opt = LBFGSRelax(FrechetCellFilter(atoms), logfile=None)
    opt.run(0.05, 200)
    assert opt.result.converged, opt.result.reason
    assert atoms.get_volume() < unseen.get_volume()
    near = atoms.get_all_distances(mic=True)[np.triu_indices(4, 1)]
    assert near == pytest.approx(2.75, abs=0.15)  # measured: 3.87 A for the cube's edge


def test_other_elements_are_refused(mini, unseen):
    assert calculators.unsupported(mini, unseen) == ""
    assert "atom 0, Na" in calculators.unsupported(mini, bulk("NaCl", "rocksalt", a=5.6))


def test_the_committed_figures_are_of_this_model_and_good_enough(unseen):
    figures = json.loads((ROOT / "benchmarks" / "results" / "mace_mini.json").read_text())
    assert unseen.get_chemical_formula() in [row["crystal"] for row in figures["crystals"]]
    assert figures["trained"]["model"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert tuple(figures["elements"]) == ELEMENTS
    assert figures["bytes"] == MODEL.stat().st_size
    relaxations = figures["relaxations"]
    assert relaxations["converged_and_sane"] >= 0.95 * relaxations["crystals"]


def test_one_potential_serves_one_run_after_another(mini):
    # Keys of structures must differ from run to run: the potential keeps input for those it knows.
    potential = as_potential(mini)
    for atoms in (bulk("Cu", cubic=True, a=3.5), bulk("NiAl", "cesiumchloride", a=2.8), bulk("Al", a=4.2)):
        atoms.rattle(0.05, seed=1)
        (shared,) = relax_many([atoms], potential, cell=True)
        (alone,) = relax_many([atoms], as_potential(mini), cell=True)
        assert shared.result.energy_first == alone.result.energy_first
        assert shared.result.force_calls == alone.result.force_calls
