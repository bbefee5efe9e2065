"""Model Hessians of large structures, by conjugate gradients."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.network import SpringNetwork, blocks, strained
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Sparse"]


class Sparse:
    """The matrix of one structure of many rows, of which only the blocks of springs are kept."""

    TOLERANCE, ROUNDS = 1e-3, 400
    """Residual, as a share of the right-hand side, and rounds at which conjugate gradients end."""

    VECTORS = 40
    """Size of the Krylov space in which roots are taken."""

    def __init__(self, body: SpringNetwork, stiffness: PairStiffness) -> None:
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
