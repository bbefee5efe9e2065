"""What a batch remembers of each structure: how it fares, and where it was when it was last good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from relax.core.ragged import RaggedArrays
from relax.engine.coordinates import Batch, Place, times
from relax.geometry.sanity import Integrity

__all__ = ["History", "Record", "Snapshot"]


@dataclass
class Snapshot(Place):
    """What structures were like, each at its own time, and what was said of them."""

    OF_ATOMS = ("x", "forces")

    forces: np.ndarray  # (N, 3) eV/A, of the potential
    stresses: np.ndarray  # (S, 3, 3) eV/A^3, of the potential
    value: np.ndarray  # (S,) energy or enthalpy, eV; NaN where there was no such time
    fmax: np.ndarray  # (S,) eV/A
    smax: np.ndarray  # (S,) GPa

    @classmethod
    def blank(cls, batch: Batch) -> Self:
        """Return the structures of ``batch`` where they are, with nothing said of them yet."""
        place, unknown = batch.place, np.full(len(batch), np.nan)
        return cls(
            x=place.x.copy(),
            strain=place.strain.copy(),
            reference=place.reference.copy(),
            forces=np.full_like(place.x, np.nan),
            stresses=np.full_like(place.strain, np.nan),
            value=unknown,
            fmax=unknown.copy(),
            smax=unknown.copy(),
        )


@dataclass
class Record(RaggedArrays):
    """How structures fare."""

    OF_ATOMS = ("looked_at",)

    looked_at: np.ndarray  # (N, 3) A, positions at the last close look
    cell_looked_at: np.ndarray  # (S, 3, 3) A, periodic vectors at the last close look
    undo: np.ndarray  # (S, 3, 3) pseudoinverse of those
    calls: np.ndarray  # (S,) force calls
    steps: np.ndarray  # (S,)
    stays: np.ndarray  # (S,) whether the last step was none at all
    still: np.ndarray  # (S,) steps of next to no length in a row
    shorter: np.ndarray  # (S,) factor of the steps, after going back
    goes_back: np.ndarray  # (S,) times that a structure may still go back
    moved: np.ndarray  # (S,) longest way of an atom in the last step, A; NaN before it
    before: np.ndarray  # (S,) energy or enthalpy before the last step, eV
    first: np.ndarray  # (S,) energy or enthalpy of the start, eV
    wall: np.ndarray  # (S,) share of the time, s

    @classmethod
    def of(cls, integrity: Sequence[Integrity], goes_back: int) -> Self:
        """Return the record of structures that have not been evaluated yet."""
        shapes = [one.checked for one in integrity]
        cells = np.stack([shape.cell for shape in shapes])
        count, unknown = np.zeros(len(shapes), int), np.full(len(shapes), np.nan)
        return cls(
            looked_at=np.concatenate([shape.positions for shape in shapes]),
            cell_looked_at=cells,
            undo=np.linalg.pinv(cells),
            calls=count,
            steps=count.copy(),
            stays=np.zeros(len(shapes), bool),
            still=count.copy(),
            shorter=np.ones(len(shapes)),
            goes_back=np.full(len(shapes), goes_back),
            moved=unknown,
            before=unknown.copy(),
            first=unknown.copy(),
            wall=np.zeros(len(shapes)),
        )

    def look(self, s: int, atoms: slice, integrity: Integrity) -> None:
        """Take note that structure ``s``, whose atoms are the slice ``atoms``, has been looked at closely."""
        shape = integrity.checked
        self.looked_at[atoms] = shape.positions
        if shape.pbc.any():
            self.cell_looked_at[s], self.undo[s] = shape.cell, np.linalg.pinv(shape.cell)

    def way(self, batch: Batch) -> np.ndarray:
        """Return how far (S,), A, neighbours can have gone apart since; see ``Integrity.moved``."""
        cells = batch.cells * batch.fixed.pbc[:, :, None]
        strain = self.undo @ (cells - self.cell_looked_at)
        way = batch.positions - self.looked_at - times(self.looked_at, strain[batch.owner])
        longest = np.sqrt(np.maximum.reduceat((way * way).sum(axis=1), batch.firsts))
        return np.asarray(longest + Integrity.BOND * np.abs(strain).sum(axis=1).max(axis=1))


class History:
    """The record of the structures of a batch, and where they can be put back to.

    That is where each was at its last evaluation that made sense (``good``), when it last was sure to hang
    together (``whole``), and where its energy was lowest (``lowest``).
    """

    def __init__(self, batch: Batch, integrity: Sequence[Integrity], goes_back: int) -> None:
        self.record = Record.of(integrity, goes_back)
        self.good, self.whole, self.lowest = (Snapshot.blank(batch) for _ in range(3))

    @property
    def _columns(self) -> tuple[RaggedArrays, ...]:
        return self.record, self.good, self.whole, self.lowest

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep the ``atoms`` (N,) and the ``structures`` (S,) that these masks name."""
        for columns in self._columns:
            columns.take(atoms, structures)

    def extend(self, others: History) -> None:
        """Add what ``others`` hold after what is here."""
        for columns, more in zip(self._columns, others._columns, strict=True):
            columns.extend(more)

    def last(self, status: str) -> Snapshot:
        """Return where a structure that ends with ``status`` is put back to."""
        return {"exploded": self.whole, "collapsed": self.whole, "uphill": self.lowest}.get(status, self.good)
