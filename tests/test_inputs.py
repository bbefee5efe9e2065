"""The structures that the command is given: folders, patterns, slices and standard input."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from relax.cli.inputs import count_inputs, named_structures
from relax.core.errors import InvalidStructure
from relax.io.named_files import expanded, is_among

RUN = ("run", "-c", "emt", "--steps", 0)


def copper(a: float = 3.6) -> Atoms:
    return bulk("Cu", cubic=True, a=a)


@pytest.fixture
def folder(relax) -> str:
    """Return a folder with structures and other things."""
    Path("in/more/deep").mkdir(parents=True)
    Path("in/.hidden").mkdir()
    write("in/b.cif", copper())
    write("in/a.extxyz", [copper(3.6 + 0.01 * n) for n in range(4)])
    write("in/POSCAR", copper(), format="vasp")
    write("in/.hidden/x.cif", copper())
    write("in/.x.cif", copper())
    write("in/more/c.cif", copper())
    write("in/more/deep/d.traj", copper())
    Path("in/notes.txt").write_text("not a structure")
    return "in"


def sources(relax, *words: object) -> list[str]:
    """Return the names of the structures of a run, each of which takes no step."""
    code, out, err = relax(*RUN, "--json", *words)
    assert (code, len(err)) == (0 if "converged" in out else 1, 1)
    return [json.loads(line)["source"] for line in out.splitlines()]


FOUR = [f"in/a.extxyz#{n}" for n in range(4)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in"], ["in/POSCAR", *FOUR, "in/b.cif"]),
        (["in/"], ["in/POSCAR", *FOUR, "in/b.cif"]),
        (["in", "--recursive"], ["in/POSCAR", *FOUR, "in/b.cif", "in/more/c.cif", "in/more/deep/d.traj"]),
        (["in/*.cif"], ["in/b.cif"]),
        (["in/**/*.cif"], ["in/b.cif", "in/more/c.cif"]),
        (["in/?.*"], [*FOUR, "in/b.cif"]),
        (["in/more", "in/b.cif"], ["in/more/c.cif", "in/b.cif"]),
    ],
)
def test_folders_and_patterns_name_their_files(relax, folder, words, expected):
    assert sources(relax, *words) == expected
    shown = relax("show", "--json", *words)[1].splitlines()
    assert [json.loads(line)["source"] for line in shown] == expected


@pytest.mark.parametrize(
    ("index", "frames"),
    [
        ("-1", [3]),
        ("0", [0]),
        ("1:3", [1, 2]),
        (":2", [0, 1]),
        ("::2", [0, 2]),
        ("-2:", [2, 3]),
        ("::-1", [3, 2, 1, 0]),
    ],
)
@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.json"])
def test_slices_are_those_of_ase(relax, name, index, frames):
    images = [copper(3.6 + 0.01 * n) for n in range(4)]
    write(name, images)
    found = list(named_structures(f"{name}@{index}"))
    assert [(source, frame) for source, frame, _ in found] == [(f"{name}#{n}", n) for n in frames]
    for (_, _, atoms), frame in zip(found, frames, strict=True):
        assert np.allclose(atoms.cell, images[frame].cell)
    assert count_inputs([f"{name}@{index}"]) == (None if name == "a.json" else len(frames))


def test_a_file_with_that_very_name_is_no_slice(relax):
    write("a.extxyz@0", [copper(), copper()], format="extxyz")
    assert [name for name, *_ in named_structures("a.extxyz@0", "extxyz")] == ["a.extxyz@0#0", "a.extxyz@0#1"]


def test_a_pattern_may_have_a_slice(relax):
    for name in ("a.traj", "b.traj"):
        write(name, [copper(), copper()])
    assert list(expanded(["*.traj@-1"])) == ["a.traj@-1", "b.traj@-1"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "no file in this folder has a format that ASE knows"),
        ("*.nonsense", "no file matches this pattern"),
        ("a.extxyz@7", "the file holds no structure in this slice"),
        ("a.extxyz@first", "there is no such file"),
        ("nofile@0", "there is no such file"),
    ],
)
def test_names_of_nothing_are_one_line(relax, name, says):
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("not a structure")
    write("a.extxyz", copper())
    code, out, err = relax(*RUN, name, "a.extxyz")
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith(f"relax: {name}: {says}")
    assert "a.extxyz" in out


def given(monkeypatch, data: bytes) -> None:
    """Put ``data`` on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_extxyz_or_another_format(relax, monkeypatch):
    write("two.extxyz", [copper(), copper(3.7)])
    write("one.cif", copper())
    write("two.traj", [copper(), copper(3.7)])
    for name, words, expected in (
        ("two.extxyz", [], ["-#0", "-#1"]),
        ("one.cif", ["--format", "cif"], ["-"]),
        ("two.traj", ["--format", "traj"], ["-#0", "-#1"]),
    ):
        given(monkeypatch, Path(name).read_bytes())
        _, _, err = relax(*RUN, "-", *words, "-o", "out.extxyz", "--force")
        assert err == []
        assert [atoms.info["source"] for atoms in read("out.extxyz", ":")] == expected
    given(monkeypatch, b"")
    code, _, err = relax(*RUN, "-")
    assert (code, err) == (2, ["relax: -: standard input holds no structure"])


def test_a_format_may_be_given(relax):
    write("odd.name", copper(), format="vasp")
    code, _, (line,) = relax(*RUN, "odd.name")
    assert code == 2
    assert "does not know the format" in line or "cannot be read" in line
    code, out, err = relax(*RUN, "odd.name", "--format", "vasp")
    assert (err, "odd.name" in out) == ([], True)
    code, out, (line,) = relax(*RUN, "odd.name", "--format", "wasp")
    assert (code, out) == (2, "")
    assert line == "relax: --format: ASE has no format 'wasp'; did you mean 'vasp'?"


@pytest.mark.parametrize("words", [["in"], ["in", "--recursive"], ["in/*"], ["in/**/*.cif"], ["in/b.cif@0"]])
@pytest.mark.parametrize("flag", ["--output", "--logfile"])
def test_outputs_overwrite_no_input(relax, folder, words, flag):
    before = Path("in/b.cif").read_bytes()
    code, out, (line,) = relax(*RUN, *words, flag, "./in/b.cif")
    assert (code, out) == (2, "")
    assert line == f"relax: {flag} ./in/b.cif would overwrite an input file; give another name"
    os.symlink("in/b.cif", "link.cif")
    assert "would overwrite an input file" in relax(*RUN, *words, flag, "link.cif")[2][0]
    assert Path("in/b.cif").read_bytes() == before


def test_an_input_in_an_inner_folder_is_one_only_if_recursive(relax, folder):
    assert is_among("in/more/c.cif", ["in"], recursive=True)
    assert not is_among("in/more/c.cif", ["in"])
    assert not is_among("in/notes.txt", ["in"])
    assert not is_among("in/new.cif", ["in", "in/*", "-"])


def test_what_a_run_writes_is_none_of_its_inputs(relax, folder):
    Path("in/written").mkdir()
    write("in/written/b.cif.traj", copper())
    write("in/out.extxyz", copper())
    left = list(expanded(["in"], True, leave_out=["in/written", "./in/out.extxyz"]))
    assert left == [
        f"in/{name}" for name in ("POSCAR", "a.extxyz", "b.cif", "more/c.cif", "more/deep/d.traj")
    ]


def test_a_run_that_writes_into_its_folder_can_resume(relax, folder):
    words = (*RUN, "in", "-o", "in/out.extxyz")
    assert relax(*words)[0] in (0, 1)
    first = read("in/out.extxyz", ":")
    assert len(first) == 6
    _, out, err = relax(*words, "--resume")
    assert err == []
    assert "6 already in in/out.extxyz" in out
    assert len(read("in/out.extxyz", ":")) == 6


def test_a_trajectory_overwrites_no_file_of_a_folder(relax):
    Path("t").mkdir()
    write("t/a.extxyz", copper())
    write("t/a.extxyz.traj", copper())
    code, _, (line,) = relax(*RUN, "t", "--trajectory", "t")
    assert code == 2
    assert "t/a.extxyz.traj would overwrite an input file" in line


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not keep this user out")
def test_a_folder_without_permission_is_told(relax):
    Path("shut").mkdir(mode=0)
    with pytest.raises(InvalidStructure, match="no permission"):
        list(named_structures("shut"))
