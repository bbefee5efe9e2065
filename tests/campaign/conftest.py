"""Fixtures of the tests of campaigns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

ROOT = Path(__file__).parents[2]

CALCULATORS = """
import os, resource, time
from ase.calculators.emt import EMT

class Faulty(EMT):
    def calculate(self, atoms=None, *others, **more):
        symbols = set(atoms.symbols)
        if "Pd" in symbols:
            os.abort()
        if "Pt" in symbols:
            while True:
                time.sleep(0.01)
        super().calculate(atoms, *others, **more)

def faulty():
    return Faulty()

class Slow(EMT):
    def calculate(self, *others, **more):
        time.sleep(0.05)
        super().calculate(*others, **more)

def slow():
    return Slow()

def on_a_full_disk():
    if not os.path.exists('room'):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    return EMT()
"""


@pytest.fixture(scope="module", autouse=True)
def index_of_module(tmp_path_factory):
    """Keep the indices of campaigns that several tests look at in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAX_INDEX_DIR", str(tmp_path_factory.mktemp("index")))
        yield


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Have a folder of its own for the index and for all else, with a module of calculators."""
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    Path("calculators_of_tests.py").write_text(CALCULATORS)
    yield tmp_path
    sys.modules.pop("calculators_of_tests", None)


@pytest.fixture(scope="module")
def shared_index(tmp_path_factory):
    """Have a folder for the indices of campaigns that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAX_INDEX_DIR", str(tmp_path_factory.mktemp("index")))
        yield


@pytest.fixture
def crystals():
    """Return a function that makes rattled crystals of metals."""

    def make(number, metals=("Cu", "Al", "Ni", "Ag"), seed=0):
        rng = np.random.default_rng(seed)
        found = []
        for k in range(number):
            atoms = bulk(metals[k % len(metals)], cubic=True)
            atoms.rattle(0.08, rng=rng)
            found.append(atoms)
        return found

    return make


@pytest.fixture
def driver():
    """Return a function that starts ``relax campaign ...`` in a process; all are ended after the test."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "relax", "campaign", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
