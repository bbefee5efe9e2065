"""What a rule may ask of a metric, its preconditioner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from relax.core.segments import Array

__all__ = ["Identity", "Metric"]


class Metric(Protocol):
    """A positive definite matrix H on the rows of each structure of a batch, R rows in all.

    Its scale is free: a rule that needs one in eV/A^2 learns it from the gradients it is shown.
    """

    @property
    def size(self) -> Array:
        """The mean of the diagonal of H of each structure, on all of its rows (R, 1)."""
        ...

    def apply(self, rows: Array) -> Array:
        """Return H times ``rows`` (R, 3)."""
        ...

    def solve(self, rows: Array) -> Array:
        """Return the inverse of H times ``rows`` (R, 3)."""
        ...

    def root(self, rows: Array) -> Array:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        ...


@dataclass(frozen=True)
class Identity:
    """The metric in which every row is as stiff as any other, for ``rows`` (R, 3)."""

    rows: Array

    @property
    def size(self) -> Array:
        """One for every row (R, 1)."""
        return self.rows[:, 0:1] * 0.0 + 1.0

    def apply(self, rows: Array) -> Array:
        """Return ``rows`` (R, 3)."""
        return rows

    solve = root = apply
