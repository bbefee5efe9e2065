"""The interface of a metric, which is the preconditioner of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from relax.core.segments import Array

__all__ = ["Identity", "Metric"]


class Metric(Protocol):
    """A preconditioner: a positive definite matrix H for each structure of a batch, R rows in all.

    H has no unit, and its scale is arbitrary.  A rule that needs H in eV/A^2 estimates the scale from
    the gradients.
    """

    @property
    def size(self) -> Array:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
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
    """The identity matrix as a metric, for arrays like ``rows`` (R, 3)."""

    rows: Array

    @property
    def size(self) -> Array:
        """Ones (R, 1)."""
        return self.rows[:, 0:1] * 0.0 + 1.0

    def apply(self, rows: Array) -> Array:
        """Return ``rows`` (R, 3)."""
        return rows

    solve = root = apply
