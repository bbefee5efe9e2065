"""Paths of structures as rows that do not depend on where a structure is, or how it is turned.

The rows of a structure are those of its N atoms and, where cells differ, three of the strain of its cell.
With positions r, the cell C of the structure, that of the reference C0, and fractions s = r C^-1:

::

    y = s C0                                 each atom in the cell of the reference
    (C0^-1 C)^T = R U,   L = log U           the strain, without the rotation R
    rows = (y - mean(y),  L a)

The length a of a strain of one is that of ``Rule.strain_length``, 3 A times the square root of N.  Atoms are
taken at the periodic image that is nearest to their place in the frame before.  A structure that is not
periodic is turned onto the reference, so that the sum of the squared distances of the atoms is least.

Source: Kabsch, Acta Cryst. A 32, 922 (1976); by quaternions, as in ASE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build.rotate import rotation_matrix_from_points
from ase.geometry import find_mic
from scipy.linalg import polar

from relax.core.errors import InvalidStructure
from relax.core.rule import Rule
from relax.geometry.cell import deformation, logarithm

__all__ = ["Alignment", "aligned"]

STRAIN = 1e-8
"""Strain below which cells are the same."""


@dataclass(frozen=True)
class Alignment:
    """How structures of the same atoms become rows, and rows structures.

    Parameters
    ----------
    reference
        The structure whose cell and orientation the others get.
    length
        Length of a strain of one, A; None where all cells are the same.
    """

    reference: Atoms
    length: float | None = None

    @property
    def cell(self) -> np.ndarray:
        """The cell of the reference (3, 3), A, with unit vectors where it has none."""
        return np.asarray(self.reference.cell.complete().array)

    def rows(self, frames: Sequence[Atoms], before: np.ndarray | None = None) -> np.ndarray:
        """Return the rows (F, R, 3), A, of structures that follow each other.

        Parameters
        ----------
        frames
            The structures.
        before
            Rows (R, 3), A, that the first follows; by default, itself.
        """
        found = []
        for atoms in frames:
            before = self._row(atoms, before)
            found.append(before)
        return np.array(found)

    def _row(self, atoms: Atoms, before: np.ndarray | None) -> np.ndarray:
        n = len(atoms)
        if not self.reference.pbc.any():
            y = atoms.positions - atoms.positions.mean(axis=0)
            target = self.reference.positions - self.reference.positions.mean(axis=0)
            return np.asarray(y @ rotation_matrix_from_points(y.T, target.T).T)
        y = np.linalg.solve(atoms.cell.complete().array.T, atoms.positions.T).T @ self.cell
        if before is not None:
            # Against the first atom, so that a shift of the whole structure wraps none.
            apart = y - before[:n]
            y = before[:n] + find_mic(apart - apart[0], self.cell, self.reference.pbc)[0]
        y = y - y.mean(axis=0)
        return y if self.length is None else np.concatenate([y, self.length * strain(self.reference, atoms)])

    def structure(self, rows: np.ndarray) -> Atoms:
        """Return the structure of rows (R, 3), A, with the constraints of none."""
        atoms: Atoms = self.reference.copy()
        n = len(atoms)
        atoms.set_constraint()
        atoms.calc, atoms.info = None, {}
        positions = rows[:n]
        if self.length is not None:
            stretch = deformation(rows[None, n:] / self.length)[0]
            atoms.set_cell(self.cell @ stretch.T)
            positions = positions @ stretch.T
        atoms.positions[:] = positions
        return atoms


def strain(reference: Atoms, atoms: Atoms) -> np.ndarray:
    """Return the log strain (3, 3), symmetric, of the cell of ``atoms`` against that of the ``reference``."""
    deformed = np.linalg.solve(reference.cell.complete().array, atoms.cell.complete().array).T
    return logarithm(polar(deformed)[1])


def aligned(paths: Mapping[str, Sequence[Atoms]]) -> tuple[Alignment, list[np.ndarray]]:
    """Return how the structures of paths are aligned, and the rows (F, R, 3), A, of each path.

    The reference is the last structure of the first path.

    Raises
    ------
    InvalidStructure
        There is none, or they are not of the same atoms in the same order, or not periodic alike; or one is
        not finite.
    """
    if not paths or not all(len(frames) and len(frames[0]) for frames in paths.values()):
        raise InvalidStructure(
            "there is a path without structures, or a structure without atoms; leave it out"
        )
    reference = next(iter(paths.values()))[-1].copy()
    for name, frames in paths.items():
        for number, atoms in enumerate(frames):
            check_alike(f"{name}, frame {number}", atoms, reference)
    length = None
    if reference.pbc.any() and any(_strained(reference, atoms) for one in paths.values() for atoms in one):
        factor, power = Rule.strain_length
        length = factor * len(reference) ** power
    alignment = Alignment(reference, length)
    found: list[np.ndarray] = []
    for frames in paths.values():
        found.append(alignment.rows(frames, found[0][0] if found else None))
    return alignment, found


def _strained(reference: Atoms, atoms: Atoms) -> bool:
    if np.array_equal(reference.cell.array, atoms.cell.array):
        return False
    return bool(np.abs(strain(reference, atoms)).max() > STRAIN)


def check_alike(where: str, atoms: Atoms, reference: Atoms) -> None:
    """Raise InvalidStructure if ``atoms`` are not those of the ``reference``, or not finite."""
    if not np.array_equal(atoms.numbers, reference.numbers):
        one, other = (each.get_chemical_formula() for each in (atoms, reference))
        what = f"{one}, and not {other}" if one != other else f"{one} in another order of the atoms"
        raise InvalidStructure(f"{where} is {what}; a landscape needs the same atoms in the same order")
    if not np.array_equal(atoms.pbc, reference.pbc):
        raise InvalidStructure(f"{where} is not periodic along the same directions as the others")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InvalidStructure(f"{where} has a position or a cell that is not finite; leave it out")
