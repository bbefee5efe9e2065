"""The metric of structures of which a Hessian is known where they start."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from relax.preconditioner.base import Featureless
from relax.preconditioner.known_hessian import KnownHessian, Local
from relax.preconditioner.model_hessian import ModelHessian

__all__ = ["KnownMetric"]


class Carried:
    """A known Hessian as it is seen from where the structure is.

    A displacement d here is one of ``T d`` at the start: the one that changes the model's coordinates alike.
    H is ``T^T H(start) T``.

    Parameters
    ----------
    directions
        The directions of the modes here (3R, 3R).
    values, unit
        Stiffness of each (3R,), and of the model, eV/A^2.
    """

    def __init__(self, directions: np.ndarray, values: np.ndarray, unit: float) -> None:
        self.directions, self.values, self.unit = directions, values, unit

    @classmethod
    def of(cls, known: KnownHessian, model: ModelHessian, s: int, starts: np.ndarray) -> Carried:
        """Return the Hessian of structure ``s`` of ``model``; ``starts`` (R, 3) are all where they began."""
        modes = known.modes
        assert modes is not None
        if np.array_equal(modes.x, model.networks[s].x):
            return cls(modes.directions, modes.values, modes.unit)
        here, start = Local.of(model, s, model.x), Local.of(model, s, starts)
        directions = np.linalg.solve(start.times(here), start.metric @ modes.directions)
        return cls(directions, modes.values, modes.unit)

    def shifted(self, mu: float) -> Carried:
        """Return H and ``mu`` times the model."""
        return Carried(self.directions, self.values + mu * self.unit, self.unit) if mu else self

    @cached_property
    def inverse_directions(self) -> np.ndarray:
        return np.linalg.inv(self.directions)

    @cached_property
    def matrix(self) -> np.ndarray:
        """H (3R, 3R), eV/A^2."""
        y = self.inverse_directions
        return np.asarray(y.T @ (self.values[:, None] * y))

    def apply(self, v: np.ndarray) -> np.ndarray:
        """Return H times ``v`` (3R,)."""
        y = self.inverse_directions
        return np.asarray(y.T @ (self.values * (y @ v)))

    def solve(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``v`` (3R,)."""
        return np.asarray(self.directions @ ((v @ self.directions) / self.values))

    def root(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``v`` (3R,)."""
        values, vectors = np.linalg.eigh(self.matrix)
        return np.asarray(vectors @ ((v @ vectors) / np.sqrt(values)))

    def half_inverse(self, v: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return what ``root`` returns, which is symmetric."""
        return self.root(v)


class KnownMetric(Featureless):
    """The model Hessian of a batch, with known Hessians in its place where there are any; a ``Metric``.

    Places are transported, and steps retracted, in the coordinates of the model.

    Parameters
    ----------
    model
        The model Hessian of all structures.
    hessians
        What is known of each; None where nothing is.
    mu
        How much of the model is added to known Hessians, for each structure (S,).
    """

    def __init__(
        self,
        model: ModelHessian,
        hessians: Sequence[KnownHessian | None],
        mu: np.ndarray | None = None,
    ) -> None:
        self.model, self.hessians, self.mu = model, list(hessians), mu
        self.transport, self.retract = model.transport, model.retract

    def at(self, x: np.ndarray) -> KnownMetric:
        """Return the metric of the same structures at the rows ``x`` (R, 3), A."""
        moved = self.model.at(x)
        return self if moved is self.model else KnownMetric(moved, self.hessians)

    def reused(self, kept: np.ndarray, x: np.ndarray) -> tuple[KnownMetric, np.ndarray]:
        """Return the metric at the rows ``x`` (R, 3), A, and ``x``."""
        return self.at(x), x

    @cached_property
    def measured(self) -> np.ndarray:
        """Which rows (R, 1) have a known Hessian, in eV/A^2."""
        known = np.array([hessian is not None for hessian in self.hessians])
        return np.asarray(known[self.model.seg.owner][:, None])

    @property
    def large_metals(self) -> np.ndarray | None:
        """Which rows (R, 1) are of large structures of metals alone with a model; None where none are."""
        large = self.model.large_metals
        return None if large is None else large & ~self.measured

    def roughened(self) -> KnownMetric:
        """Return the metric with a model that takes less time for large structures of metals."""
        return KnownMetric(self.model.roughened(), self.hessians, self.mu)

    def shifted(self, mu: np.ndarray) -> KnownMetric:
        """Return the metric with ``mu`` (R, 1) times the model added to known Hessians."""
        made = KnownMetric(self.model, self.hessians)
        each = zip(self.carried, mu[self.model.seg.starts, 0], strict=True)
        made.carried = [carried and carried.shifted(float(own)) for carried, own in each]
        return made

    @cached_property
    def carried(self) -> list[Carried | None]:
        """The known Hessian of each structure, as seen from where it is."""
        starts = self.model.x.copy()
        for known, mine in zip(self.hessians, self._slices, strict=True):
            if known is not None and known.modes is not None:
                starts[mine] = known.modes.x
        return [
            None if known is None else Carried.of(known, self.model, s, starts)
            for s, known in enumerate(self.hessians)
        ]

    @property
    def _slices(self) -> list[slice]:
        seg = self.model.seg
        return [slice(int(i), int(i) + n) for i, n in zip(seg.starts, seg.lengths, strict=True)]

    @property
    def size(self) -> np.ndarray:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
        size = self.model.size.copy()
        for carried, mine in zip(self.carried, self._slices, strict=True):
            if carried is not None:
                size[mine] = np.trace(carried.matrix) / len(carried.values)
        return size

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (R, 3)."""
        return self._each("apply", rows)

    def solve(self, rows: np.ndarray, rough: bool = False) -> np.ndarray:
        """Return the inverse of H times ``rows`` (R, 3)."""
        return self._each("solve", rows)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        return self._each("root", rows)

    def half_inverse(self, rows: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return a factor of the inverse of H, or its transpose, times ``rows`` (R, 3), see ``Metric``."""
        return self._each("half_inverse", rows, transposed)

    def _each(self, name: str, rows: np.ndarray, *how: bool) -> np.ndarray:
        known = self.measured.all()
        out: np.ndarray = np.empty_like(rows) if known else getattr(self.model, name)(rows, *how)
        for carried, mine in zip(self.carried, self._slices, strict=True):
            if carried is not None:
                out[mine] = getattr(carried, name)(rows[mine].ravel(), *how).reshape(-1, 3)
        return out
