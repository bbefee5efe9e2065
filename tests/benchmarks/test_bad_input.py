"""Bad input of every benchmark's command ends in one line on stderr and exit code 2."""

from __future__ import annotations

import numpy as np
import pytest
from commands import ROOT, call

from benchmarks.crystals.__main__ import main as crystals
from benchmarks.descents.__main__ import main as descents
from benchmarks.lj38.__main__ import main as lj38
from benchmarks.lj38.clusters import random_clusters, read_starts
from benchmarks.metals.__main__ import main as metals
from benchmarks.molecules.__main__ import main as molecules

NO_RESULTS = (["--render", "pyproject.toml"], "holds no results")
CASES = [
    (crystals, ["--structures", "nowhere.cif"], "cannot read nowhere.cif"),
    (crystals, ["--wbm", "nowhere.zip"], "cannot read nowhere.zip"),
    (crystals, [], "give one of --structures"),
    (crystals, ["--wbm-like", 3, "--structures", "x.cif"], "give one of --structures"),
    (crystals, ["--wbm-like", 3, "--optimizers", "core,ase:FIRRE"], "did you mean 'ase:FIRE'"),
    (crystals, ["--wbm-like", 3, "--calculator", "chgne"], "did you mean 'chgnet'"),
    (crystals, *NO_RESULTS),
    (descents, ["--json", "pyproject.toml", "--render"], "holds no results"),
    (lj38, ["--optimizers", "fire,ase:FIRRE"], "did you mean 'ase:FIRE'"),
    (lj38, ["--start", "nowhere.xyz"], "cannot read clusters from nowhere.xyz"),
    (lj38, ["--start", "pyproject.toml"], "cannot read clusters from pyproject.toml"),
    (lj38, *NO_RESULTS),
    (metals, ["--atoms", 32, "--optimizers", "ase:FIRRE"], "did you mean 'ase:FIRE'"),
    (metals, ["--atoms", 32, "--optimizers", "no-such-rule"], "there is no optimizer 'no-such-rule'"),
    (metals, *NO_RESULTS),
    (molecules, ["--calculator", "xtbb"], "there is no calculator 'xtbb'"),
    (molecules, ["--set", "g2", "--calculator", "emt", "--only", "H2O,H3O"], "has no molecule 'H3O'"),
    (molecules, ["--set", "g2", "--calculator", "emt", "--only", "O"], "no molecule is left"),
    (molecules, ["--calculator", "emt", "--optimizers", "core,ase:FIRRE"], "did you mean 'ase:FIRE'"),
    (molecules, ["--optimizers", "no-such-rule"], "there is no optimizer 'no-such-rule'"),
    (molecules, *NO_RESULTS),
]


@pytest.mark.parametrize(
    ("main", "words", "message"),
    CASES,
    ids=[f"{main.__module__.split('.')[1]} {' '.join(map(str, words))}" for main, words, _ in CASES],
)
def test_bad_input_ends_in_one_line(main, words, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    if main is crystals and "--calculator" not in words:
        words = ["--calculator", "emt", *words]
    done = call(main, *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_files_without_clusters_are_rejected(tmp_path):
    path, starts = tmp_path / "x.npy", random_clusters(2, 38)
    for array, message in ((np.zeros((3, 3)), "has no clusters"), (starts * np.nan, "has no clusters")):
        np.save(path, array)
        with pytest.raises(ValueError, match=message):
            read_starts(path, None)
    np.save(path, starts)
    with pytest.raises(ValueError, match="has 2 clusters, and --n asks for 5"):
        read_starts(path, 5)
