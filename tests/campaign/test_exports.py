"""What a campaign is written to: other programs read it, and its bytes do not depend on how it was run."""

from __future__ import annotations

import gzip
import json
import sys

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import iread
from pymatgen.core.structure import IMolecule, IStructure

from relax.campaign.campaign import Campaign
from relax.campaign.exports.export import KINDS
from relax.campaign.store.additions import Given
from relax.core.errors import UsageError

pytestmark = pytest.mark.slow

NAMES = {
    "extxyz": "found.extxyz", "ase.db": "found.db", "parquet": "found.parquet",
    "pymatgen-json": "found.jsonl", "matbench": "emt",
}  # fmt: skip


def structures():
    """Crystals, a slab with a held layer, a molecule, one that is refused and one that does not converge."""
    for k in range(4):
        atoms = bulk("Cu", "fcc", 3.5 + 0.03 * k, cubic=bool(k % 2))
        atoms.rattle(0.05, seed=k)
        atoms.info["material_id"] = f"wbm-1-{k}"
        yield atoms
    overlapping = bulk("Au") * (2, 1, 1)
    overlapping.positions[1] = overlapping.positions[0] + 0.01
    yield overlapping
    slab = fcc111("Cu", (1, 1, 3), vacuum=5)
    slab.set_constraint(FixAtoms([0]))
    yield Given(slab, "slabs/cu.xyz#3", "slabs/cu.xyz", 3)
    yield molecule("NO")
    slow = bulk("AlCu", "cesiumchloride", 3.0) * (2, 2, 2)
    slow.rattle(0.3, seed=1)
    yield slow


def campaign_at(path, shards=((0, 1),)):
    campaign = Campaign.create(path, structures(), "emt", unit_cost=100, fmax=0.01, steps=8, cell=True)
    for shard in shards:
        campaign.run(workers=1, shard=shard)
    return campaign


@pytest.fixture(scope="module")
def campaign(tmp_path_factory, shared_index):
    """Return a campaign of which all is done."""
    with campaign_at(tmp_path_factory.mktemp("whole") / "campaign") as found:
        assert found.status().statuses == {"converged": 6, "max_steps": 1, "refused": 1}
        yield found


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def exported(campaign, folder, kind, **options):
    if kind == "matbench":
        options = {"references": {"Cu": -0.01, "Al": 0.2, "N": 1.5, "O": 0.4, "Au": 0.0}} | options
    campaign.export(folder / NAMES[kind], kind, **options)
    return folder / NAMES[kind]


def energies(campaign):
    return [outcome.energy for outcome in campaign.results()]


def test_extended_xyz_has_the_structures_in_their_order_with_the_energies_that_emt_gives(campaign, folder):
    path = exported(campaign, folder, "extxyz")
    frames = list(iread(path))
    assert [atoms.info["relax_place"] for atoms in frames] == list(range(8))
    assert [atoms.info["source"] for atoms in frames][5] == "slabs/cu.xyz#3"
    for atoms, expected in zip(frames, energies(campaign), strict=True):
        if atoms.info["relax_status"] == "refused":
            assert atoms.calc is None
            assert "overlap" in atoms.info["relax_reason"]
            continue
        assert atoms.get_potential_energy() == pytest.approx(expected, abs=1e-8)
        again = Atoms(atoms, calculator=EMT())  # of the positions as the file has them, to 8 digits
        assert again.get_potential_energy() == pytest.approx(expected, abs=1e-5)
    assert frames[5].constraints[0].index.tolist() == [0]
    assert frames[0].info["material_id"] == "wbm-1-0"
    assert frames[0].info["relax_options"] == "calculator=emt fmax=0.01 steps=8 cell=True"


def test_relax_show_reads_extended_xyz(campaign, relax, folder):
    exported(campaign, folder, "extxyz")
    code, out, errors = relax("show", folder / "found.extxyz")
    assert (code, errors) == (0, [])
    assert "6 of 8 converged" in out
    assert "slabs/cu.xyz#3" in out


def test_a_database_of_ase_has_a_row_for_each_with_what_it_ended_as(campaign, folder):
    with connect(exported(campaign, folder, "ase.db")) as database:
        rows = list(database.select())
        assert [row.relax_place for row in rows] == list(range(8))
        assert database.count(relax_status="converged", Cu=4) == 2
        for row, expected in zip(rows, energies(campaign), strict=True):
            assert row.get("energy", np.nan) == pytest.approx(expected, nan_ok=True)
        assert rows[0].toatoms().get_forces().shape == (1, 3)
        assert rows[5].toatoms().constraints[0].index.tolist() == [0]
        assert len({row.unique_id for row in rows}) == 8


def test_a_parquet_table_has_columns_and_lists(campaign, folder):
    path = exported(campaign, folder, "parquet")
    table = pd.read_parquet(path)
    assert table.id.tolist() == list(range(8))
    assert table.status.tolist().count("refused") == 1
    np.testing.assert_array_equal(table.energy.to_numpy(float), energies(campaign))
    assert table.energy.isna().sum() == 1
    last = list(campaign.results())[-1].atoms
    np.testing.assert_array_equal(np.stack(table.positions.iloc[-1]), last.positions)
    np.testing.assert_array_equal(np.stack(table.forces.iloc[-1]), last.get_forces())
    np.testing.assert_array_equal(np.stack(table.cell.iloc[-1]), last.cell)
    np.testing.assert_array_equal(table.numbers.iloc[-1], last.numbers)
    assert json.loads(table["info"].iloc[2]) == {"material_id": "wbm-1-2"}


def test_pymatgen_reads_its_json_lines(campaign, folder):
    path = exported(campaign, folder, "pymatgen-json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == list(range(8))
    for line, outcome in zip(lines, campaign.results(), strict=True):
        kind = IStructure if outcome.atoms.pbc.any() else IMolecule
        found = kind.from_dict(line["structure"])
        np.testing.assert_allclose(found.cart_coords, outcome.atoms.positions, atol=1e-12)
        assert [site.specie.Z for site in found] == outcome.atoms.numbers.tolist()
        assert line["energy"] == (None if np.isnan(outcome.energy) else outcome.energy)
        if kind is IStructure:
            np.testing.assert_array_equal(found.lattice.matrix, outcome.atoms.cell)
            assert found.lattice.pbc == tuple(outcome.atoms.pbc)
    assert lines[3]["info"] == {"material_id": "wbm-1-3"}


def test_matbench_discovery_gets_the_records_that_it_names(campaign, folder):
    corrections = {f"wbm-1-{k}": -0.1 * k for k in range(4)} | {"slabs/cu.xyz#3": 0, "6": 0, "7": 0.5}
    found = exported(campaign, folder, "matbench", date="2026-01-31", corrections=corrections)
    assert sorted(path.name for path in found.iterdir()) == [
        "2026-01-31-discovery.csv.gz", "2026-01-31-geo-opt.jsonl.gz",
    ]  # fmt: skip
    ends = pd.read_json(found / "2026-01-31-geo-opt.jsonl.gz", lines=True)
    assert ends.columns.tolist() == ["material_id", "energy", "converged", "n_steps", "structure"]
    assert ends.material_id.tolist()[:5] == [*(f"wbm-1-{k}" for k in range(4)), "slabs/cu.xyz#3"]
    assert IStructure.from_dict(ends.structure[1]).formula == "Cu4"
    assert ends.converged.tolist() == [True] * 6 + [False]
    table = pd.read_csv(found / "2026-01-31-discovery.csv.gz", index_col="material_id")
    assert len(table) == 8
    column = table["e_form_per_atom_emt"]
    energy = energies(campaign)
    assert column["wbm-1-3"] == pytest.approx(energy[3] / 4 + 0.01 - 0.3)
    assert column["6"] == pytest.approx((energy[6] - 1.5 - 0.4) / 2)
    assert column["7"] == pytest.approx((energy[7] + 8 * 0.01 - 8 * 0.2) / 16 + 0.5)
    assert column.isna().sum() == 1
    assert table.error["4"].startswith("refused: atoms 0 (Au)")


def test_formation_energies_are_those_of_matbench_discovery(campaign, folder):
    energy = pytest.importorskip(
        "matbench_discovery.energy", reason="matbench-discovery is not installed", exc_type=ImportError
    )
    found = exported(campaign, folder, "matbench")
    table = pd.read_csv(found / "discovery.csv.gz", index_col="material_id")
    references = {"Cu": -0.01, "Al": 0.2, "N": 1.5, "O": 0.4}
    for end in pd.read_json(found / "geo-opt.jsonl.gz", lines=True).itertuples():
        composition = IStructure.from_dict(end.structure).composition if end.material_id != "6" else "NO"
        expected = energy.get_e_form_per_atom({"energy": end.energy, "composition": composition}, references)
        assert table["e_form_per_atom_emt"][end.material_id] == pytest.approx(expected)


def test_files_hold_references_and_corrections(campaign, folder):
    references, corrections = folder / "references.json", folder / "summary.csv.gz"
    references.write_text('{"Cu": -0.01}')
    with gzip.open(corrections, "wt") as file:
        file.write("material_id,formula,e_correction_per_atom_mp2020\n")
        file.writelines(f"wbm-1-{k},Cu,{0.1 * k}\n" for k in range(4))
        file.write("slabs/cu.xyz#3,Cu,0\n")
    with pytest.raises(UsageError, match=r"^6: references has no energy of N$"):
        exported(campaign, folder, "matbench", references=references, corrections=corrections)
    assert not (folder / "emt").exists()
    references.write_text('{"Cu": -0.01, "N": 0, "O": 0, "Al": 0}')
    with pytest.raises(UsageError, match=r"^6: corrections has none of it$"):
        exported(campaign, folder, "matbench", references=references, corrections=corrections)
    references.write_text("[1]")
    with pytest.raises(UsageError, match="is no JSON object of numbers"):
        exported(campaign, folder, "matbench", references=references)
    no_columns = folder / "other.csv"
    no_columns.write_text("id,energy\n6,0.1\n")
    with pytest.raises(UsageError, match=r"has no column 'material_id'$"):
        exported(campaign, folder, "matbench", corrections=str(no_columns))
    assert sorted(path.name for path in folder.iterdir()) == [
        "other.csv", "references.json", "summary.csv.gz",
    ]  # fmt: skip


def test_without_references_a_line_says_what_is_missing(campaign, folder):
    with pytest.warns(UserWarning, match="these need references"):
        campaign.export(folder / "emt", "matbench")
    table = pd.read_csv(folder / "emt" / "discovery.csv.gz")
    assert table.energy_per_atom[1] == pytest.approx(energies(campaign)[1] / 4)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory, shared_index):
    """Return the campaign again, run in another order, in parts and with a part done twice."""
    with campaign_at(tmp_path_factory.mktemp("parts") / "other", [(2, 3), (0, 3), (1, 3), (0, 1)]) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_do_not_depend_on_how_the_campaign_was_run(campaign, disturbed, kind, folder):
    found = []
    for number, each in enumerate((campaign, disturbed)):
        (folder / str(number)).mkdir()
        path = exported(each, folder / str(number), kind, duplicates="after", waiting=True)
        files = [path] if path.is_file() else sorted(path.iterdir())
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]
    assert all(found[0])


def test_statuses_and_waiting_choose_structures(folder):
    with campaign_at(folder / "campaign", [(0, 2)]) as campaign:
        waiting = campaign.status().waiting
        assert 0 < waiting < 7
        for options, count in (
            ({}, 8 - waiting),
            ({"waiting": True}, 8),
            ({"statuses": ["waiting"]}, waiting),
            ({"statuses": ["refused", "waiting"]}, waiting + 1),
        ):
            path = folder / f"{len(options)}{count}.extxyz"
            assert campaign.export(path, "extxyz", **options) == count
            assert len(list(iread(path))) == count
        frames = list(iread(folder / "18.extxyz"))
        starts = [each.atoms if isinstance(each, Given) else each for each in structures()]
        for atoms, start in zip(frames, starts, strict=True):
            if atoms.info["relax_status"] == "waiting":
                np.testing.assert_allclose(atoms.positions, start.positions, atol=1e-8)
        assert campaign.export(folder / "none.db", "ase.db", statuses=["timeout"]) == 0
        assert connect(folder / "none.db").count() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_replaced_only_if_told(campaign, kind, folder):
    path = exported(campaign, folder, kind)
    with pytest.raises(UsageError, match="is there already; name another one"):
        exported(campaign, folder, kind)
    exported(campaign, folder, kind, force=True, statuses=["converged"])
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_folder_with_other_things_is_not_replaced(campaign, folder):
    (folder / "emt").mkdir()
    (folder / "emt" / "phonons.json.gz").touch()
    for kind in ("matbench", "extxyz"):
        options = {"references": {"Cu": 1}} if kind == "matbench" else {}
        with pytest.raises(UsageError, match=r"is a folder with other things in it; name another one$"):
            campaign.export(folder / "emt", kind, force=True, **options)
    (folder / "emt" / "phonons.json.gz").unlink()
    with pytest.raises(UsageError, match=r"is a folder; name a file$"):
        campaign.export(folder / "emt", "extxyz", force=True)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("cif", {}, r"^unknown kind 'cif' \(there are: extxyz, ase.db, parquet, pymatgen-json, matbench\)$"),
        ("extxyz", {"statuses": ["fine"]}, r"^unknown status 'fine' \(there are: .*worker_lost, waiting\)$"),
        ("extxyz", {"duplicates": "now"}, r"^duplicates = 'now': give before or after$"),
        ("parquet", {"model": "x"}, r"^parquet has no option model$"),
        ("matbench", {"fast": True}, r"^matbench: .*'fast'$"),
        ("matbench", {"model": "a b"}, r"^model = 'a b': give the key of the model, such as mace-mpa-0$"),
        ("matbench", {"date": "today"}, r"^date = 'today': give a day such as 2026-01-31$"),
        ("matbench", {"corrections": {"a": 1}}, r"^corrections need references, the energies of the elem"),
        ("matbench", {"references": "none.json"}, r"^references: none.json: No such file or directory$"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(campaign, kind, options, message, folder):
    with pytest.raises(UsageError, match=message):
        campaign.export(folder / "out", kind, **options)
    assert not list(folder.iterdir())


def test_a_folder_that_is_not_there_is_named(campaign, folder):
    with pytest.raises(UsageError, match=r"out\.xyz: there is no folder .*/none; create it first$"):
        campaign.export(folder / "none" / "out.xyz", "extxyz")


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [("parquet", "pyarrow", "parquet"), ("pymatgen-json", "pymatgen", "pymatgen")],
)
def test_a_missing_package_is_named_with_its_extra(campaign, kind, package, extra, monkeypatch, folder):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    words = rf'^{package} is not installed, which {extra} needs: pip install "relax\[{extra}\]"$'
    with pytest.raises(UsageError, match=words):
        campaign.export(folder / "out", kind)
    assert not list(folder.iterdir())
