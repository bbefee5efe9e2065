"""Files that cannot be read, and structures that cannot be relaxed: one line, and the others are relaxed."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from fault_rows import OUTPUT, Row, assert_said, check, frames, metal, statuses, write_good

pytestmark = pytest.mark.faults

BAD = "bad.extxyz"

CIF = """data_x
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cu1 Cu 0 0 0 0.5
Au1 Au 0 0 0 0.5
"""


def text(atoms: Atoms) -> str:
    file = io.StringIO()
    write(file, atoms, format="extxyz")
    return file.getvalue()


GOOD = text(metal("Cu", 5))
LAST = GOOD.split()[-1]


def holds(content: str | bytes, name: str = BAD) -> Callable[[], object]:
    """Return what writes a file."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda: Path(name).write_bytes(data)


def mend() -> None:
    """Write a good structure."""
    path = Path(BAD)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_text(GOOD)


def moved(value: float) -> Atoms:
    atoms = metal("Cu")
    atoms.positions[1, 2] = value
    return atoms


def in_cell(cell: object) -> Atoms:
    atoms = metal("Cu")
    atoms.set_cell(cell)
    return atoms


def bad(name: str, says: str, setup: Callable[[], object], file: str = BAD, **more: object) -> Row:
    """Return a row of one file of which nothing can be relaxed."""
    repair = mend if file == BAD else None
    return Row(name, 2, (says,), setup, (file,), repair=repair, **more)  # type: ignore[arg-type]


def built(atoms: Callable[[], Atoms]) -> Callable[[], object]:
    return lambda: write(BAD, atoms())


BROKEN = "b\nad.extxyz"
NOTHING = holds("", "not-asked-for")
ONE = {BAD: "converged"}
HEAD = "expected a number of atoms, found"

ROWS = [
    bad("missing", "bad.extxyz: there is no such file", NOTHING),
    bad("empty", "the file is empty", holds("")),
    bad("empty folder", "no file in this folder has a format", lambda: Path(BAD).mkdir()),
    bad("dangling link", "there is no such file", lambda: os.symlink("nowhere", BAD)),
    bad("link to itself", "there is no such file", lambda: os.symlink(BAD, BAD)),
    bad("no name", "there is no such file", NOTHING, ""),
    bad("too long a name", "there is no such file", NOTHING, "b" * 300 + ".extxyz"),
    bad("pattern of nothing", "no file matches this pattern", NOTHING, "no*.cif"),
    bad("unknown format", "ASE does not know the format", holds("hello", "bad.qqq"), "bad.qqq"),
    bad("bytes as extxyz", "UnicodeDecodeError", holds(bytes(range(256)) * 20)),
    bad("bytes as cif", "cannot be read", holds(bytes(range(256)) * 20, "bad.cif"), "bad.cif"),
    bad("bytes as traj", "not an ULM", holds(bytes(range(256)) * 20, "bad.traj"), "bad.traj"),
    bad("words as extxyz", HEAD, holds("hello\nworld\n")),
    bad("latin-1", "UnicodeDecodeError", holds(GOOD.replace("pbc=", 'n="é" pbc=').encode("latin-1"))),
    bad("cut in the atoms", "could not assign tuple", holds(GOOD[:-40])),
    bad("cut in the comment", "ends after 0 of 4 atoms|Lattice", holds(GOOD[:40])),
    bad("one atom too few", "the file ends after 4 of 5 atoms", holds("5" + GOOD[1:])),
    bad("a million million atoms", "ends after 4 of 999999999999 atoms", holds("9" * 12 + GOOD[1:])),
    bad("a number of atoms of 400 digits", HEAD, holds("9" * 400 + GOOD[1:])),
    bad("less than no atoms", f"{HEAD} '-4'", holds("-4" + GOOD[1:])),
    bad("no atoms", "there are no atoms to relax", holds("0\n\n")),
    bad("blank line first", "a blank line ends the file", holds("\n" + GOOD)),
    bad("word for a number", "could not convert string to float: 'abc'", holds(GOOD.replace(LAST, "abc"))),
    bad("wrong columns", "could not assign tuple", holds(GOOD.replace("pos:R:3", "pos:R:4"))),
    bad("a digit too many", "position of atom 3 .* inf", holds(GOOD.replace(LAST, "9" * 400))),
    bad("no such element", "KeyError: 'Xx'", holds(GOOD.replace("Cu ", "Xx "))),
    bad("NUL in a symbol", "KeyError", holds(GOOD.replace("Cu  ", "C\0u  ", 1))),
    bad("gzip cut", "EOFError", holds(gzip.compress(GOOD.encode())[:-20], "b.extxyz.gz"), "b.extxyz.gz"),
    bad("no gzip", "BadGzipFile", holds(GOOD, "b.extxyz.gz"), "b.extxyz.gz"),
    bad("position nan", r"the position of atom 1 \(Cu\) is .* nan", built(lambda: moved(np.nan))),
    bad("position 1e300", "not finite", built(lambda: moved(1e300))),
    bad("cell inf", "the cell is not finite", built(lambda: in_cell(np.diag([np.inf, 4, 4])))),
    bad("flat cell", "the cell is flat", built(lambda: in_cell([[4, 0, 0], [4, 0, 0], [0, 0, 4]]))),
    bad("two atoms on one spot", "overlap: .* 0.000 A", built(lambda: Atoms("Cu2", cell=[4] * 3, pbc=True))),
    bad("partial occupancy", "site 0 is partly occupied", holds(CIF, "bad.cif"), "bad.cif"),
    bad("not of this calculator", "EMT does not know", built(lambda: bulk("U", "fcc", 4.0))),
    bad("slice of nothing", "no structure in this slice", holds(GOOD), f"{BAD}@5"),
    bad("slice before the first", "no structure in this slice", holds(GOOD), f"{BAD}@-3"),
    bad("slice of step 0", "there is no such file", holds(GOOD), f"{BAD}@::0"),
    bad("line break in a name", r"b\\nad.extxyz: .* a line break", holds(GOOD, BROKEN), BROKEN),
    Row("one atom too many", 2, (f"frame 1 .* {HEAD} 'Cu",), holds("3" + GOOD[1:]), statuses=ONE),
    Row("blank line", 2, ("frame 1 .* a blank line",), holds(GOOD + "\n" + GOOD), statuses=ONE),
    Row("cut in the second", 2, ("frame 1 .* ends after 3 of 4",), holds(GOOD + GOOD[:-60]), statuses=ONE),
    Row("space", 0, (), holds(GOOD, "b ad.xyz"), ("b ad.xyz",), statuses={"b ad.xyz": "converged"}),
    Row("unicode", 0, (), holds(GOOD, "bäd ☃.xyz"), ("bäd ☃.xyz",), statuses={"bäd ☃.xyz": "converged"}),
    Row("quotes", 0, (), holds(GOOD, "b\"a'd=.xyz"), ("b\"a'd=.xyz",), statuses={"b\"a'd=.xyz": "converged"}),
    Row("backslash", 0, (), holds(GOOD, "b\\ad.xyz"), ("b\\ad.xyz",), statuses={"b\\ad.xyz": "converged"}),
    Row("markup", 0, (), holds(GOOD, "[bold]b.xyz"), ("[bold]b.xyz",), statuses={"[bold]b.xyz": "converged"}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_inputs(relax, row):
    check(row, relax)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(relax):
    def lock() -> None:
        Path(BAD).write_text(GOOD)
        Path(BAD).chmod(0)

    check(
        Row("no permission", 2, ("no permission to read it",), lock, repair=lambda: Path(BAD).chmod(0o600)),
        relax,
    )


def test_a_line_break_in_what_a_file_says_of_a_structure(relax):
    write_good()
    atoms = metal("Ag")
    atoms.info["comment"] = "two\nlines\r\nand more"
    write("bad.traj", atoms)
    assert relax("run", "one.extxyz", "bad.traj", "-c", "emt", "-o", OUTPUT)[::2] == (0, [])
    assert statuses() == {"one.extxyz": "converged", "bad.traj": "converged"}
    assert 'comment="two lines and more"' in frames()[1][1]


@pytest.mark.parametrize("change", ["changes", "is removed"])
def test_a_file_before_the_run_resumes(relax, change):
    write_good()
    Path(BAD).write_text(GOOD)
    command = ["run", "one.extxyz", BAD, "two.extxyz", "-c", "emt", "-o", OUTPUT]
    assert relax(*command)[::2] == (0, [])
    before = Path(OUTPUT).read_bytes()
    if change == "changes":
        write(BAD, metal("Cu", 6))
        says = "bad.extxyz: it has changed since its result was written"
    else:
        Path(BAD).unlink()
        says = "bad.extxyz: there is no such file"
    code, _, errors = relax(*command, "--resume")
    assert code == 2
    assert_said(errors, (says,))
    assert Path(OUTPUT).read_bytes() == before
