"""A Hessian of the energy that is known where a structure starts, and how it is carried along."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from relax.preconditioner.dense import Dense
from relax.preconditioner.model_hessian import ModelHessian

__all__ = ["GivenHessian", "KnownHessian", "check_hessian", "check_hessians", "given_hessian"]

GivenHessian = Any | Callable[[Atoms], Any]
"""A Hessian as users give it: an array, or a function of the structure that returns one."""

ASYMMETRY = 0.05
"""Largest difference from the transpose, relative to the largest entry, that counts as rounding."""

SOFTEST, EXACT, NEAR = 0.5, 0.02, 0.5
"""Smallest stiffness of a direction in units of the model's, far from a minimum and at one.

In between it grows with the largest gradient, up to NEAR, eV/A: what is soft here may be stiff a step further.
"""

STEP, PLACES = 1e-4, 64
"""Displacement (A) for differences of derivatives, and at how many places they are computed at once."""


def given_hessian(given: GivenHessian, atoms: Atoms) -> KnownHessian:
    """Return the Hessian that is given for ``atoms``.

    Parameters
    ----------
    given
        Array (3N, 3N), (N, 3, N, 3) or (3N, N, 3), eV/A^2, or a function of the structure that returns one;
        it gets a copy without a calculator.
    atoms
        The structure.

    Raises
    ------
    ValueError
        The array is of another shape, not finite or not symmetric.
    """
    words, n = "hessian=", len(atoms)
    if callable(given):
        given, words = given(atoms.copy()), "the array that hessian= returns"
    try:
        array = np.asarray(given, float)
    except (TypeError, ValueError):
        raise ValueError(f"{words} is no array of numbers but a {type(given).__name__}") from None
    if array.shape not in (shapes := ((3 * n, 3 * n), (n, 3, n, 3), (3 * n, n, 3))):
        raise ValueError(
            f"{words} has shape {array.shape}, not {shapes[0]}, {shapes[1]} or {shapes[2]}; "
            f"give the second derivatives (eV/A^2) by the positions of all {n} atoms"
        )
    array = array.reshape(3 * n, 3 * n)
    if not np.isfinite(array).all():
        i, j = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{words} is not finite at [{i}, {j}]; compute it anew, or leave it out")
    off = np.abs(array - array.T)
    i, j = np.unravel_index(off.argmax(), off.shape)
    if off[i, j] > ASYMMETRY * np.abs(array).max():
        raise ValueError(
            f"{words} is not symmetric: {array[i, j]:.3g} at [{i}, {j}], {array[j, i]:.3g} at [{j}, {i}]; "
            "compute it more accurately, or give the mean of it and its transpose"
        )
    return KnownHessian((array + array.T) / 2)


def check_hessian(given: object, has_metric: bool, plain: bool = True) -> None:
    """Raise ValueError where a Hessian is given that would not be used.

    Parameters
    ----------
    given
        The Hessian, or None.
    has_metric, plain
        Whether the rule runs in a metric, and whether what is relaxed is plain atoms.
    """
    if given is not None and not has_metric:
        raise ValueError(
            "hessian= is for rules that run in a metric; use internal-lbfgs, pair-lbfgs or metric=True"
        )
    if given is not None and not plain:
        raise ValueError(
            "hessian= is for plain Atoms, not for filters or bands; give the Atoms, and cell=True"
        )


def check_hessians(given: object, has_metric: bool, structures: object) -> None:
    """Raise ValueError where Hessians are given for ``structures`` that would not be used."""
    check_hessian(given, has_metric)
    if given is None or callable(given):
        return
    if not isinstance(given, Sequence | np.ndarray) or np.ndim(given[0]) == 1:
        raise ValueError("hessian= must be a function, or a sequence with an array for each structure")
    if isinstance(structures, Sized) and len(structures) != len(given):
        raise ValueError(
            f"hessian= has {len(given)} arrays for {len(structures)} structures; give one for each"
        )


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

    Attributes
    ----------
    modes
        What the metric is made of; None before it is first used.
    """

    array: np.ndarray
    begun: tuple[np.ndarray, np.ndarray] | None = None
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
        unit = stiffness_unit(known, m[:n, :n])
        whole = unit * m
        whole[:n, :n] = known
        lower = np.linalg.inv(np.linalg.cholesky(m))
        values, vectors = np.linalg.eigh(lower @ whole @ lower.T)
        longest = float(np.linalg.norm(own, axis=1).max())
        softest = np.maximum(np.abs(values), max(EXACT, SOFTEST * min(1.0, longest / NEAR)) * unit)
        self.modes = Modes(x.copy(), lower.T @ vectors, softest, unit)
        return self.modes


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
        matrix = model.curved.b.matrix if here else model.internals.at(x[None])[1]
        b = matrix[np.flatnonzero(own)][:, 3 * start : 3 * (start + rows)].toarray()
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
        matrix = model.internals.at(both)[1]
        pulled.append((matrix.T @ np.tile(force, len(both))).reshape(2, len(some), size))
    up, down = np.concatenate(pulled, axis=1)
    found = (up - down) / (2 * STEP)
    return np.asarray((found + found.T) / 2)
