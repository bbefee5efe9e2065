"""Columns of the page: what was measured of each optimizer for one kind of structure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from relax.analysis.comparison.minimizers.names import is_foreign
from relax.analysis.comparison.statistics import interval


@dataclass(frozen=True)
class Measured:
    """What was measured of one optimizer.

    Attributes
    ----------
    text
        What the table shows.
    each
        For each structure (S,), less is better; NaN where there is none.
    failed
        How many runs failed.
    """

    text: str
    each: np.ndarray
    failed: int = 0

    @property
    def mean(self) -> float:
        """Mean over the structures."""
        return float(np.nanmean(self.each))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    kind
        What was relaxed.
    structures
        How many there are.
    cells
        What was measured, by the name of the optimizer in the files of results.
    unit
        What the heading says after the kind.
    """

    kind: str
    structures: int
    cells: dict[str, Measured]
    unit: str = ""

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return f"{self.kind}{self.unit}"

    def least(self, names: Collection[str]) -> str | None:
        """Return which of ``names`` has the smallest mean, None where none was measured."""
        measured = [name for name in names if name in self.cells]
        return min(measured, key=lambda name: (self.cells[name].mean, name), default=None)

    def best(self, names: Collection[str]) -> list[str]:
        """Return the smallest of ``names``, and those that are not above it by more than the error.

        The error is that of the mean difference, a 95 % bootstrap interval over the structures of which both
        have a value.
        """
        least = self.least(names)
        if least is None:
            return []
        return [name for name in names if name in self.cells and not self.is_above(name, least)]

    def is_above(self, name: str, other: str) -> bool:
        """Whether the mean of ``name`` is above that of ``other``, beyond the error."""
        more = self.cells[name].each - self.cells[other].each
        more = more[np.isfinite(more)]
        return not len(more) or interval(lambda drawn: more[drawn].mean(-1), len(more))[0] > 0


def references(columns: Sequence[Column]) -> list[str]:
    """Return, of each column, the best optimizer of ASE and the best of any other package."""
    foreign = {name for column in columns for name in column.cells if is_foreign(name)}
    ase = {name for name in foreign if name.startswith("ase:")}
    found = [column.least(some) for some in (ase, foreign - ase) for column in columns]
    return [name for name in dict.fromkeys(found) if name is not None]
