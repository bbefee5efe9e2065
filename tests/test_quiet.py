"""``--quiet``: no table and no progress, and all that is written all the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import read, write

from relax.core.process import QUIET
from relax.io.progress import progress

EMT = ("-c", "emt", "--fmax", "0.05")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def copper(relax):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    write("cu.xyz", atoms, format="extxyz")


@pytest.mark.usefixtures("copper")
def test_commands_print_no_table(relax):
    loud = relax("run", "cu.xyz", *EMT, "-o", "loud.xyz", "--trajectory", "cu.traj")
    assert loud[0] == 0
    assert "converged" in loud[1]
    assert relax("run", "cu.xyz", *EMT, "-o", "soft.xyz", "--quiet") == (0, "", [])
    assert read("soft.xyz").get_potential_energy() == read("loud.xyz").get_potential_energy()
    assert relax("plot", "cu.traj", "-q") == (0, "", [])
    assert relax("report", "cu.traj", "-q")[:2] == (0, "")
    assert Path("curves.png").exists()
    assert Path("report.html").exists()


@pytest.mark.usefixtures("copper")
def test_what_is_asked_for_and_messages_stay(relax):
    code, out, _ = relax("run", "cu.xyz", *EMT, "--quiet", "--json")
    assert (code, out.count("\n")) == (0, 1)
    code, out, err = relax("run", "cu.xyz", "none.xyz", *EMT, "--quiet")
    assert (code, out) == (2, "")
    assert any("none.xyz" in line for line in err)


@pytest.mark.usefixtures("copper")
def test_campaigns_and_comparisons_are_quiet_too(relax):
    assert relax("compare", "cu.xyz", *EMT, "--rules", "default", "--rattle", "0", "-q")[:2] == (0, "")
    assert relax("campaign", "init", "metals", "cu.xyz", *EMT, "-q")[:2] == (0, "")
    assert relax("campaign", "run", "metals", "--workers", "1", "-q")[:2] == (0, "")


def test_a_bar_is_shown_on_a_terminal_unless_all_is_quiet(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for quiet in (False, True):
        stream = Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        before = QUIET.set(quiet)
        with progress() as bar:
            bar.start(3)
            bar.advance()
        QUIET.reset(before)
        assert bool(stream.getvalue()) is not quiet
