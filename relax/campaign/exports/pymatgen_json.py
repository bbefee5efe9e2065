"""Structures of pymatgen as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from relax.calculators.optional import silence_output
from relax.campaign.exports.needed import needed
from relax.campaign.exports.words import plain_columns, plain_info
from relax.campaign.outcome import Outcome

__all__ = ["pymatgen_of", "structure_line", "write_pymatgen_json"]

SMALLEST_VOLUME = 1e-6
"""Volume (A^3) of a cell below which it counts as flat."""


def write_pymatgen_json(part: Path, rows: Iterable[tuple[Outcome, dict[str, Any]]]) -> None:
    """Write an object a line: columns, ``info`` of the input, and ``structure`` as pymatgen writes it.

    Parameters
    ----------
    part
        The file.
    rows
        The structures, and other columns of each.

    Raises
    ------
    UsageError
        pymatgen is not installed.
    """
    with open(part, "w", encoding="utf-8", newline="\n") as file:
        for outcome, more in rows:
            line = plain_columns(outcome, more) | {"info": plain_info(outcome)}
            file.write(structure_line(line, outcome.atoms))


def structure_line(line: dict[str, Any], atoms: Atoms) -> str:
    """Return a line of JSON that says ``line`` and the structure of ``atoms``, null if there is none."""
    found = pymatgen_of(atoms)
    plain = {"structure": None if found is None else found.as_dict()}
    return f"{json.dumps(line | plain, separators=(',', ':'), default=_number, allow_nan=False)}\n"


def pymatgen_of(atoms: Atoms) -> Any:
    """Return a Structure of pymatgen; a Molecule for atoms that are periodic nowhere.

    It has the elements, the positions and the cell alone.  None for no atoms, for positions that are not
    finite and for a flat cell.

    Raises
    ------
    UsageError
        pymatgen is not installed.
    """
    with needed("pymatgen", "pymatgen"):
        from pymatgen.core.structure import Molecule
        from pymatgen.io.ase import AseAtomsAdaptor

    if len(atoms) == 0 or not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return None
    with silence_output():
        if not atoms.pbc.any():
            return Molecule(list(atoms.symbols), atoms.positions)
        cell = complete_cell(atoms.cell.array)
        if abs(np.linalg.det(cell)) < SMALLEST_VOLUME:
            return None
        return AseAtomsAdaptor.get_structure(Atoms(atoms.numbers, atoms.positions, cell=cell, pbc=atoms.pbc))


def _number(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON has no form of a {type(value).__name__}")
