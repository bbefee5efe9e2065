"""Commands that draw, given what is wrong: one line, exit code 2, and nothing written."""

from __future__ import annotations

import os
import re

import pytest
from ase.build import molecule
from ase.io import write
from report_runs import computed


@pytest.fixture
def run(relax):
    """Return the command in a folder with a path of a run, a structure, and files that are neither."""
    write("path.traj", [computed(molecule("H2O"), energy) for energy in (1.0, 0.0)])
    write("bare.xyz", molecule("H2O"))
    open("empty.extxyz", "w").close()
    with open("text.extxyz", "w") as file:
        file.write("not a structure\n")
    os.mkdir("folder")
    return relax


@pytest.mark.parametrize("command", ["report", "plot"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nothing.traj", "there is no such file"),
        ("empty.extxyz", "the file is empty|there is no structure in it"),
        ("text.extxyz", "expected a number of atoms"),
        ("bare.xyz", "frame 0 has no energy"),
    ],
)
def test_bad_inputs(run, tmp_path, command, source, words):
    before = sorted(os.listdir(tmp_path))
    code, out, err = run(command, source, "-o", "a.html" if command == "report" else "a.png")
    assert (code, out, len(err)) == (2, "", 1)
    assert re.search(words, err[0])
    assert source in err[0]
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "folder", "-o", "a.html"), "is no campaign"),
        (("campaign", "report", "folder", "-o", "a.html"), "is no campaign"),
        (("report", "path.traj", "-o", "nowhere/a.html"), "there is no folder"),
        (("report", "path.traj", "-o", "path.traj", "--force"), "would overwrite the input"),
        (("report", "path.traj", "-o", "folder", "--force"), "is a folder"),
        (("report", "path.traj", "-o", "a.html", "--limit", "1"), "--limit must be 2 or more"),
        (("plot", "path.traj", "-o", "a.txt"), "give a name in .png, .svg, .pdf"),
        (("plot", "path.traj", "-o", "nowhere/a.png"), "there is no folder"),
        (("plot", "path.traj", "bare.xyz", "-o", "a.png"), "bare.xyz: frame 0 has no energy"),
    ],
)
def test_bad_outputs_and_options(run, tmp_path, words, said):
    before = sorted(os.listdir(tmp_path))
    code, out, err = run(*words)
    assert (code, out, len(err)) == (2, "", 1), err
    assert said in err[0]
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(("command", "name"), [("report", "a.html"), ("plot", "a.png")])
def test_what_is_there_is_replaced_only_if_asked(run, tmp_path, command, name):
    (tmp_path / name).write_text("mine")
    code, _, err = run(command, "path.traj", "-o", name)
    assert code == 2
    assert err == [f"relax: --output {name} exists; add --force to replace it, or give another name"]
    assert (tmp_path / name).read_text() == "mine"
    assert run(command, "path.traj", "-o", name, "--force")[0] == 0
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(run, tmp_path):
    (tmp_path / "folder").chmod(0o500)
    code, _, err = run("report", "path.traj", "-o", "folder/a.html")
    assert (code, len(err)) == (2, 1)


def test_the_output_says_what_was_written(run, tmp_path):
    code, out, err = run("report", "path.traj", "-o", "a.html", "--title", "Water")
    assert code == 0
    assert out.startswith("a.html: H2O, 2 frames")
    assert err == ["relax: The file does not say how many force calls there were: each frame counts as one."]
    assert "<title>Water</title>" in (tmp_path / "a.html").read_text()


def test_libraries_are_those_that_are_named():
    import hashlib
    import json
    from importlib.resources import files

    folder = files("relax.analysis.report") / "assets" / "vendor"
    versions = json.loads((folder / "versions.json").read_text())
    named = {name: digest for each in versions.values() for name, digest in each.items() if name != "version"}
    assert named.keys() | {"versions.json"} == {each.name for each in folder.iterdir()}
    for name, digest in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
