"""Fixtures of the tests of benchmarks."""

from __future__ import annotations

import gzip
import zipfile

import pytest
from ase.build import bulk
from ase.io import write
from commands import alloy


@pytest.fixture
def wbm(tmp_path):
    """Return the structures and the summary of two materials, as in the files of Matbench Discovery."""
    path, summary = tmp_path / "wbm-initial-atoms.extxyz.zip", tmp_path / "wbm-summary.csv.gz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, atoms in (("wbm-1-10", alloy()), ("wbm-1-2", bulk("Cu", a=3.8))):
            atoms.info["material_id"] = name
            write(tmp_path / "x.extxyz", atoms)
            archive.write(tmp_path / "x.extxyz", f"{name}.extxyz")
    with gzip.open(summary, "wt") as file:
        file.write(
            "material_id,formula,n_sites,uncorrected_energy,e_correction_per_atom_mp2020\n"
            "wbm-1-10,Cu1 Au1,2,3.0,-0.5\nwbm-1-2,Cu1,1,0.004,0\n"
        )
    return path, summary
