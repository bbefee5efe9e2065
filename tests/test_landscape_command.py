"""``relax landscape``: pictures and numbers of paths, and bad input."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from helpers import cluster

import relax as package
from relax.analysis.landscape import api

FAST = ("-c", "lj", "--calc-set", "sigma=2.25", "--points", 4)


@pytest.fixture
def paths(tmp_path):
    """Return the names of two trajectories of one cluster."""
    for name, seed in (("fire", 0), ("core", 1)):
        rng, start = np.random.default_rng(seed), cluster(7)
        frames = [Atoms("Ar7", start + share * rng.normal(0, 0.1, (7, 3))) for share in (0, 0.5, 1, 1)]
        write(tmp_path / f"{name}.traj", frames)
    return "fire.traj", "core.traj"


@pytest.fixture
def undrawn(monkeypatch):
    """Replace the picture by its options, which are written in its place."""

    def draw(self, path, **options):
        Path(path).write_text(f"{self.names} {options}")

    monkeypatch.setattr(package.Landscape, "draw", draw)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_in_each_format(relax, paths, suffix):
    code, _, err = relax("landscape", *paths, *FAST, "-o", f"out.{suffix}")
    assert (code, err) == (0, [])
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert Path(f"out.{suffix}").read_bytes().startswith(begins)
    assert sorted(os.listdir()) == ["core.traj", "fire.traj", f"out.{suffix}"]


def test_the_table_and_the_numbers(relax, paths, undrawn):
    code, out, err = relax("landscape", *paths, *FAST, "-o", "out.png", "--data", "out.npz")
    assert (code, err) == (0, [])
    found = package.Landscape.load("out.npz")
    assert found.names == ("fire", "core")
    assert found.calculator == "lj"
    assert found.energies.shape == (4, 4)
    for line in found.lines():
        assert line in out
    for name, ends, there, apart in zip(
        found.names, found.ends, found.on_plane, found.distances, strict=True
    ):
        row = next(line for line in out.splitlines() if line.startswith(name)).split()
        assert row[1:] == ["4", *(f"{energy:.4f}" for energy in (*ends, there)), f"{apart.max():.3g}"]
    calculator = package.calculators.registry.load("lj", settings={"sigma": 2.25})
    for frame, energy in ((0, found.ends[0, 0]), (-1, found.ends[0, 1])):
        atoms = read("fire.traj", frame)
        atoms.calc = calculator
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)


def test_numbers_are_drawn_again_without_a_calculator(relax, paths, undrawn, monkeypatch):
    relax("landscape", *paths, *FAST, "-o", "out.png", "--data", "out.npz", "--quiet")
    monkeypatch.setattr(api, "landscape", lambda *_, **__: pytest.fail("nothing is to be computed"))
    words = ("--per-atom", "--highest", 2, "--title", "T", "--label", "one", "--label", "two")
    code, out, err = relax("landscape", "out.npz", "-o", "again.svg", *words)
    assert (code, err) == (0, [])
    assert out.splitlines()[2].startswith("one")
    options = {"per_atom": True, "highest": 2.0, "title": "T"}
    assert Path("again.svg").read_text() == f"{('one', 'two')} {options}"


def test_a_quiet_command_prints_nothing(relax, paths, undrawn):
    assert relax("landscape", *paths, *FAST, "-o", "out.png", "-q") == (0, "", [])


def test_names_of_files_tell_them_apart(relax, paths, undrawn):
    Path("a").mkdir()
    Path("a/fire.traj").write_bytes(Path("fire.traj").read_bytes())
    relax("landscape", "fire.traj", "a/fire.traj", *FAST, "-o", "out.png")
    assert Path("out.png").read_text().startswith("('fire.traj', 'a/fire.traj')")


def test_other_planes(relax, paths, undrawn):
    three = [word for frame in (0, 2, 2) for word in ("--through", f"core.traj@{frame}")]
    code, out, err = relax("landscape", "fire.traj", *FAST, *three, "-o", "out.png", "--data", "out.npz")
    assert (code, err) == (2, ["relax: the three structures are on one line, and span no plane; give others"])
    three[3] = "fire.traj@2"
    code, out, err = relax("landscape", "core.traj", *FAST, *three, "-o", "out.png", "--data", "out.npz")
    assert (code, err) == (0, [])
    found = package.Landscape.load("out.npz")
    assert found.names == ("core", "through")
    assert found.distances[1].max() < 1e-9
    words = ("--plane", "modes", "-o", "out.png", "--data", "out.npz", "--force", "--reach", 0.1)
    code, out, err = relax("landscape", "core.traj@-1", *FAST, *words)
    assert (code, err) == (0, [])
    found = package.Landscape.load("out.npz")
    assert found.labels[0].startswith("softest mode, ")
    assert found.x[-1] - found.x[0] == pytest.approx(0.2)
    assert "variance" not in out


def test_files_that_exist_are_kept_unless_forced(relax, paths, undrawn):
    Path("out.png").write_text("mine")
    words = ("landscape", *paths, *FAST, "-o", "out.png", "--data", "out.npz")
    code, out, err = relax(*words)
    assert (code, out) == (2, "")
    assert err == ["relax: --output out.png exists; add --force to replace it, or give another name"]
    assert Path("out.png").read_text() == "mine"
    assert not Path("out.npz").exists()
    assert relax(*words, "--force")[0] == 0
    assert Path("out.png").read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("fire.traj", "-o", "out.png"),
            "no calculator is given; add that of the runs, such as --calculator emt",
        ),
        (("fire.traj", "-o", "out.png", "-c", "etm"), "unknown calculator 'etm'"),
        (("fire.traj", *FAST), "no picture is named; add --output"),
        (("fire.traj", *FAST, "-o", "out.bmp"), "--output out.bmp: give a name in .png, .svg, .pdf"),
        (("fire.traj", *FAST, "-o", "no/out.png"), "--output no/out.png: there is no folder"),
        (("fire.traj", *FAST, "-o", "folder.png"), "--output folder.png is a folder"),
        (("fire.traj", *FAST, "-o", "out.png", "--data", "out.json"), "--data out.json: give a name in .npz"),
        (("fire.traj", *FAST, "-o", "out.png", "--plane", "pcs"), "--plane must be pca or modes"),
        (("fire.traj", *FAST, "-o", "out.png", "--points", 1), "--points must be 2 or more (got 1)"),
        (("fire.traj", *FAST, "-o", "out.png", "--margin", -1), "--margin must be 0 or more"),
        (("fire.traj", *FAST, "-o", "out.png", "--through", "core.traj"), "three structures (got 4)"),
        (
            ("fire.traj", *FAST, "-o", "out.png", "--through", "core.traj", "--plane", "modes"),
            "--through and --plane both choose the plane",
        ),
        (
            ("fire.traj", *FAST, "-o", "out.png", "--label", "a", "--label", "b"),
            "there are 1 paths, and 2 names",
        ),
        (("fire.traj", "fire.traj", *FAST, "-o", "out.png"), "two paths have the same name"),
        (("nowhere.traj", *FAST, "-o", "out.png"), "nowhere.traj: there is no such file"),
        (("nowhere.npz", "-o", "out.png"), "nowhere.npz: there is no such file"),
        (("notes.npz", "-o", "out.png"), "notes.npz holds no landscape"),
        (("fire.traj@0", *FAST, "-o", "out.png"), "1 structure has no two principal components"),
        (("fire.traj@2:", *FAST, "-o", "out.png"), "2 structures have no two principal components"),
        (
            ("fire.traj", "cu.xyz", *FAST, "-o", "out.png"),
            "cu, frame 0 is Cu4, and not Ar7; a landscape needs",
        ),
        (
            ("fire.traj", "-c", "emt", "-o", "out.png"),
            "fire: the calculator has no energy for its first frame",
        ),
    ],
)
def test_bad_input_is_one_line(relax, paths, undrawn, words, message):
    Path("notes.npz").write_text("my notes")
    Path("folder.png").mkdir()
    write("cu.xyz", bulk("Cu", cubic=True))
    before = sorted(os.listdir())
    code, out, err = relax("landscape", *words)
    assert (code, out, len(err)) == (2, "", 1)
    assert message in err[0]
    assert sorted(os.listdir()) == before


def test_an_interrupted_command_leaves_nothing(relax, paths, undrawn, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "energies", interrupted)
    code, out, err = relax("landscape", *paths, *FAST, "-o", "out.png", "--data", "out.npz")
    assert (code, out) == (128 + signal.SIGINT, "")
    assert err == ["relax: stopped before the grid was complete; nothing is written"]
    assert sorted(os.listdir()) == ["core.traj", "fire.traj"]
