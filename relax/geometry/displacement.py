"""How far the atoms of many structures have gone apart since they were last checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from relax.core.ragged import RaggedArrays
from relax.core.segments import row_times
from relax.geometry.sanity import Shape

__all__ = ["Displacements"]

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
        strain = self.inverse @ (cells * pbc[:, :, None] - self.cells)
        way = positions - self.positions - row_times(self.positions, strain[owner])
        longest = np.sqrt(np.maximum.reduceat((way * way).sum(axis=1), firsts))
        return np.asarray(longest + BOND * np.abs(strain).sum(axis=1).max(axis=1))
