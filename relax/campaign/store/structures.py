"""Structures as lines of JSON, from which they come back to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import dict2constraint
from ase.io.jsonio import decode, encode

__all__ = ["atoms_of", "cost_of", "record_of"]

Json = dict[str, Any]

REACH = 5.0
"""Distance (A) of the pairs that the cost of a structure is estimated from."""

MOST_NEIGHBORS = 100
"""Most neighbours of an atom in that estimate: a cell may be far too small at the start."""

PLAIN = ("numbers", "positions", "cell", "pbc", "info", "constraints", "celldisp")


def record_of(atoms: Atoms) -> Json:
    """Return what a line says of ``atoms``, without a calculator.

    What of ``atoms.info`` JSON cannot hold, as ASE writes it, is left out.
    """
    record: Json = {"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist()}
    if any(map(any, cell := atoms.cell.array.tolist())):
        record["cell"] = cell
    if any(pbc := atoms.pbc.tolist()):
        record["pbc"] = pbc
    more: Json = {}
    if arrays := {name: array for name, array in atoms.arrays.items() if name not in PLAIN}:
        more["arrays"] = arrays
    if info := {str(name): value for name, value in atoms.info.items() if _fits(value)}:
        more["info"] = info
    if atoms.constraints:
        more["constraints"] = [constraint.todict() for constraint in atoms.constraints]
    if atoms.get_celldisp().any():
        more["celldisp"] = atoms.get_celldisp()
    if more:
        record["more"] = encode(more)
    return record


def atoms_of(record: Json) -> Atoms:
    """Return the structure of a line."""
    more = decode(record["more"]) if "more" in record else {}
    atoms = Atoms(
        numbers=record["numbers"],
        positions=np.array(record["positions"], float).reshape(-1, 3),
        cell=record.get("cell"),
        pbc=record.get("pbc", False),
        info=more.get("info"),
        celldisp=more.get("celldisp"),
    )
    for name, array in more.get("arrays", {}).items():
        atoms.set_array(name, np.asarray(array))
    if "constraints" in more:
        atoms.set_constraint([dict2constraint(each) for each in more["constraints"]])
    return atoms


def cost_of(atoms: Atoms) -> float:
    """Return the estimated cost of a force call: 1, and the pairs within 5 A at the mean density."""
    natoms = len(atoms)
    if all(atoms.pbc.tolist()) and (volume := abs(float(np.linalg.det(atoms.cell.array)))) > 0:
        neighbors = natoms / volume * 4 / 3 * math.pi * REACH**3
    else:
        neighbors = natoms - 1.0
    return round(1 + natoms * min(neighbors, MOST_NEIGHBORS), 3)


def _fits(value: Any) -> bool:
    try:
        encode(value)
    except Exception:  # whatever an object raises that JSON is no form of
        return False
    return True
