"""MACE models with fast messages have the numbers of MACE's own code."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from helpers import geometry

from relax.calculators import as_potential
from relax.calculators.neighbor_lists import NeighborLists

pytestmark = pytest.mark.slow

BLOCKS = ("RealAgnosticInteractionBlock", "RealAgnosticDensityInteractionBlock")


def structures():
    """Return crystals and a cluster, one of them with an atom out of reach of all others."""
    rng, made = np.random.default_rng(0), []
    for repeat in (1, 2):
        atoms = bulk("Cu", cubic=True) * (repeat, 1, 1)
        atoms.numbers[rng.random(len(atoms)) < 0.5] = 28
        atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
        made.append(atoms)
    apart = made[0].copy()
    apart.pbc = False
    apart.positions[0] += 100.0
    return [*made, apart]


def network(path, first, second, hidden):
    """Write a small MACE model of random weights to ``path``, with interactions of the two kinds."""
    import mace  # noqa: F401  (before e3nn, which fails to import without what this sets up)
    import torch
    from e3nn import o3
    from mace import modules

    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        made = modules.ScaleShiftMACE(
            r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2,
            interaction_cls=modules.interaction_classes[second],
            interaction_cls_first=modules.interaction_classes[first],
            num_interactions=2, num_elements=2, hidden_irreps=o3.Irreps(hidden),
            MLP_irreps=o3.Irreps("4x0e"), atomic_energies=np.zeros(2), avg_num_neighbors=10.0,
            atomic_numbers=[28, 29], correlation=2, gate=torch.nn.functional.silu, radial_MLP=[8, 8],
            atomic_inter_scale=30.0, atomic_inter_shift=0.0,
        )  # fmt: skip
        torch.save(made, path)
    finally:
        torch.set_default_dtype(before)
    return f"mace:{path}"


def compared(name):
    """Return a potential, and what it and its calculator say of the structures."""
    potential, given = as_potential(name), structures()
    where = geometry(given)
    for key, atoms in zip(where.keys, given, strict=True):
        potential.admit(key, atoms)
    found = potential.evaluate(where, True)
    expected = []
    for atoms in given:
        atoms.calc = potential.calculator
        expected.append((atoms.get_potential_energy(), atoms.get_forces()))
    stresses = [atoms.get_stress(voigt=False) for atoms in given[:2]]
    return potential, found, expected, stresses


@pytest.mark.parametrize("first", BLOCKS)
@pytest.mark.parametrize("hidden", ["8x0e", "4x0e+4x1o+4x2e"])
@pytest.mark.filterwarnings("ignore")
def test_the_numbers_are_those_of_mace(tmp_path, first, hidden):
    second = first.replace("Interaction", "ResidualInteraction")
    potential, found, expected, stresses = compared(network(tmp_path / "a.model", first, second, hidden))
    assert potential._fast is not potential._model
    for energy, (other, _) in zip(found.energies, expected, strict=True):
        assert energy == pytest.approx(other, abs=1e-11)
    forces = np.concatenate([forces for _, forces in expected])
    assert abs(forces).max() > 0.1
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.stresses[:2], stresses, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_depend_on_the_direction_are_left_to_mace(tmp_path):
    kind = "RealAgnosticAttResidualInteractionBlock"
    potential, found, expected, _ = compared(network(tmp_path / "a.model", kind, kind, "4x0e"))
    assert potential._fast is potential._model
    np.testing.assert_allclose(found.energies, [energy for energy, _ in expected], rtol=0, atol=1e-11)


def test_every_pair_has_its_reverse():
    given = structures()
    where, lists = geometry(given), NeighborLists(4.0, reverse=True)
    for key, atoms in zip(where.keys, given, strict=True):
        lists.add(key, atoms)
    found = lists(where)
    np.testing.assert_array_equal(found.first[found.reverse], found.second)
    np.testing.assert_array_equal(found.shifts[found.reverse], -found.shifts)
    np.testing.assert_array_equal(found.vectors[found.reverse], -found.vectors)
