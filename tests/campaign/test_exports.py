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
    "extxyz": "found.extxyz", "ase.db": "found.db", "parquet": "found.parquet", "pymatgen-json": "found.jsonl",
    "matbench": "emt",
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
def campaign(tmp_path_factory):
    """Return a campaign of which all is done."""
    with campaign_at(tmp_path_factory.mktemp("whole") / "campaign") as found:
        assert found.status().statuses == {"converged": 6, "max_steps": 1, "refused": 1}
        yield found


def exported(campaign, folder, kind, **options):
    if kind == "matbench":
        options = {"references": {"Cu": -0.01, "Al": 0.2, "N": 1.5, "O": 0.4, "Au": 0.0}} | options
    campaign.export(folder / NAMES[kind], kind, **options)
    return folder / NAMES[kind]


def energies(campaign):
    return [outcome.energy for outcome in campaign.results()]


def test_extended_xyz_has_the_structures_in_their_order_with_the_energies_that_emt_gives(campaign, tmp_path):
    path = exported(campaign, tmp_path, "extxyz")
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


def test_relax_show_reads_extended_xyz(campaign, relax, tmp_path):
    exported(campaign, tmp_path, "extxyz")
    code, out, errors = relax("show", "found.extxyz")
    assert (code, errors) == (0, [])
    assert "6 of 8 converged" in out
    assert "slabs/cu.xyz#3" in out


def test_a_database_of_ase_has_a_row_for_each_with_what_it_ended_as(campaign, tmp_path):
    with connect(exported(campaign, tmp_path, "ase.db")) as database:
        rows = list(database.select())
        assert [row.relax_place for row in rows] == list(range(8))
        assert database.count(relax_status="converged", Cu=4) == 2
        for row, expected in zip(rows, energies(campaign), strict=True):
            assert row.get("energy", np.nan) == pytest.approx(expected, nan_ok=True)
        assert rows[0].toatoms().get_forces().shape == (1, 3)
        assert rows[5].toatoms().constraints[0].index.tolist() == [0]
        assert len({row.unique_id for row in rows}) == 8


def test_a_parquet_table_has_columns_and_lists(campaign, tmp_path):
    path = exported(campaign, tmp_path, "parquet")
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


def test_pymatgen_reads_its_json_lines(campaign, tmp_path):
    path = exported(campaign, tmp_path, "pymatgen-json")
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


def test_matbench_discovery_gets_the_records_that_it_names(campaign, tmp_path):
    corrections = {f"wbm-1-{k}": -0.1 * k for k in range(4)} | {"slabs/cu.xyz#3": 0, "6": 0, "7": 0.5}
    folder = exported(campaign, tmp_path, "matbench", date="2026-01-31", corrections=corrections)
    assert sorted(path.name for path in folder.iterdir()) == [
        "2026-01-31-discovery.csv.gz", "2026-01-31-geo-opt.jsonl.gz",
    ]  # fmt: skip
    ends = pd.read_json(folder / "2026-01-31-geo-opt.jsonl.gz", lines=True)
    assert ends.columns.tolist() == ["material_id", "energy", "converged", "n_steps", "structure"]
    assert ends.material_id.tolist()[:5] == [*(f"wbm-1-{k}" for k in range(4)), "slabs/cu.xyz#3"]
    assert IStructure.from_dict(ends.structure[1]).formula == "Cu4"
    assert ends.converged.tolist() == [True] * 6 + [False]
    table = pd.read_csv(folder / "2026-01-31-discovery.csv.gz", index_col="material_id")
    assert len(table) == 8
    column = table["e_form_per_atom_emt"]
    energy = energies(campaign)
    assert column["wbm-1-3"] == pytest.approx(energy[3] / 4 + 0.01 - 0.3)
    assert column["6"] == pytest.approx((energy[6] - 1.5 - 0.4) / 2)
    assert column["7"] == pytest.approx((energy[7] + 8 * 0.01 - 8 * 0.2) / 16 + 0.5)
    assert column.isna().sum() == 1
    assert table.error["4"].startswith("refused: atoms 0 (Au)")


def test_formation_energies_are_those_of_matbench_discovery(campaign, tmp_path):
    energy = pytest.importorskip(
        "matbench_discovery.energy", reason="matbench-discovery is not installed", exc_type=ImportError
    )
    folder = exported(campaign, tmp_path, "matbench")
    table = pd.read_csv(folder / "discovery.csv.gz", index_col="material_id")
    references = {"Cu": -0.01, "Al": 0.2, "N": 1.5, "O": 0.4}
    for line in gzip.open(folder / "geo-opt.jsonl.gz", "rt"):
        end = json.loads(line)
        composition = {site["species"][0]["element"]: 0 for site in end["structure"]["sites"]}
        for site in end["structure"]["sites"]:
            composition[site["species"][0]["element"]] += 1
        entry = {"energy": end["energy"], "composition": composition}
        expected = energy.get_e_form_per_atom(entry, references)
        assert table["e_form_per_atom_emt"][end["material_id"]] == pytest.approx(expected)


def test_files_hold_references_and_corrections(campaign, tmp_path):
    references, corrections = tmp_path / "references.json", tmp_path / "summary.csv.gz"
    references.write_text('{"Cu": -0.01}')
    with gzip.open(corrections, "wt") as file:
        file.write("material_id,formula,e_correction_per_atom_mp2020\n")
        file.writelines(f"wbm-1-{k},Cu,{0.1 * k}\n" for k in range(4))
        file.write("slabs/cu.xyz#3,Cu,0\n")
    with pytest.raises(UsageError, match="^6: references has no energy of N$"):
        exported(campaign, tmp_path, "matbench", references=references, corrections=corrections)
    assert not (tmp_path / "emt").exists()
    references.write_text('{"Cu": -0.01, "N": 0, "O": 0, "Al": 0}')
    with pytest.raises(UsageError, match="^6: corrections has none of it$"):
        exported(campaign, tmp_path, "matbench", references=references, corrections=corrections)
    references.write_text("[1]")
    with pytest.raises(UsageError, match="is no JSON object of numbers"):
        exported(campaign, tmp_path, "matbench", references=references)
    with pytest.raises(UsageError, match="has no column 'material_id'"):
        exported(campaign, tmp_path, "matbench", references={"Cu": 1}, corrections=str(references))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["references.json", "summary.csv.gz"]


def test_without_references_a_line_says_what_is_missing(campaign, tmp_path):
    with pytest.warns(UserWarning, match="these need references"):
        campaign.export(tmp_path / "emt", "matbench")
    table = pd.read_csv(tmp_path / "emt" / "discovery.csv.gz")
    assert table.energy_per_atom[1] == pytest.approx(energies(campaign)[1] / 4)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Return the campaign again, run in another order, in parts and with a part done twice."""
    with campaign_at(tmp_path_factory.mktemp("parts") / "other", [(2, 3), (0, 3), (1, 3), (0, 1)]) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_do_not_depend_on_how_the_campaign_was_run(campaign, disturbed, kind, tmp_path):
    found = []
    for number, each in enumerate((campaign, disturbed)):
        (tmp_path / str(number)).mkdir()
        path = exported(each, tmp_path / str(number), kind, duplicates="after", waiting=True)
        files = [path] if path.is_file() else sorted(path.iterdir())
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]
    assert all(found[0])


def test_statuses_and_waiting_choose_structures(tmp_path):
    with campaign_at(tmp_path / "campaign", [(0, 2)]) as campaign:
        waiting = campaign.status().waiting
        assert 0 < waiting < 7
        for options, count in (
            ({}, 8 - waiting),
            ({"waiting": True}, 8),
            ({"statuses": ["waiting"]}, waiting),
            ({"statuses": ["refused", "waiting"]}, waiting + 1),
        ):
            path = tmp_path / f"{len(options)}{count}.extxyz"
            assert campaign.export(path, "extxyz", **options) == count
            assert len(list(iread(path))) == count
        frames = list(iread(tmp_path / "18.extxyz"))
        starts = [each.atoms if isinstance(each, Given) else each for each in structures()]
        for atoms, start in zip(frames, starts, strict=True):
            if atoms.info["relax_status"] == "waiting":
                np.testing.assert_allclose(atoms.positions, start.positions, atol=1e-8)
        assert campaign.export(tmp_path / "none.db", "ase.db", statuses=["timeout"]) == 0
        assert connect(tmp_path / "none.db").count() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_replaced_only_if_told(campaign, kind, tmp_path):
    path = exported(campaign, tmp_path, kind)
    with pytest.raises(UsageError, match="is there already; name another one"):
        exported(campaign, tmp_path, kind)
    exported(campaign, tmp_path, kind, force=True, statuses=["converged"])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_folder_with_other_things_is_not_replaced(campaign, tmp_path):
    (tmp_path / "emt").mkdir()
    (tmp_path / "emt" / "phonons.json.gz").touch()
    for kind in ("matbench", "extxyz"):
        with pytest.raises(UsageError, match="is a folder with other things in it; name another one$"):
            campaign.export(
                tmp_path / "emt", kind, force=True, **{"references": {}} if kind == "matbench" else {}
            )
    (tmp_path / "emt" / "phonons.json.gz").unlink()
    with pytest.raises(UsageError, match="is a folder; name a file$"):
        campaign.export(tmp_path / "emt", "extxyz", force=True)


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
        ("matbench", {"corrections": {"a": 1}}, r"^corrections need references, the energies of the elements$"),
        ("matbench", {"references": "none.json"}, r"^references: none.json: No such file or directory$"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(campaign, kind, options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        campaign.export(tmp_path / "out", kind, **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(campaign, tmp_path):
    with pytest.raises(UsageError, match=r"out\.xyz: there is no folder .*/none; create it first$"):
        campaign.export(tmp_path / "none" / "out.xyz", "extxyz")


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [("parquet", "pyarrow", "parquet"), ("pymatgen-json", "pymatgen", "pymatgen")],
)
def test_a_missing_package_is_named_with_its_extra(campaign, kind, package, extra, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    words = rf'^{package} is not installed, which {extra} needs: pip install "relax\[{extra}\]"$'
    with pytest.raises(UsageError, match=words):
        campaign.export(tmp_path / "out", kind)
    assert not list(tmp_path.iterdir())
