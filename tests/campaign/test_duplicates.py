"""Structures that are the same are found whatever their cell, place and orientation, and others are not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal
from helpers import rotation
from pymatgen.analysis.structure_matcher import StructureMatcher

from relax.campaign.campaign import Campaign
from relax.campaign.duplicates.sites import occupied_sites
from relax.core.errors import UsageError

CELLS = {
    2: [5.1, 6.2, 7.3, 81, 94, 103], 15: [5.1, 6.2, 7.3, 90, 104, 90], 74: [5.1, 6.2, 7.3, 90, 90, 90],
    142: [5.1, 5.1, 7.3, 90, 90, 90], 194: [5.1, 5.1, 7.3, 90, 90, 120], 230: [7.3, 7.3, 7.3, 90, 90, 90],
}  # fmt: skip
"""Lattices by the last space group that has them."""


def moved(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return the same crystal in another cell, at another place, turned, and its atoms in another order."""
    basis = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.choice(3, 2, replace=False)
        basis[i] += rng.integers(-1, 2) * basis[j]
    turn = rotation(seed=int(rng.integers(1000)))
    shift = rng.choice([0, 1 / 4, 1 / 2, 1 / 3, rng.random()], 3) @ atoms.cell.array
    cell = basis @ atoms.cell.array
    other = Atoms(atoms.numbers, (atoms.positions + shift) @ turn.T, cell=cell @ turn.T, pbc=True)
    other.wrap()
    return other[rng.permutation(len(other))]


def of_group(number: int) -> Atoms:
    """Return a crystal of a space group, with atoms on special positions and on a general one."""
    cell = next(cell for last, cell in CELLS.items() if number <= last)
    basis = [(0, 0, 0), (0.5, 0.5, 0.5), (0.13, 0.22, 0.31)]
    for some in (slice(None), slice(0, None, 2), slice(0, 1)):
        try:
            found = crystal(
                ["Na", "Cl", "O"][some], basis[some], spacegroup=number, cellpar=cell, onduplicates="error"
            )
        except Exception:  # two of them are on the same position
            continue
        if len(found) < 120:
            return found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 231, 3))
def test_occupied_sites_do_not_depend_on_cell_place_and_orientation(number):
    atoms = of_group(number)
    rng = np.random.default_rng(number)
    expected = occupied_sites(atoms)
    assert expected is not None
    for _ in range(4):
        assert occupied_sites(moved(atoms, rng)) == expected


def perovskite(a: str, b: str) -> Atoms:
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms([a, b, "O", "O", "O"], scaled_positions=places, cell=[4.0] * 3, pbc=True)


def test_perovskites_whose_cations_change_places_differ():
    one, other = perovskite("Ba", "Ti"), perovskite("Ti", "Ba")
    assert occupied_sites(one) != occupied_sites(other)
    one.positions += 2.0
    assert occupied_sites(one) == occupied_sites(perovskite("Ba", "Ti"))


def test_zincblende_is_the_same_in_its_primitive_cell():
    cells = [bulk("ZnS", "zincblende", 5.4, cubic=cubic) for cubic in (False, True)]
    assert occupied_sites(cells[0]) == occupied_sites(cells[1]) == occupied_sites(cells[1] * (1, 2, 1))


@pytest.mark.parametrize(
    "atoms",
    [molecule("H2O"), Atoms("Cu", cell=[3, 3, 0], pbc=[True, True, False])],
    ids=["molecule", "layer"],
)
def test_what_is_no_crystal_has_no_sites(atoms):
    assert occupied_sites(atoms) is None


def low_symmetry(height: float) -> Atoms:
    """Return a crystal without symmetry; two of different heights have the same sites and are different."""
    places = [(0, 0, 0), (0.31, 0.42, height), (0.7, 0.15, 0.35)]
    return Atoms("CuAuAg", scaled_positions=places, cell=[5.1, 6.2, 7.3, 81, 94, 103], pbc=True)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory, shared_index):
    """Return a campaign of starts some of which are the same, and more of which end as the same."""
    rng = np.random.default_rng(0)
    starts = [
        bulk("Cu", "fcc", 3.55),
        molecule("N2"),
        moved(bulk("Cu", "fcc", 3.7, cubic=True), rng),
        bulk("Cu", "bcc", 2.87),
        molecule("N2"),
        bulk("Au", "fcc", 4.1),
        bulk("Cu", "bcc", 2.87) * (2, 1, 1),
        low_symmetry(0.5), low_symmetry(0.8), moved(low_symmetry(0.5), rng),
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("folder") / "campaign"
    with Campaign.create(path, starts, "emt", fmax=0.02, steps=50, cell=True) as found:
        found.run(workers=1)
        yield found


def groups(members):
    return {member.id: member.group for member in members}


@pytest.mark.slow
def test_starts_that_are_the_same_are_in_one_group(campaign):
    expected = {0: 0, 1: 1, 2: 0, 3: 3, 4: 4, 5: 5, 6: 3, 7: 7, 8: 7, 9: 7}
    members = list(campaign.duplicates(start=True))
    assert groups(members) == expected
    assert [member.size for member in members] == [2, 1, 2, 2, 1, 1, 2, 3, 3, 3]


@pytest.mark.slow
@pytest.mark.parametrize("matcher", [True, StructureMatcher(scale=True)], ids=["default", "given"])
def test_the_matcher_splits_what_has_the_same_sites(campaign, matcher):
    expected = {0: 0, 1: 1, 2: 0, 3: 3, 4: 4, 5: 5, 6: 3, 7: 7, 8: 8, 9: 7}
    assert groups(campaign.duplicates(start=True, matcher=matcher)) == expected


@pytest.mark.slow
def test_a_matcher_that_does_not_scale_tells_volumes_apart(campaign):
    found = groups(campaign.duplicates(start=True, matcher=StructureMatcher(scale=False, ltol=0.01)))
    assert (found[2], found[6], found[9]) == (2, 3, 7)


@pytest.mark.slow
def test_the_lowest_in_energy_per_atom_of_those_that_converged_is_marked(campaign):
    outcomes = {outcome.id: outcome for outcome in campaign.results()}
    for start in (False, True):
        members = list(campaign.duplicates(start=start))
        assert [member.id for member in members] == sorted(member.id for member in members)
        marked = [member.id for member in members if member.lowest]
        for group in {member.group for member in members}:
            ids = [member.id for member in members if member.group == group]
            converged = [i for i in ids if outcomes[i].converged]
            lowest = sorted(converged, key=lambda i: (outcomes[i].energy / len(outcomes[i].start), i))[:1]
            assert group == ids[0]
            assert [i for i in ids if i in marked] == lowest
            assert all(member.size == len(ids) for member in members if member.group == group)
    assert groups(campaign.duplicates())[2] == 0


@pytest.mark.slow
def test_exports_have_the_groups_as_columns(campaign, tmp_path):
    import pandas as pd

    for when in ("before", "after"):
        campaign.export(tmp_path / f"{when}.parquet", "parquet", duplicates=when)
        table = pd.read_parquet(tmp_path / f"{when}.parquet").set_index("id")
        members = {member.id: member for member in campaign.duplicates(start=when == "before")}
        for id_, row in table.iterrows():
            if id_ in members:
                assert (row.group, row.group_lowest) == (members[id_].group, members[id_].lowest)
            else:
                assert pd.isna(row.group)
                assert row.group_lowest is None


@pytest.mark.slow
@pytest.mark.parametrize("symprec", [0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(campaign, symprec):
    with pytest.raises(UsageError, match=f"^symprec must be a number above 0 .got {symprec}.$"):
        list(campaign.duplicates(symprec=symprec))
