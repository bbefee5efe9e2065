"""A Hessian of the energy that is known where a structure starts, and how it is carried along."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relax.preconditioner.matrices.dense import Dense
from relax.preconditioner.model_hessian import ModelHessian

__all__ = ["LAST", "KnownHessian", "Local"]

SOFTEST, EXACT, NEAR = 0.5, 0.02, 0.5
"""Smallest stiffness of a direction in units of the model's, far from a minimum and at one.

In between it grows with the largest gradient, up to NEAR, eV/A: what is soft here may be stiff elsewhere.
"""

LAST = 20
"""Steps after which a Hessian is left behind: a structure that is still on its way has left what it knew."""

FIELD = 0.1
"""Stiffness of a motion of the whole, relative to the largest entry, that is more than an error."""

STEP, PLACES = 1e-4, 64
"""Displacement (A) for differences of derivatives, and at how many places they are computed at once."""


@dataclass
class Modes:
    """A positive definite Hessian in the directions in which it and the model are diagonal.

    Parameters
    ----------
    x
        Where the rows were (R, 3), A.
    directions
        The directions (3R, 3R), in columns; the model's stiffness of each is 1.
    values
        Stiffness of each direction (3R,), eV/A^2.
    unit
        What a stiffness of 1 of the model is, eV/A^2.
    """

    x: np.ndarray
    directions: np.ndarray
    values: np.ndarray
    unit: float


@dataclass(eq=False)
class KnownHessian:
    """The Hessian of one structure where it starts.

    Parameters
    ----------
    array
        Second derivatives by the positions (3N, 3N), eV/A^2.
    begun
        Rows (R, 3), A, and gradient (R, 3), eV/A, where it was first used; None before.
    steps
        How many steps it has been the metric of.

    Attributes
    ----------
    modes
        What the metric is made of; None before it is first used.
    """

    array: np.ndarray
    begun: tuple[np.ndarray, np.ndarray] | None = None
    steps: int = 0
    modes: Modes | None = None

    def begin(self, model: ModelHessian, g: np.ndarray) -> Modes:
        """Return the modes of the structure where it starts, and keep them.

        The Hessian in internal coordinates is that by the positions less what the gradient along the curved
        coordinates adds.  Where the cell relaxes, rows of the strain have the stiffness of the model.  In
        units of the model negative stiffnesses become positive, and none is below a least one.

        Parameters
        ----------
        model
            The model of this structure alone.
        g
            The gradient (R, 3), eV/A.
        """
        x, own = (model.x, g) if self.begun is None else self.begun
        model = model.at(x)
        self.begun = x.copy(), own.copy()
        local = Local.of(model, 0, x)
        m, n = local.metric, 3 * model.networks[0].atoms
        f = model.networks[0].deformed
        known = np.einsum("ab,iajc,cd->ibjd", f, self.array.reshape(n // 3, 3, n // 3, 3), f).reshape(n, n)
        known = known - curvature(model, local, own)[:n, :n]
        if (projectors := model.networks[0].projectors) is not None:
            known = np.einsum("iab,ibjc,jcd->iajd", projectors, known.reshape(n // 3, 3, -1, 3), projectors)
            known = known.reshape(n, n)
        else:
            known = without_rigid(known, x[: n // 3], turns=not model.networks[0].pbc.any())
        unit = stiffness_unit(known, m[:n, :n])
        whole = unit * m
        whole[:n, :n] = known
        lower = np.linalg.inv(np.linalg.cholesky(m))
        values, vectors = np.linalg.eigh(lower @ whole @ lower.T)
        longest = float(np.linalg.norm(own, axis=1).max())
        softest = np.maximum(np.abs(values), max(EXACT, SOFTEST * min(1.0, longest / NEAR)) * unit)
        self.modes = Modes(x.copy(), lower.T @ vectors, softest, unit)
        return self.modes


def without_rigid(known: np.ndarray, x: np.ndarray, turns: bool) -> np.ndarray:
    """Return a Hessian (3N, 3N) without what errors give to motions of the whole: the model has them soft.

    What is more than an error, as in an external field, stays.

    Parameters
    ----------
    x
        The positions (N, 3), A.
    turns
        Whether the structure may turn.
    """
    axes = np.eye(3)[:, None]
    motions = [np.broadcast_to(axes, (3, *x.shape))]
    if turns:
        motions.append(np.cross(axes, x - x.mean(axis=0)))
    vectors, sizes, _ = np.linalg.svd(np.concatenate(motions).reshape(-1, x.size).T, full_matrices=False)
    vectors = vectors[:, sizes > 1e-6 * sizes[0]]
    if np.linalg.norm(known @ vectors, axis=0).max() > FIELD * np.abs(known).max():
        return known
    kept = np.eye(x.size) - vectors @ vectors.T
    return np.asarray(kept @ known @ kept)


def stiffness_unit(known: np.ndarray, model: np.ndarray) -> float:
    """Return what a stiffness of 1 of the ``model`` (n, n) is, eV/A^2: the geometric mean over directions.

    Directions much softer than in the model count as 1/1000 of the stiffest one, for their stiffness may be
    anything; those that do not cost energy at all do not count.
    """
    lower = np.linalg.inv(np.linalg.cholesky(model))
    values = np.abs(np.linalg.eigvalsh(lower @ known @ lower.T))
    largest = float(values.max())
    if largest == 0.0:
        return 1.0
    return float(np.exp(np.log(np.maximum(values[values > 1e-9 * largest], 1e-3 * largest)).mean()))


@dataclass
class Local:
    """The model of one structure at one place, as matrices.

    Parameters
    ----------
    b
        Derivatives of its M internal coordinates (M, 3R).
    weights
        Their stiffness (M,).
    straight
        The part of the model that is the same at every place (3R, 3R).
    """

    b: np.ndarray
    weights: np.ndarray
    straight: np.ndarray

    @classmethod
    def of(cls, model: ModelHessian, s: int, x: np.ndarray) -> Local:
        """Return structure ``s`` of ``model`` with its coordinates at the rows ``x`` (R, 3) of all."""
        start, rows = int(model.seg.starts[s]), model.seg.lengths[s]
        straight = Dense([model.straight[s]]).straight[0]
        if model.internals is None or model.curved is None:
            return cls(np.zeros((0, 3 * rows)), np.zeros(0), straight)
        own = model.internals.owner == s
        here = x is model.x
        whole = len(model.near.rows) == model.seg.rows
        derivatives = model.curved.b if here and whole else model.internals.derivatives(x[None])
        b = derivatives.matrix[np.flatnonzero(own)][:, 3 * start : 3 * (start + rows)].toarray()
        return cls(b, model.internals.stiffness[own], straight)

    def times(self, other: Local) -> np.ndarray:
        """Return the model (3R, 3R) between displacements here and those at the place of ``other``."""
        return np.asarray(self.b.T @ (self.weights[:, None] * other.b) + self.straight)

    @cached_property
    def metric(self) -> np.ndarray:
        """The model itself (3R, 3R)."""
        return self.times(self)


def curvature(model: ModelHessian, local: Local, g: np.ndarray) -> np.ndarray:
    """Return what the gradient ``g`` (R, 3), eV/A, along curved coordinates adds to the Hessian (3R, 3R)."""
    size = g.size
    if model.internals is None:
        return np.zeros((size, size))
    force = local.weights * (local.b @ np.linalg.solve(local.metric, g.ravel()))
    steps = STEP * np.eye(size).reshape(size, *g.shape)
    pulled = []
    for first in range(0, size, PLACES):
        some = steps[first : first + PLACES]
        both = np.concatenate([model.x + some, model.x - some])
        back = model.internals.derivatives(both).back(np.tile(force, (len(both), 1)))
        pulled.append(back.reshape(2, len(some), size))
    up, down = np.concatenate(pulled, axis=1)
    found = (up - down) / (2 * STEP)
    return np.asarray((found + found.T) / 2)
