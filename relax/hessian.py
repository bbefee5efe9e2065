"""Model Hessians of springs: inverted where they are small, and by conjugate gradients where they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import covalent_radii

from relax.metric import PairStiffness
from relax.segments import Segments
from relax.springs import Springs, springs

__all__ = ["Body", "PairHessian", "body_of"]

DENSE = 360
"""Coordinates of a structure up to which its matrix is inverted."""


@dataclass
class Body:
    """One structure as its Hessian sees it.

    Parameters
    ----------
    springs
        Its springs.
    atoms
        Number of atoms, N.
    scale
        Length (A) that a strain of one counts as; None where the cell is held.
    kept
        Projectors (N, 3, 3) on what constraints leave of the atoms' steps; None where they are free.
    """

    springs: Springs
    atoms: int
    scale: float | None = None
    kept: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Rows of the structure: atoms and, where the cell relaxes, three of its strain."""
        return self.atoms + 3 * (self.scale is not None)


def body_of(
    numbers: np.ndarray,
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    stiffness: PairStiffness,
    scale: float | None = None,
    kept: np.ndarray | None = None,
) -> Body:
    """Return a structure as its Hessian sees it, with bonds as long as covalent radii say.

    Where it has so many pairs that they cannot be listed, it is without springs.
    """
    try:
        found = springs(positions, cell, pbc, covalent_radii[numbers], stiffness)
    except ValueError:
        found = Springs.none()
    return Body(found, len(numbers), scale, kept)


class PairHessian:
    """The Hessian of the springs of every structure of a batch, see :class:`~relax.metric.Metric`.

    Parameters
    ----------
    bodies
        The structures.
    stiffness
        How stiff springs are across, and rows by themselves.
    """

    def __init__(self, bodies: Sequence[Body], stiffness: PairStiffness) -> None:
        seg = Segments([body.rows for body in bodies])
        sizes = np.array(seg.lengths)
        self.parts: list[tuple[np.ndarray, Dense | Sparse]] = []
        for rows in np.unique(sizes[3 * sizes <= DENSE]):
            alike = np.flatnonzero(sizes == rows)
            part = Dense([bodies[s] for s in alike.tolist()], stiffness)
            self.parts.append((seg.starts[alike][:, None] + np.arange(rows), part))
        for s in np.flatnonzero(3 * sizes > DENSE).tolist():
            self.parts.append((seg.starts[s] + np.arange(sizes[s])[None], Sparse(bodies[s], stiffness)))

    @cached_property
    def size(self) -> np.ndarray:
        """The mean of the diagonal of H of each structure, on all of its rows (R, 1)."""
        size = np.empty((sum(where.size for where, _ in self.parts), 1))
        for where, part in self.parts:
            size[where] = part.size[:, None, None]
        return size

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.apply(v))

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.solve(v))

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        return self._each(rows, lambda part, v: part.root(v))

    def _each(self, rows: np.ndarray, fn: Callable[[Any, np.ndarray], np.ndarray]) -> np.ndarray:
        out = np.empty_like(rows)
        for where, part in self.parts:
            out[where] = fn(part, rows[where])
        return out


def blocks(springs: Springs, tangent: float) -> np.ndarray:
    """Return the stiffness (P, 3, 3) of springs against a change of their vectors."""
    along, u = springs.along[:, None, None], springs.unit
    return np.asarray(along * ((1 - tangent) * u[:, :, None] * u[:, None, :] + tangent * np.eye(3)))


def strained(springs: Springs, stiff: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pull (P, 3, 9) of a unit of strain on springs, and what strains cost (9, 9).

    Only the symmetric part of a strain changes lengths; the other turns the structure.
    """
    d = springs.vectors / scale
    pull = 0.5 * (stiff[:, :, :, None] * d[:, None, None, :] + stiff[:, :, None, :] * d[:, None, :, None])
    half = np.einsum("pd,pcab->cdab", d, pull)
    cost = 0.5 * (half + half.swapaxes(0, 1)).reshape(9, 9)
    return pull.reshape(-1, 3, 9), cost


class Dense:
    """The matrices of S structures of the same number of rows, R."""

    def __init__(self, bodies: Sequence[Body], stiffness: PairStiffness) -> None:
        rows = bodies[0].rows
        h = np.zeros((len(bodies), rows, 3, rows, 3))
        for s, body in enumerate(bodies):
            self._fill(h[s], body, stiffness.tangent)
        self.h = h.reshape(len(bodies), 3 * rows, 3 * rows)
        for s, body in enumerate(bodies):
            if body.kept is not None:
                self._hold(self.h[s], body.kept)
        diagonal = np.arange(3 * rows)
        self.h[:, diagonal, diagonal] += stiffness.floor

    @staticmethod
    def _fill(h: np.ndarray, body: Body, tangent: float) -> None:
        """Add the springs of ``body`` to its matrix ``h`` (R, 3, R, 3)."""
        springs, n = body.springs, body.atoms
        i, j = springs.first, springs.second
        stiff = blocks(springs, tangent)
        between = np.empty((n, n, 3, 3))
        for a in range(3):
            for b in range(a, 3):
                one_way = np.bincount(i * n + j, stiff[:, a, b], n * n).reshape(n, n)
                between[:, :, a, b] = between[:, :, b, a] = one_way + one_way.T
        atoms = np.arange(n)
        h[:n, :, :n] = -between.transpose(0, 2, 1, 3)
        h[atoms, :, atoms] += between.sum(axis=1)
        if body.scale is None:
            return
        pull, cost = strained(springs, stiff, body.scale)
        net = np.zeros((n, 3, 9))
        for a in range(3):
            for b in range(9):
                net[:, a, b] = np.bincount(j, pull[:, a, b], n) - np.bincount(i, pull[:, a, b], n)
        h[:n, :, n:] = net.reshape(n, 3, 3, 3)
        h[n:, :, :n] = net.reshape(n, 3, 3, 3).transpose(2, 3, 0, 1)
        h[n:, :, n:] = cost.reshape(3, 3, 3, 3)

    @staticmethod
    def _hold(h: np.ndarray, kept: np.ndarray) -> None:
        """Take what constraints hold out of the matrix ``h`` (3R, 3R) of a structure."""
        n = len(kept)
        for rows in (h, h.T):
            view = rows[: 3 * n].reshape(n, 3, -1)
            rows[: 3 * n] = (kept @ view).reshape(3 * n, -1)

    @property
    def size(self) -> np.ndarray:
        """Means of the diagonals (S,)."""
        return np.asarray(np.trace(self.h, axis1=1, axis2=2) / self.h.shape[1])

    @cached_property
    def inverse(self) -> np.ndarray:
        """The inverses (S, 3R, 3R)."""
        return np.linalg.inv(self.h)

    @cached_property
    def halved(self) -> np.ndarray:
        """The inverses of the symmetric square roots (S, 3R, 3R)."""
        values, vectors = np.linalg.eigh(self.h)
        return np.asarray((vectors / np.sqrt(values)[:, None, :]) @ vectors.swapaxes(1, 2))

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times rows (S, R, 3)."""
        return times(self.h, rows)

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times rows (S, R, 3)."""
        return times(self.inverse, rows)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse root of H times rows (S, R, 3)."""
        return times(self.halved, rows)


def times(matrices: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return matrices (S, 3R, 3R) times rows (S, R, 3), each with the rounding it has alone."""
    return np.asarray(matrices @ rows.reshape(len(rows), -1, 1)).reshape(rows.shape)


class Sparse:
    """The matrix of one structure of many rows, of which only the blocks of springs are kept."""

    TOLERANCE, ROUNDS = 1e-3, 400
    """Residual, as a share of the right-hand side, and rounds at which conjugate gradients end."""

    VECTORS = 40
    """Size of the Krylov space in which roots are taken."""

    def __init__(self, body: Body, stiffness: PairStiffness) -> None:
        from scipy.sparse import bsr_array

        n, springs = body.atoms, body.springs
        i, j, own = springs.first, springs.second, np.arange(n)
        self.atoms, self.floor, self.kept = n, stiffness.floor, body.kept
        stiff = blocks(springs, stiffness.tangent)
        apart = stiff * (i != j)[:, None, None]  # its own images go where an atom goes
        diagonal = np.empty((n, 3, 3))
        for a in range(3):
            for b in range(3):
                diagonal[:, a, b] = np.bincount(i, apart[:, a, b], n) + np.bincount(j, apart[:, a, b], n)
        rows, columns = np.concatenate([i, j, own]), np.concatenate([j, i, own])
        order = np.argsort(rows, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
        data = np.concatenate([-apart, -apart, diagonal])[order]
        self.between = bsr_array((data, columns[order], starts), shape=(3 * n, 3 * n))
        self.near = np.linalg.inv(diagonal + stiffness.floor * np.eye(3))
        self.net, self.cost = np.zeros((3 * n, 0)), np.zeros((0, 0))
        if body.scale is not None:
            pull, self.cost = strained(springs, stiff, body.scale)
            flat = pull.reshape(-1, 27).T
            sums = [np.bincount(j, column, n) - np.bincount(i, column, n) for column in flat]
            self.net = np.stack(sums, axis=1).reshape(3 * n, 9)
        held = diagonal if self.kept is None else self.kept @ diagonal @ self.kept.swapaxes(1, 2)
        trace = np.trace(held.sum(axis=0)) + np.trace(self.cost)
        self.size = np.array([self.floor + trace / (3 * body.rows)])

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times rows (1, R, 3)."""
        return self._times(rows.ravel()).reshape(rows.shape)

    def _times(self, v: np.ndarray) -> np.ndarray:
        split = 3 * self.atoms
        atoms, strain = v[:split], v[split:]
        if self.kept is not None:
            atoms = (atoms.reshape(-1, 1, 3) @ self.kept).ravel()
        pulled = self.between @ atoms + self.net @ strain
        if self.kept is not None:
            pulled = (self.kept @ pulled.reshape(-1, 3, 1)).ravel()
        return np.concatenate([pulled, atoms @ self.net + self.cost @ strain]) + self.floor * v

    def _nearly_solved(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of what is on the diagonal, block by block, times ``v`` (3R,)."""
        split = 3 * self.atoms
        atoms = (self.near @ v[:split].reshape(-1, 3, 1)).ravel()
        return np.concatenate([atoms, v[split:] / (self.cost.diagonal() + self.floor)])

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times rows (1, R, 3), by conjugate gradients."""
        residual = rows.ravel().copy()
        x, enough = np.zeros_like(residual), self.TOLERANCE * np.linalg.norm(residual)
        z = self._nearly_solved(residual)
        p, rz = z, residual @ z
        for _ in range(self.ROUNDS):
            if np.linalg.norm(residual) <= enough:
                break
            hp = self._times(p)
            step = rz / (p @ hp)
            x += step * p
            residual -= step * hp
            z = self._nearly_solved(residual)
            rz, before = residual @ z, rz
            p = z + (rz / before) * p
        return x.reshape(rows.shape)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse root of H times rows (1, R, 3), in a Krylov space."""
        v = rows.ravel()
        norm = float(np.linalg.norm(v))
        if norm == 0.0:
            return np.zeros_like(rows)
        basis, diagonal, beside = [v / norm], [], []
        for k in range(min(self.VECTORS, len(v))):
            w = self._times(basis[k])
            diagonal.append(float(w @ basis[k]))
            for vector in basis:  # three terms would do, but for rounding
                w = w - (w @ vector) * vector
            length = float(np.linalg.norm(w))
            if length < 1e-12 * diagonal[0]:
                break
            beside.append(length)
            basis.append(w / length)
        size = len(diagonal)
        small = np.diag(diagonal) + np.diag(beside[: size - 1], 1) + np.diag(beside[: size - 1], -1)
        values, vectors = np.linalg.eigh(small)
        first = norm * vectors @ (vectors[0] / np.sqrt(values))
        return np.reshape(first @ np.array(basis[:size]), rows.shape)
