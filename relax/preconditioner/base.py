"""The interface of a metric: the preconditioner of a rule, its curved steps, its transport of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from relax.core.segments import Array
from relax.preconditioner.features import Features

__all__ = ["Featureless", "Frozen", "Identity", "Metric", "Modelled", "StraightPaths"]


class Metric(Protocol):
    """A preconditioner: a positive definite matrix H for each structure of a batch, R rows in all.

    H has no unit, and its scale is arbitrary.  A rule that needs H in eV/A^2 estimates the scale from
    the gradients.

    In the words of optimization on manifolds H is the metric at one place; ``transport`` and ``retract`` are
    a vector transport and a retraction that belong to it (Absil, Mahony and Sepulchre, Optimization
    Algorithms on Matrix Manifolds, 2008, chapters 4 and 8).
    """

    @property
    def size(self) -> Array:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
        ...

    def reused(self, kept: Array, x: Array) -> tuple[Metric, Array]:
        """Return the metric of the same structures at ``x`` or, where it was built near there, at ``kept``.

        Parameters
        ----------
        kept, x
            Where the metric was built last, and where the structures are, (R, 3), A.

        Returns
        -------
        metric, kept
            The metric, and where it is: rows (R, 3), A, each structure's from ``kept`` or from ``x``.
        """
        ...

    def apply(self, rows: Array) -> Array:
        """Return H times ``rows`` (R, 3)."""
        ...

    def solve(self, rows: Array, rough: bool = False) -> Array:
        """Return the inverse of H times ``rows`` (R, 3).

        With ``rough`` it may have errors of a tenth.  Its product with ``rows`` has the square of that.
        """
        ...

    def root(self, rows: Array) -> Array:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        ...

    def half_inverse(self, rows: Array, transposed: bool = False) -> Array:
        """Return W, or its transpose, times ``rows`` (R, 3), where W W^T is the inverse of H, or near it.

        W is the root or, of a large structure of springs, takes less time than that.
        """
        ...

    def transport(self, x: Array, g: Array) -> tuple[Array, Array]:
        """Return other places and their gradients as they are seen from here.

        Parameters
        ----------
        x, g
            Rows and gradients at K places, (K, R, 3): the first one near here, each near the one before it.

        Returns
        -------
        x, g
            The steps from here that lead to the places, but for a constant, and the gradients as they are
            seen from here, (K, R, 3).
        """
        ...

    def retract(self, dx: Array) -> Array:
        """Return the displacement (R, 3), A, along the curved path that begins as the step ``dx`` (R, 3)."""
        ...

    @property
    def measured(self) -> Array | None:
        """Where H is a Hessian in eV/A^2, not a model of one (R, 1); None where it is nowhere."""
        ...

    @property
    def large_metals(self) -> Array | None:
        """Which rows (R, 1) are of large structures of metals alone with a model; None where none are."""
        ...

    @property
    def has_features(self) -> bool:
        """Whether H is a model of which there may be features."""
        ...

    def features(self, s: int, scale: float) -> Features | None:
        """Return features of structure ``s`` with their origin here; None where there are none.

        ``scale`` is what a stiffness of one in H is, eV/A^2.
        """
        ...

    def roughened(self) -> Metric:
        """Return a metric that takes less time for large structures of metals, see ``large_metals``.

        No pair is stiffer than a bond, the factor W is a rougher one, and ``reused`` goes on with it farther.
        """
        ...

    def shifted(self, mu: Array) -> Metric:
        """Return H and, where it is measured, ``mu`` (R, 1) times a model of it."""
        ...


class Featureless:
    """What a metric has that has no features."""

    has_features = False

    def features(self, s: int, scale: float) -> Features | None:
        """Return None."""
        return None


class Modelled(Featureless):
    """What a metric has that is a model everywhere."""

    @property
    def measured(self) -> Array | None:
        """None."""
        return None

    @property
    def large_metals(self) -> Array | None:
        """None."""
        return None

    def roughened(self) -> Self:
        """Return this metric: it has no large structures."""
        return self

    def shifted(self, mu: Array) -> Self:
        """Return this metric: there is nothing to add a model to."""
        return self


class StraightPaths(Modelled):
    """What a metric has where paths are straight: steps and gradients are the same everywhere."""

    def reused(self, kept: Array, x: Array) -> tuple[Self, Array]:
        """Return this metric, and ``x`` (R, 3)."""
        return self, x

    def transport(self, x: Array, g: Array) -> tuple[Array, Array]:
        """Return ``x`` and ``g``, (K, R, 3); only differences of the places matter."""
        return x, g

    def retract(self, dx: Array) -> Array:
        """Return ``dx`` (R, 3)."""
        return dx


@dataclass(frozen=True)
class Identity(StraightPaths):
    """The identity matrix as a metric, for arrays like ``rows`` (R, 3)."""

    rows: Array

    @property
    def size(self) -> Array:
        """Ones (R, 1)."""
        return self.rows[:, 0:1] * 0.0 + 1.0

    def apply(self, rows: Array) -> Array:
        """Return ``rows`` (R, 3)."""
        return rows

    root = apply

    def solve(self, rows: Array, rough: bool = False) -> Array:
        """Return ``rows`` (R, 3)."""
        return rows

    def half_inverse(self, rows: Array, transposed: bool = False) -> Array:
        """Return ``rows`` (R, 3)."""
        return rows


class Frozen(StraightPaths):
    """A model Hessian at one place, for rows that are not those of a structure: paths are straight.

    Parameters
    ----------
    hessian
        The model Hessian.
    """

    def __init__(self, hessian: Metric) -> None:
        self.size, self.apply = hessian.size, hessian.apply
        self.solve, self.root, self.half_inverse = hessian.solve, hessian.root, hessian.half_inverse
