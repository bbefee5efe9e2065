"""The WBM set, from files of the Matbench Discovery data.

``wbm-initial-atoms.extxyz.zip`` holds one extended XYZ file for each material, called after its
``material_id``, such as ``wbm-1-1.extxyz``.  ``wbm-summary.csv.gz`` has a row for each material;
used here are the columns

- ``uncorrected_energy``: of the relaxed structure as VASP gave it, eV for the whole cell;
- ``e_correction_per_atom_mp2020``: what the Materials Project adds to it, eV/atom;
- ``n_sites``: atoms in the cell.

The formation energies of Matbench Discovery differ from these only by the energies of the elements, so that
errors per atom are the same.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from ase import Atoms
from ase.io import read

CORRECTED = ("chgnet",)
"""Calculators fitted to corrected energies."""


def in_order(name: str) -> list[int | str]:
    """Return a sort key that puts ``wbm-1-2`` before ``wbm-1-10``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_ids(text: str) -> list[str]:
    """Return the ids in a list with commas, or in a file: the first column of a CSV."""
    path = Path(text)
    if not path.is_file():
        return [word.strip() for word in text.split(",") if word.strip()]
    words = [line.split(",")[0].strip() for line in path.read_text().splitlines()]
    return [word for word in words if word and word != "material_id"]


def read_wbm(path: Path, ids: Sequence[str] = ()) -> list[Atoms]:
    """Return the initial structures in the file, or those of ``ids`` in their order; named in ``info``.

    Raises
    ------
    ValueError
        The file is no such archive, a structure does not read, or an id is not in it.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    with archive:
        members = {PurePosixPath(name).stem: name for name in archive.namelist() if name.endswith(".extxyz")}
        if not members:
            raise ValueError(f"{path} has no .extxyz files in it")
        for name in ids:
            if name not in members:
                raise ValueError(f"{path} has no material {name!r}")
        return [read_member(archive, members[name], name) for name in ids or sorted(members, key=in_order)]


def read_member(archive: zipfile.ZipFile, member: str, name: str) -> Atoms:
    """Return one structure of the archive."""
    try:
        atoms = read(io.StringIO(archive.read(member).decode()), format="extxyz")
    except Exception as error:  # the exceptions of ASE's readers depend on the format
        raise ValueError(f"cannot read {member}: {str(error) or type(error).__name__}") from None
    atoms.info["name"] = str(atoms.info.get("material_id", name))
    return atoms


def read_references(path: Path, names: Iterable[str], corrected: bool) -> list[float]:
    """Return the reference energies (eV/atom) of materials.

    Parameters
    ----------
    corrected
        Whether to add the correction of the Materials Project.

    Raises
    ------
    ValueError
        The file is no summary, or a material is not in it.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            table = {row["material_id"]: row for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no wbm-summary.csv.gz ({error})") from None
    energies = []
    for name in names:
        if name not in table:
            raise ValueError(f"{path} has no material {name!r}")
        row = table[name]
        try:
            energy = float(row["uncorrected_energy"]) / float(row["n_sites"])
            energies.append(energy + (float(row["e_correction_per_atom_mp2020"]) if corrected else 0.0))
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path} has no energy of {name} ({error})") from None
    return energies
