"""Whether a structure can be relaxed at all."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import combinations

import numpy as np
from ase import Atoms

from relax.core.errors import InvalidStructure
from relax.geometry.neighbors import FAR, distances

__all__ = ["check_structure", "digest"]

OVERLAP = 0.1
"""Distance (A) below which two atoms overlap."""

FEW = 16
"""Atoms that are compared with each other, where that is cheaper than a search for pairs."""

PAIR_CUTOFF = 1.5
"""Distance (A) of the pairs that are searched: neighbour lists are slow for cutoffs far below this."""


def digest(atoms: Atoms) -> str:
    """Return 16 digits that tell a structure from others: elements, positions, cell, constraints, charges.

    Positions and cell count to 1e-8 A.
    """
    lengths = np.concatenate([atoms.cell.array, atoms.positions]).round(8) + 0.0  # no negative zeros
    parts = [atoms.numbers.astype("<i8").tobytes(), lengths.astype("<f8").tobytes(), atoms.pbc.tobytes()]
    for name in ("initial_charges", "initial_magmoms"):
        parts.append(atoms.arrays[name].tobytes() if name in atoms.arrays else bytes(8 * len(atoms)))
    found = hashlib.sha256(b"".join(parts))
    for constraint in atoms.constraints:
        found.update(
            json.dumps(constraint.todict(), default=lambda value: np.asarray(value).tolist()).encode()
        )
    return found.hexdigest()[:16]


def check_structure(atoms: Atoms) -> None:
    """Raise InvalidStructure if ``atoms`` cannot be relaxed.

    Raises
    ------
    InvalidStructure
        There are no atoms; a position or the cell is not finite; the cell is flat along a periodic
        direction; a site is partly occupied; or two atoms, or an atom and its own image, are nearer than
        :data:`OVERLAP`.
    """
    if len(atoms) == 0:
        raise InvalidStructure("there are no atoms to relax")
    plain = _is_plain(atoms)
    if not plain:
        _check_finite(atoms)
    _check_occupancy(atoms)
    if not plain:
        _check_distances(atoms)


def _is_plain(atoms: Atoms) -> bool:
    """Return whether these are few atoms in no periodic cell that are finite and apart.

    This is quick, and most small molecules are so.
    """
    if len(atoms) > FEW or any(atoms.pbc.tolist()):
        return False
    rows = atoms.positions.tolist()
    if not all(abs(x) < FAR for row in rows + atoms.cell.array.tolist() for x in row):
        return False
    return all(math.dist(one, other) > 2 * OVERLAP for one, other in combinations(rows, 2))


def _check_finite(atoms: Atoms) -> None:
    if not np.isfinite(atoms.positions).all():
        i = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise InvalidStructure(f"the position of atom {i} ({atoms.symbols[i]}) is {atoms.positions[i]}")
    if not np.isfinite(atoms.cell.array).all():
        raise InvalidStructure("the cell is not finite")
    periodic = atoms.cell.array[atoms.pbc]
    if len(periodic) and np.linalg.matrix_rank(periodic) < len(periodic):
        raise InvalidStructure("the cell is flat along a periodic direction; give it a vector there")


def _check_distances(atoms: Atoms) -> None:
    try:
        first, second, apart = distances(atoms.positions, atoms.cell.array, atoms.pbc, PAIR_CUTOFF)
    except ValueError as error:
        raise InvalidStructure(str(error)) from error
    overlaps = np.flatnonzero(apart < OVERLAP)
    if len(overlaps):
        first, second, apart = first[overlaps], second[overlaps], apart[overlaps]
        found = np.lexsort((apart, second, first))[0]
        i, j = first[found], second[found]
        pair = f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]})"
        if i == j:
            pair = f"atom {i} ({atoms.symbols[i]}) and its periodic image"
        raise InvalidStructure(f"{pair} overlap: they are {apart[found]:.3f} A apart")


def _check_occupancy(atoms: Atoms) -> None:
    for site, shares in (atoms.info.get("occupancy") or {}).items():
        if len(shares) > 1 or sum(shares.values()) < 0.999:
            elements = ", ".join(f"{symbol} {share:g}" for symbol, share in shares.items())
            raise InvalidStructure(f"site {site} is partly occupied ({elements}); give an ordered structure")
