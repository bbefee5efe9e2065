"""Reading, checking and writing structures."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixedPlane
from ase.io import read as ase_read
from ase.io import write as ase_write

from relax.core.errors import InvalidStructure
from relax.io.check import check_structure
from relax.io.read import count_structures, read_structures
from relax.io.write import extxyz_text, snapshot, write_structures


def copper() -> Atoms:
    return bulk("Cu", cubic=True)


def test_every_frame_is_read(tmp_path):
    ase_write(tmp_path / "two@1.extxyz", [copper(), copper() * (2, 1, 1)])
    assert [len(atoms) for atoms in read_structures(tmp_path / "two@1.extxyz")] == [4, 8]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.cif", None, "no such file"),
        ("empty.extxyz", "", "empty"),
        ("text.bin", "nothing", "cannot be read|format"),
        ("broken.extxyz", "3\n\nCu 0 0 0\n", "cannot be read"),
        ("broken.cif", "data_x\nloop_\n_a\n", "cannot be read|no structure"),
    ],
)
def test_an_unreadable_file_is_one_line(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidStructure, match=words) as caught:
        list(read_structures(tmp_path / name))
    assert "\n" not in str(caught.value)


def assert_same(one: Atoms, other: Atoms) -> None:
    assert one == other
    assert (one.calc is None) == (other.calc is None)
    assert list(one.arrays) == list(other.arrays)
    assert one.info.keys() == other.info.keys()


@pytest.mark.parametrize("name", ["many.extxyz", "many.xyz.gz", "many.traj", "many.cif", "many.json"])
def test_frames_come_as_ase_reads_them(tmp_path, name):
    frames = [copper(), bulk("NiAl", "cesiumchloride", a=2.9), copper() * (2, 1, 1)]
    frames[0].calc = EMT()
    frames[0].get_forces()
    frames[1].info["note"] = 'a "quoted" word'
    ase_write(tmp_path / name, frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ase_read(tmp_path / name, ":")
    found = list(read_structures(tmp_path / name))
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    assert count_structures(tmp_path / name) == (None if name == "many.json" else 3)


def test_vectors_after_the_atoms_are_of_the_frame_before(tmp_path):
    path = tmp_path / "vec.xyz"
    ase_write(path, [copper(), copper() * (2, 1, 1)], vec_cell=True)
    found = list(read_structures(path))
    for one, other in zip(found, ase_read(path, ":"), strict=True):
        assert_same(one, other)
    assert [atoms.pbc.all() for atoms in found] == [True, True]
    assert count_structures(path) == 2


COMMENTS = [
    "", "any words", "uid=012 e=1 e=2", 'pbc="T F T"', "pbc=T", "x=1_000 y=+5 z=1e5 big=99999999999999999999",
    'name="a  b" other=c,d energy=-1.5 free_energy=-1.25', 'empty="" next=3', "key= value", "key =value",
    'q="it\\"s" r=1', "a=b=c", "set={1 2 3} list=[4 5]", "'single'=1", "two=1,2 three='T F T' four=T,F",
    'data="_JSON [1, [2, 3]]"', 'data="_JSON {\\"a\\": [1]}"', "Lattice=5", 'Lattice="4 0 0 0 4 0 1 0 4"',
    'Lattice="4 0 0 0 4 0 0 0 5" pbc="T T F" stress="1 2 3 2 4 5 3 5 6" dipole="0 0 1"',
    "e=nan f=inf g=-0.0", "Properties=species:S:1:pos:R:3 name=here", "\x1fsource=a\u00a0step=3\t",
]  # fmt: skip
"""Comments of frames; ASE cannot read one of them."""
COLUMNS = {
    "Properties=species:S:1:pos:R:3:move_mask:L:1": (["Ar 0 0 0 T", "Ar 0 0 1.5 F"]),
    "Properties=species:S:1:pos:R:3:move_mask:L:3": (["Ar 0 0 0 T F T", "Ar 0 0 1.5 F F T"]),
    "Properties=species:S:1:pos:R:3:forces:R:3 energy=2": (["Ar 0 0 0 1 2 3", "H 0 0 1 -1 -2 -3"]),
    "Properties=Z:I:1:pos:R:3:tags:I:1": (["1 0 0 0 7", "18 0 0 1.5 8"]),
    "Properties=pos:R:3:species:S:1": (["0 0 0 He", "0 0 1 Li"]),
    "columns left out": (["ar 0 0 0 9 9", " AR 1e1 -.5 1_0 x"]),
}


def frames_by_ase(path):
    """Return the structures that ASE reads from a file, or its error."""
    try:
        return ase_read(path, ":", format="extxyz")
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("comment", [*COMMENTS, *COLUMNS])
def test_frames_are_read_as_by_ase(tmp_path, comment):
    path = tmp_path / "odd.extxyz"
    rows = COLUMNS.get(comment, ["Ar 0 0 0", "ar 0.1 -2.5e-1 1.123456789012345678"])
    path.write_text("\n".join(["2", comment, *rows, ""]) * 2, encoding="utf-8")
    expected = frames_by_ase(path)
    if isinstance(expected, type):
        with pytest.raises(InvalidStructure, match=rf"^cannot be read: {expected.__name__}"):
            list(read_structures(path))
        return
    found = list(read_structures(path))
    assert len(found) == 2
    found[0].info |= {"more": 1}
    for value in found[0].info.values():  # what one says is not shared with the next
        if isinstance(value, list | np.ndarray) and np.ndim(value):
            value[0] = None if isinstance(value, list) else 0
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert_identical(one, other)


def assert_identical(one, other):
    """Check that two structures are the same in all that a file can say, types and bits included."""
    assert list(one.arrays) == list(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        assert array.tolist() == other.arrays[name].tolist()
    assert one.cell.tolist() == other.cell.tolist()
    assert one.pbc.tolist() == other.pbc.tolist()
    assert [each.todict() for each in one.constraints] == [each.todict() for each in other.constraints]
    assert repr(one.info) == repr(other.info)
    assert [type(value) for value in one.info.values()] == [type(value) for value in other.info.values()]
    assert (one.calc is None) == (other.calc is None)
    if one.calc is not None:
        assert repr(one.calc.results) == repr(other.calc.results)


@pytest.mark.parametrize("row", ["Ar 0 0", "Ar 0 0 zero", "Xx 0 0 0", ""])
def test_a_damaged_row_is_told_as_by_ase(tmp_path, row):
    path = tmp_path / "damaged.extxyz"
    path.write_text(f"1\n\nAr 0 0 0\n2\n\nAr 0 0 0\n{row}\n")
    expected = frames_by_ase(path)
    stream = read_structures(path)
    assert next(stream).symbols[0] == "Ar"
    with pytest.raises(InvalidStructure, match=rf"^frame 1 cannot be read: {expected.__name__}"):
        next(stream)


def test_a_fault_in_the_middle_costs_no_frame_before_it(tmp_path):
    path = tmp_path / "many.extxyz"
    ase_write(path, [copper()] * 3)
    path.write_text(path.read_text() + "4\n\nCu 0 0\n")
    stream = read_structures(path)
    assert [len(next(stream)) for _ in range(3)] == [4, 4, 4]
    with pytest.raises(
        InvalidStructure, match=r"^frame 3 cannot be read: EOFError: the file ends after 1 of 4"
    ):
        next(stream)
    assert count_structures(path) == 4
    ase_write(path, copper())
    path.write_text(path.read_text() + "four\n")
    assert count_structures(path) is None


def test_what_follows_a_blank_line_is_not_left_out(tmp_path):
    path = tmp_path / "many.extxyz"
    ase_write(path, [copper()] * 2)
    whole = path.read_text()
    path.write_text(whole + "\n \n")
    assert len(list(read_structures(path))) == count_structures(path) == 2
    path.write_text(whole + "\n \n" + whole)
    with pytest.raises(InvalidStructure, match=r"^frame 2 cannot be read: ValueError: a blank line ends the"):
        list(read_structures(path))
    assert count_structures(path) is None


def test_reading_is_lazy(tmp_path):
    path = tmp_path / "many.extxyz"
    ase_write(path, [copper()] * 2)
    whole = path.read_text()
    with path.open("w") as file:
        file.write(whole * 5000)
    next(read_structures(path)).copy()  # what is imported for it takes memory, too
    stream = read_structures(path)
    tracemalloc.start()
    next(stream)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.1 * path.stat().st_size
    stream.close()


def test_count_of_missing_and_empty_files(tmp_path):
    assert count_structures(tmp_path / "nothing.cif") == 0
    (tmp_path / "empty.cif").write_text("")
    assert count_structures(tmp_path / "empty.cif") == 0
    assert count_structures(tmp_path) is None
    (tmp_path / "POSCAR").write_text("whatever")
    assert count_structures(tmp_path / "POSCAR") == 1


def test_extxyz_text_is_that_of_a_file(tmp_path):
    ase_write(tmp_path / "out.extxyz", copper())
    assert extxyz_text(copper()) == (tmp_path / "out.extxyz").read_text()
    atoms = copper()
    atoms.arrays["odd"] = np.zeros((4, 2, 2))
    with pytest.raises(InvalidStructure, match="cannot be written"):
        extxyz_text(atoms)


def test_a_folder_is_no_structure(tmp_path):
    with pytest.raises(InvalidStructure, match="this is a folder"):
        list(read_structures(tmp_path))


def spoiled(what: str) -> Atoms:
    atoms = copper()
    if what == "nan":
        atoms.positions[2, 1] = np.nan
    elif what == "cell":
        atoms.cell[0, 0] = np.inf
    elif what == "flat":
        atoms.cell[2] = atoms.cell[0]
    elif what == "spot":
        atoms.positions[3] = atoms.positions[1] + [0.05, 0, 0]
    elif what == "image":
        atoms.positions[3] = atoms.positions[1] + atoms.cell[0] - [0.05, 0, 0]
    elif what == "itself":
        atoms = Atoms("Cu", cell=[0.05, 3, 3], pbc=True)
    elif what == "occupancy":
        atoms.info["occupancy"] = {"0": {"Cu": 0.5, "Ni": 0.5}}
    return atoms


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nan", r"atom 2 \(Cu\)"),
        ("cell", "cell is not finite"),
        ("flat", "flat"),
        ("spot", r"atoms 1 \(Cu\) and 3 \(Cu\) overlap"),
        ("image", r"atoms 1 \(Cu\) and 3 \(Cu\) overlap"),
        ("itself", r"atom 0 \(Cu\) and its periodic image overlap"),
        ("occupancy", "Cu 0.5, Ni 0.5"),
    ],
)
def test_invalid_structure_is_rejected(what, words):
    with pytest.raises(InvalidStructure, match=words):
        check_structure(spoiled(what))


@pytest.mark.parametrize("natoms", [2, 20, 100])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_overlaps_are_found_among_few_and_many(natoms, far):
    positions = np.arange(3 * natoms).reshape(-1, 3) + far
    for distance in (0.098, 0.102, 0.19, 0.21):
        positions = np.vstack([positions[:-1], positions[0] + np.array([0, distance, 0])])
        atoms = Atoms(f"Ar{natoms}", positions)
        if distance > 0.1:
            check_structure(atoms)
        else:
            with pytest.raises(
                InvalidStructure, match=rf"^atoms 0 \(Ar\) and {natoms - 1} \(Ar\) overlap: .*0.098"
            ):
                check_structure(atoms)


def test_no_atoms_are_rejected():
    with pytest.raises(InvalidStructure, match="no atoms"):
        check_structure(Atoms())


@pytest.mark.parametrize(
    "constraint", [None, FixAtoms([0, 1, 2]), FixAtoms(range(4)), FixedPlane([0, 1, 2, 3], (0, 0, 1))]
)
def test_a_sound_structure_passes(constraint):
    atoms = copper()
    atoms.set_constraint(constraint)
    check_structure(atoms)
    check_structure(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]))


def test_cif_with_mixed_sites_is_rejected(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    shares = {"0": {"Na": 0.5, "K": 0.5}, "1": {"Cl": 1.0}}
    atoms.info["occupancy"] = shares
    atoms.set_array("spacegroup_kinds", np.array([0, 1]))
    ase_write(tmp_path / "mixed.cif", atoms)
    with pytest.raises(InvalidStructure, match="partly occupied"):
        check_structure(next(read_structures(tmp_path / "mixed.cif")))


def test_a_snapshot_takes_results_without_a_call():
    atoms = copper()
    atoms.calc = EMT()
    atoms.info |= {"energy": 1.0, "spacegroup": "P1"}
    assert snapshot(atoms).calc is None
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    kept = snapshot(atoms, source="here")
    assert kept.get_potential_energy() == energy
    assert np.array_equal(kept.get_forces(), forces)
    assert kept.info == {"source": "here"}


def test_constraints_and_results_survive_the_file(tmp_path):
    atoms = copper()
    atoms.set_constraint(FixAtoms([1]))
    atoms.calc = EMT()
    atoms.get_forces()
    write_structures(tmp_path / "out.extxyz", [snapshot(atoms)])
    back = ase_read(tmp_path / "out.extxyz")
    assert list(back.constraints[0].index) == [1]
    assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("rehearse", [True, False])
def test_writing_leaves_whole_files_only(tmp_path, rehearse):
    path = tmp_path / "out.extxyz"
    path.write_text("before")
    write_structures(path, [copper()], rehearse=rehearse)
    assert (path.read_text() == "before") is rehearse
    with pytest.raises(InvalidStructure, match="cannot be written"):
        write_structures(tmp_path / "out.vasp", [copper(), copper()])
    assert [p.name for p in tmp_path.iterdir()] == ["out.extxyz"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/such/folder.extxyz", "no folder"), ("out.nonsense", "format|cannot"), (".", "plain file")],
)
def test_unwritable_path_is_rejected(tmp_path, name, words):
    with pytest.raises(InvalidStructure, match=words):
        write_structures(tmp_path / name, [copper()])


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.extxyz").write_text("")
    (tmp_path / "link.extxyz").symlink_to(tmp_path / "real.extxyz")
    write_structures(tmp_path / "link.extxyz", [copper()])
    assert (tmp_path / "link.extxyz").is_symlink()
    assert len(ase_read(tmp_path / "real.extxyz")) == 4
