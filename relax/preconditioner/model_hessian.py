"""The model Hessian of every structure of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from relax.core.segments import Segments
from relax.preconditioner.base import Modelled
from relax.preconditioner.internal.bonds import Bonds, bonds_of, straight_beside
from relax.preconditioner.internal.coordinates import Internals
from relax.preconditioner.internal.curved import Curved, Seen
from relax.preconditioner.internal.features import ModelFeatures
from relax.preconditioner.internal.terms import terms_of
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.matrices import parts as matrices
from relax.preconditioner.matrices.dense import Dense
from relax.preconditioner.matrices.parts import LARGE, Near, Part
from relax.preconditioner.network import SpringNetwork, Straight, projectors_of
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Latest", "ModelHessian"]

NEAR, NEARER = 0.3, 0.03
"""Structures of more than :data:`~relax.preconditioner.matrices.parts.LARGE` rows go on with the same model
until a row is farther from there than the first number, A, or the root mean square of all than the second."""

FARTHER = 5.0
"""How many times as far large structures of metals go on with a rough model."""


@dataclass
class Latest:
    """What was built of one structure at an earlier step."""

    model: ModelHessian | None = None


class ModelHessian(Modelled):
    """The model Hessian of every structure of a batch, a ``Metric``.

    H is positive definite by construction.

    Parameters
    ----------
    networks
        The structures.
    stiffness
        The parameters of the model.
    latest
        What was built of one large structure at an earlier step, if it may be used again.
    rough
        Whether less time counts for more than fewer force calls, see :meth:`roughened`.
    """

    def __init__(
        self,
        networks: Sequence[SpringNetwork],
        stiffness: PairStiffness,
        latest: Latest | None = None,
        rough: bool = False,
    ) -> None:
        self.networks, self.stiffness, self.latest, self.rough = list(networks), stiffness, latest, rough
        self.seen: Seen | None = None  # where nothing is kept
        lengths = [network.rows for network in networks]
        self.seg = Segments(lengths, [network.scale is not None for network in networks])

    def at(self, x: np.ndarray) -> ModelHessian:
        """Return the model Hessian of the same structures at the rows ``x`` (R, 3), A."""
        pairs = list(zip(self.networks, np.split(x, self.seg.starts[1:]), strict=True))
        same = [np.array_equal(network.x, own) for network, own in pairs]
        if all(same):
            return self
        moved = [
            network if here else network.at(own) for (network, own), here in zip(pairs, same, strict=True)
        ]
        return ModelHessian(moved, self.stiffness, rough=self.rough)

    def reused(self, kept: np.ndarray, x: np.ndarray) -> tuple[ModelHessian, np.ndarray]:
        """Return the model Hessian at ``x``, of large structures perhaps at ``kept``, see ``Metric``.

        A large structure goes on with the stiffness at ``kept`` as long as that is :data:`NEAR`: to build it
        takes as long as a hundred products with it.  Curved paths begin at ``x`` all the same.
        """
        if not self.large.any():
            return self.at(x), x
        seg, moved = self.seg, x - kept
        mean = np.sqrt(seg.dot(moved, moved)[seg.starts, 0] / seg.lengths)
        far, times = seg.longest(moved)[seg.starts, 0], np.where(self.metals & self.rough, FARTHER, 1.0)
        stays = self.large & (far <= times * NEAR) & (mean <= times * NEARER)
        where = np.where(stays[self.seg.owner][:, None], kept, x)
        model = self._built(where)
        return model.seen_from(x) if stays.any() and model.curved is not None else model, where

    def roughened(self) -> ModelHessian:
        """Return the model that takes less time for large structures of metals, see ``Metric``."""
        stiffness = replace(self.stiffness, strongest=min(1.0, self.stiffness.strongest))
        networks = [replace(network, stiffness=stiffness) for network in self.networks]
        return ModelHessian(networks, stiffness, self.latest, rough=True)

    def seen_from(self, x: np.ndarray) -> ModelHessian:
        """Return this model Hessian, with curved paths that begin at the rows ``x`` (R, 3), A."""
        made = copy(self)
        made.parts, made.x = self.parts, x
        made.__dict__.pop("curved", None)
        return made

    def _built(self, x: np.ndarray) -> ModelHessian:
        """Return the model Hessian at ``x`` (R, 3), A: the latest one if that is where it is."""
        model, latest = ModelHessian(self.at(x).networks, self.stiffness, rough=self.rough), self.latest
        if latest is None:
            return model
        last = latest.model
        if last is None or last.rough != model.rough or not model.networks[0].equals(last.networks[0]):
            latest.model, model.seen = model, {}
            return model
        return last

    @cached_property
    def x(self) -> np.ndarray:
        """Where the rows are (R, 3), A."""
        return np.concatenate([network.x for network in self.networks])

    @cached_property
    def bonds(self) -> Bonds | None:
        """The bonds of the batch; None where the model is of springs only.

        Large structures of metals alone have no bends: few atoms, at grain boundaries, would have some.
        """
        if not isinstance(self.stiffness, InternalStiffness):
            return None
        bending = ~self.metals
        return bonds_of(self.networks, self.seg, self.stiffness, bending) if bending.any() else None

    @cached_property
    def large(self) -> np.ndarray:
        """Which structures (S,) are large."""
        return np.array(self.seg.lengths) > LARGE

    @cached_property
    def metals(self) -> np.ndarray:
        """Which structures (S,) are large, and of metals alone."""
        sizes = zip(self.large, self.networks, strict=True)
        return np.array([large and network.metallic for large, network in sizes])

    @property
    def large_metals(self) -> np.ndarray | None:
        """Which rows (R, 1) are of large structures of metals alone; None where none are."""
        return self.metals[self.seg.owner][:, None] if self.metals.any() else None

    @cached_property
    def internals(self) -> Internals | None:
        """The internal coordinates of the batch; None where there are none."""
        if self.bonds is None or not self.bonds.bends.any():
            return None
        assert isinstance(self.stiffness, InternalStiffness)
        terms = terms_of(self.bonds, self.seg.rows, self.stiffness)
        scales = np.array([network.scale or 1.0 for network in self.networks])
        found = Internals(self.bonds, terms, self.seg, scales, projectors_of(self.networks))
        return found if len(found) else None

    @cached_property
    def straight(self) -> list[Straight]:
        """What is straight of each structure: springs, and the floor."""
        bonds, stiffness = self.bonds, self.stiffness
        if bonds is None:
            return [Straight.of(network, stiffness) for network in self.networks]
        assert isinstance(stiffness, InternalStiffness)
        return straight_beside(bonds, self.networks, self.seg, stiffness)

    @cached_property
    def near(self) -> Near:
        """The rows that curved steps and transport move."""
        assert self.internals is not None
        return matrices.near_rows(self.internals.near, self.seg)

    @cached_property
    def parts(self) -> list[Part]:
        """The structures of each size together, with their matrices."""
        if self.curved is None:
            return matrices.parts_of(self.straight, self.seg)
        return matrices.parts_of(self.straight, self.seg, self.curved.hessian, self.near)

    @cached_property
    def curved(self) -> Curved | None:
        """Transport and retraction of the rows ``near``; None where steps are straight."""
        if self.internals is None:
            return None
        rows, seg = self.near
        internals = self.internals if len(rows) == self.seg.rows else self.internals.among(rows)

        def times(name: str) -> Callable[[np.ndarray], np.ndarray]:
            return lambda rows: matrices.times_regions(self.parts, name, rows)

        operators = (
            times("linear"),
            times("precondition"),
            lambda: matrices.exact_regions(self.parts, self.seg),
        )
        return Curved(internals, self.x[rows], seg, *operators, self.seen)

    @cached_property
    def size(self) -> np.ndarray:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
        size = np.empty((self.seg.rows, 1))
        for part in self.parts:
            size[part.rows] = part.matrix.size[:, None, None]
        return size

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.apply(v))

    def solve(self, rows: np.ndarray, rough: bool = False) -> np.ndarray:
        """Return the inverse of H times ``rows`` (R, 3), perhaps a rough one, see ``Metric``."""
        return self._each(rows, lambda part, v: part.solve(v, rough))

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.root(v))

    def half_inverse(self, rows: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return a factor of the inverse of H, or its transpose, times ``rows`` (R, 3), see ``Metric``."""
        return self._each(rows, lambda part, v: part.half_inverse(v, transposed, self.rough))

    def transport(self, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places and their gradients (K, R, 3) as they are seen from here, see ``Metric``."""
        if self.curved is None:
            return x, g
        steps, seen = self.curved.transport(*(rows.take(self.near.rows, axis=1) for rows in (x, g)))
        return self._put(x, steps), self._put(g, seen)

    def retract(self, dx: np.ndarray) -> np.ndarray:
        """Return the displacement (R, 3), A, along the curved path that begins as the step ``dx`` (R, 3)."""
        if self.curved is None:
            return dx
        assert isinstance(self.stiffness, InternalStiffness)
        curved = self.curved.retract(dx[self.near.rows], self.stiffness.rounds)
        return np.asarray(self._put(dx[None], curved[None])[0])

    def _put(self, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        assert self.internals is not None
        return matrices.put(rows, found, self.near, self.internals.owner)

    has_features = True

    def features(self, s: int, scale: float) -> ModelFeatures | None:
        """Return features of structure ``s``, see ``Metric``; None where its matrix is sparse."""
        alone = len(self.networks) == 1
        model = self if alone else ModelHessian([self.networks[s]], self.stiffness)
        return ModelFeatures(model, scale) if isinstance(model.parts[0].matrix, Dense) else None

    def _each(self, rows: np.ndarray, fn: Callable[[Any, np.ndarray], np.ndarray]) -> np.ndarray:
        out = np.empty_like(rows)
        for part in self.parts:
            out[part.rows] = fn(part.matrix, rows[part.rows])
        return out
