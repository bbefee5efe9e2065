"""How far the atoms of many structures have gone, and gone apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from relax.core.ragged import RaggedArrays
from relax.core.segments import row_times
from relax.geometry.neighbors import squares
from relax.geometry.sanity import Shape

__all__ = ["Displacements", "displaced", "shortest"]

BOND = 3.0
"""Distance (A) over which a strain moves neighbours apart."""


@dataclass
class Displacements(RaggedArrays):
    """Positions and cells of S structures at their last check."""

    OF_ATOMS = ("positions",)

    positions: np.ndarray  # (N, 3) A
    cells: np.ndarray  # (S, 3, 3) A, the periodic vectors
    inverse: np.ndarray  # (S, 3, 3) pseudoinverses of those

    @classmethod
    def of(cls, shapes: Sequence[Shape]) -> Self:
        """Return the displacements since structures were as ``shapes``."""
        cells = np.stack([shape.cell for shape in shapes])
        return cls(np.concatenate([shape.positions for shape in shapes]), cells, np.linalg.pinv(cells))

    def check(self, s: int, atoms: slice, shape: Shape) -> None:
        """Count from ``shape``, that of structure ``s``, whose atoms are the slice ``atoms``."""
        self.positions[atoms] = shape.positions
        if shape.pbc.any():
            self.cells[s], self.inverse[s] = shape.cell, np.linalg.pinv(shape.cell)

    def longest(
        self, positions: np.ndarray, cells: np.ndarray, pbc: np.ndarray, owner: np.ndarray, firsts: np.ndarray
    ) -> np.ndarray:
        """Return how far (S,), A, neighbours can have moved apart since the last check.

        In a large cell a small strain moves atoms far, but their neighbours move with them.  Displacements
        are therefore taken relative to the strained cell, and the strain itself counts over :data:`BOND`.

        Parameters
        ----------
        positions, cells, pbc
            Where the atoms are now: (N, 3) and (S, 3, 3) in A, and (S, 3).
        owner, firsts
            The structure of each atom (N,), and the first atom of each structure (S,).
        """
        before = self.positions, self.cells, self.inverse
        strain, farthest = displaced(positions, cells * pbc[:, :, None], *before, owner, firsts)
        return np.asarray(farthest + BOND * np.abs(strain).sum(axis=1).max(axis=1))


def displaced(
    positions: np.ndarray,
    cells: np.ndarray,
    positions_before: np.ndarray,
    cells_before: np.ndarray,
    inverses: np.ndarray,
    owner: np.ndarray,
    firsts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the strains (S, 3, 3) of S cells, and how far an atom of each has gone beside its cell (S,), A.

    Parameters
    ----------
    positions, cells, positions_before, cells_before
        Positions (N, 3) and cells (S, 3, 3), A, now and before; zeros along directions that are not periodic.
    inverses
        Of the cells before (S, 3, 3).
    owner, firsts
        As in :meth:`Displacements.longest`.
    """
    strain = inverses @ (cells - cells_before)
    way = positions - positions_before - row_times(positions_before, strain[owner])
    return strain, np.sqrt(np.maximum.reduceat(squares(way), firsts))


def shortest(reach: float, strain: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """Return how near (S,), A, pairs of atoms may have come that were farther apart than ``reach``, A.

    Let F be the deformation of a cell, and u the displacements of the atoms beside it.  Such a pair is still
    farther apart than

        sigma_min(F) reach - 2 max|u|,  where  sigma_min(F) >= 1 - ||F - I||.

    Parameters
    ----------
    reach
        A distance, A.
    strain, farthest
        F - I (S, 3, 3) and max|u| (S,), A, see :func:`displaced`.
    """
    return np.asarray((1 - np.sqrt((strain * strain).sum(axis=(1, 2)))) * reach - 2 * farthest)
