"""Runs that are reported on, and a browser."""

from __future__ import annotations

import shutil

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import write
from ase.optimize import BFGS
from report_runs import hostile_results

from benchmarks.report.browser import started


@pytest.fixture(scope="session")
def path_file(tmp_path_factory):
    """Return a trajectory of ASE's BFGS: copper, with its cell, from a strained and disordered start."""
    path = tmp_path_factory.mktemp("path") / "cu.traj"
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.rattle(0.15, seed=3)
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), trajectory=str(path), logfile=None).run(fmax=0.01, steps=40)
    return path


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory):
    """Return a file of results whose texts would run where they are not escaped."""
    path = tmp_path_factory.mktemp("hostile") / "a'b&<i>c.extxyz"
    write(path, hostile_results())
    return path


@pytest.fixture(scope="session")
def chromium():
    """Return the browser of all tests, which tells its console and its requests."""
    pytest.importorskip("selenium", reason="needs selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        driver = started((1400, 1000), logged=True)
    yield driver
    driver.quit()
