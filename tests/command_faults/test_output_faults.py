"""Outputs that cannot be written or continued: no finished structure is lost or there twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ase.io import read, write
from fault_rows import OUTPUT, assert_said, metal, statuses, write_good
from filelock import FileLock

from relax.io.outputs import results_file

pytestmark = pytest.mark.faults

NAMES = ("one.extxyz", "two.extxyz")
COMMAND = ("run", *NAMES, "-c", "emt")
ALL = dict.fromkeys(NAMES, "converged")


def finished(relax) -> bytes:
    """Write the good structures and relax them; return the output."""
    write_good()
    assert relax(*COMMAND, "-o", OUTPUT)[::2] == (0, [])
    return Path(OUTPUT).read_bytes()


def left() -> set[str]:
    return {path.name for path in Path().iterdir()} - {*NAMES}


@pytest.mark.parametrize(
    ("words", "setup", "says"),
    [
        (["-o", "no/out.extxyz"], None, "there is no folder"),
        (["-o", "folder"], lambda: Path("folder").mkdir(), "--output folder exists"),
        (["-o", "folder", "--force"], lambda: Path("folder").mkdir(), "--output folder: .*not a plain file"),
        (["-o", OUTPUT], lambda: Path(OUTPUT).write_text("notes"), f"--output {OUTPUT} exists; add --resume"),
        (["-o", OUTPUT], lambda: os.symlink("no/where", OUTPUT), "exists|there is no folder"),
        (["-o", "one.extxyz"], None, "would overwrite an input file"),
        (["-o", "out.qqq"], None, "does not know this format"),
        (["-o", OUTPUT, "--logfile", OUTPUT], None, "are the same file"),
        (["-o", OUTPUT, "--logfile", "no/log"], None, "there is no folder"),
        (["-o", OUTPUT, "--logfile", "{nme}.log"], None, "this is no pattern"),
        (["-o", OUTPUT, "--trajectory", "no/t.traj"], None, "there is no folder"),
        (["-o", OUTPUT, "--trajectory", "t.traj"], None, "one file for several structures"),
        (["--resume"], None, "--resume"),
        (["-o", OUTPUT, "--resume", "--force"], None, "give one of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_output_that_cannot_be(relax, words, setup, says):
    write_good()
    if setup:
        setup()
    before = left()
    code, _, errors = relax(*COMMAND, *words)
    assert code == 2
    assert_said(errors, (says,))
    assert left() == before


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        (None, ["--rule", "fire"], "written with the rule 'internal-lbfgs', not 'fire'"),
        (None, ["--fmax", "0.01"], "written with the options .*fmax=0.05"),
        (None, ["-c", "lj"], "written with the options .*calculator=emt"),
        (None, ["--calc-set", "asap_cutoff=True"], "written with the options"),
        (lambda data: b"4\n\n" + b"Cu 0 0 0\n" * 4, [], "was not written by relax run"),
        (lambda data: b"4\nProperties=species:S:1:pos:R:3\nCu 0 0 0\n", [], "was not written by relax run"),
        (lambda data: b"hello\n", [], "expected a number of atoms"),
        (lambda data: data.replace(b"\n4\n", b"\n\n4\n"), [], "a blank line ends the file"),
        (lambda data: data + b"\nhello\n", [], "a blank line ends the file"),
        (lambda data: b"9" + data[1:], [], "frame 0, of one.extxyz, is damaged"),
        (lambda data: b"99" + data[1:], [], "frame 0 is damaged"),
        (lambda data: b"3" + data[1:], [], "expected a number of atoms"),
        (lambda data: data.replace(b"\nCu", b"\n\x00\xff", 1), [], "is damaged"),
        (lambda data: data.replace(b"\nCu  ", b"\nCu abc ", 1), [], "is damaged"),
        (lambda data: data.replace(b"relax_rule=", b"relax_rul\x80=", 1), [], "not written by relax run"),
    ],
    ids=[
        "rule", "options", "calculator", "calculator settings", "foreign", "foreign and cut", "words",
        "blank line", "words at the end", "too many atoms", "far too many atoms", "too few atoms", "bytes",
        "a word among numbers", "a byte in a key",
    ],
)  # fmt: skip
def test_an_output_that_is_not_continued(relax, change, more, says):
    data = finished(relax)
    if change:
        data = change(data)
        Path(OUTPUT).write_bytes(data)
    command = [*COMMAND, "-o", OUTPUT, *more]
    code, _, errors = relax(*command, "--resume")
    assert code == 2
    assert_said(errors, (says,))
    assert Path(OUTPUT).read_bytes() == data
    assert left() == {OUTPUT}
    relax(*command, "--force")
    assert set(statuses()) == {*NAMES}


def test_a_trajectory_is_not_continued(relax):
    write_good()
    write(OUTPUT, metal("Cu"), format="traj")
    before = Path(OUTPUT).read_bytes()
    code, _, errors = relax(*COMMAND, "-o", OUTPUT, "--resume")
    assert code == 2
    assert_said(errors, ("cannot resume from",))
    assert Path(OUTPUT).read_bytes() == before


@pytest.mark.parametrize("kept", ["nothing", "a line break less", "Windows line breaks"])
def test_an_output_that_is_continued(relax, kept):
    data = finished(relax)
    changed = {
        "nothing": b"",
        "a line break less": data[:-1],
        "Windows line breaks": data.replace(b"\n", b"\r\n"),
    }[kept]
    Path(OUTPUT).write_bytes(changed)
    assert relax(*COMMAND, "-o", OUTPUT, "--resume")[::2] == (0, [])
    assert statuses() == ALL
    if kept != "Windows line breaks":
        assert Path(OUTPUT).read_bytes() == data


@pytest.mark.slow
def test_an_output_cut_at_any_byte(relax):
    data = finished(relax)
    first = data.index(b"\n4\n") + 1
    for cut in range(len(data)):
        Path(OUTPUT).write_bytes(data[:cut])
        results = results_file.ResultsFile(OUTPUT, OUTPUT, "internal-lbfgs", "calculator=emt fmax=0.05", True)
        assert results.finished_before["converged"] == int(cut >= first), cut
        results.open()
        results.close()
        whole = data[:first] if cut >= first else b""
        assert Path(OUTPUT).read_bytes() == whole, cut


@pytest.mark.parametrize("place", ["head", "comment", "first atom", "last atom", "second", "last byte"])
def test_an_output_that_was_cut_is_completed(relax, place):
    data = finished(relax)
    first = data.index(b"\n4\n") + 1
    cut = {
        "head": 1, "comment": 60, "first atom": data.index(b"\nCu") + 9, "last atom": first - 1,
        "second": first + 70, "last byte": len(data) - 1,
    }[place]  # fmt: skip
    Path(OUTPUT).write_bytes(data[:cut])
    assert relax(*COMMAND, "-o", OUTPUT, "--resume")[::2] == (0, [])
    assert Path(OUTPUT).read_bytes() == data
    assert left() == {OUTPUT}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("where", ["at once", "in the middle"])
def test_a_full_disk(relax, monkeypatch, number, where):
    data = finished(relax)
    Path(OUTPUT).unlink()
    frame = data.index(b"\n4\n") + 1
    room = frame + (100 if where == "in the middle" else 0)

    def little(*args, **kwargs):
        return Disk(open(*args, **kwargs), room, number)

    monkeypatch.setattr(results_file, "open", little, raising=False)
    code, out, errors = relax(*COMMAND, "-o", OUTPUT)
    assert code == 2
    assert_said(errors, (f"--output {OUTPUT}: {os.strerror(number)}",))
    assert Path(OUTPUT).read_bytes() == data[:frame]
    assert "1 unfinished structure was dropped" in out or "1 of 1 converged" in out
    monkeypatch.setattr(results_file, "open", open)
    assert relax(*COMMAND, "-o", OUTPUT, "--resume")[::2] == (0, [])
    assert Path(OUTPUT).read_bytes() == data


@pytest.mark.parametrize("name", ["out.cif", "out.db", "out.traj"])
def test_a_full_disk_under_a_whole_file(relax, monkeypatch, name):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_good()
    with monkeypatch.context() as patch:
        patch.setattr("relax.io.write.os.replace", full)
        code, out, errors = relax(*COMMAND, "-o", name)
    assert code == 2
    assert_said(errors, (f"--output {name}: .*No space left on device.*the structures are in {name}.extxyz",))
    assert "2 of 2 converged" in out
    assert left() == {f"{name}.extxyz"}
    code, out, errors = relax(*COMMAND, "-o", name, "--resume")
    assert (code, errors) == (0, [])
    assert f"2 already in {name}" in out
    assert len(read(name, ":")) == 2


class Disk:
    """A file for which there is little room."""

    def __init__(self, file, room, number):
        self.file, self.room, self.number = file, room, number

    def write(self, data):
        if self.room == 0:
            raise OSError(self.number, os.strerror(self.number))
        written = self.file.write(data[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __iter__(self):
        return iter(self.file)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_the_log(relax):
    write_good()
    code, _, errors = relax(*COMMAND, "-o", OUTPUT, "--logfile", "/dev/full")
    assert code == 2
    assert_said(errors, ("--logfile /dev/full: No space left on device",))
    assert not Path(OUTPUT).exists()


@pytest.mark.parametrize("name", ["out.cif", "out.db", "out.json", "out.xyz", "out.traj"])
def test_formats(relax, name):
    write_good()
    assert relax(*COMMAND, "-o", name)[::2] == (0, [])
    assert len(read(name, ":")) == 2
    assert left() == ({name} if name == "out.xyz" else {name, f"{name}.extxyz"})
    assert relax("show", name)[::2] == (0, [])
    assert relax(*COMMAND, "-o", name, "--resume")[::2] == (0, [])
    assert len(read(name, ":")) == 2


def test_a_format_of_one_structure(relax):
    write_good()
    code, _, errors = relax(*COMMAND, "-o", "out.vasp")
    assert code == 2
    assert_said(errors, ("--output out.vasp: cannot be written",))
    assert left() == set()


def test_two_writers(relax):
    write_good()
    Path(f".{OUTPUT}.lock").touch()  # of a process that was killed
    with FileLock(f".{OUTPUT}.lock"):
        code, _, errors = relax(*COMMAND, "-o", OUTPUT)
        assert code == 2
        assert_said(errors, (f"--output {OUTPUT}: .* is writing this file; wait for it",))
    assert relax(*COMMAND, "-o", OUTPUT)[::2] == (0, [])
    assert statuses() == ALL
    assert left() == {OUTPUT}
