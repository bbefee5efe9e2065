"""Model Hessians of large structures, as sparse matrices with iterative solvers."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.network import SpringNetwork, blocks, strain_blocks
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Sparse"]


class Sparse:
    """The Hessian of one structure with many rows, stored as the blocks of its springs."""

    TOLERANCE, ROUNDS = 1e-3, 400
    """Conjugate gradients stop at this residual, relative to the right-hand side, or after this number of
    iterations."""

    VECTORS = 40
    """Dimension of the Krylov space in which roots are computed."""

    def __init__(self, network: SpringNetwork, stiffness: PairStiffness) -> None:
        from scipy.sparse import bsr_array

        n, springs = network.atoms, network.springs
        i, j, own = springs.first, springs.second, np.arange(n)
        self.atoms, self.floor, self.projectors = n, stiffness.floor, network.projectors
        stiff = blocks(springs, stiffness.tangent)
        apart = stiff * (i != j)[:, None, None]  # an atom and its own images move together
        diagonal = np.empty((n, 3, 3))
        for a in range(3):
            for b in range(3):
                diagonal[:, a, b] = np.bincount(i, apart[:, a, b], n) + np.bincount(j, apart[:, a, b], n)
        rows, columns = np.concatenate([i, j, own]), np.concatenate([j, i, own])
        order = np.argsort(rows, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
        data = np.concatenate([-apart, -apart, diagonal])[order]
        self.between = bsr_array((data, columns[order], starts), shape=(3 * n, 3 * n))
        self.diagonal_inverse = np.linalg.inv(diagonal + stiffness.floor * np.eye(3))
        self.net, self.cost = np.zeros((3 * n, 0)), np.zeros((0, 0))
        if network.scale is not None:
            pull, self.cost = strain_blocks(springs, stiff, network.scale)
            flat = pull.reshape(-1, 27).T
            sums = [np.bincount(j, column, n) - np.bincount(i, column, n) for column in flat]
            self.net = np.stack(sums, axis=1).reshape(3 * n, 9)
        if self.projectors is not None:
            diagonal = self.projectors @ diagonal @ self.projectors.swapaxes(1, 2)
        trace = np.trace(diagonal.sum(axis=0)) + np.trace(self.cost)
        self.size = np.array([self.floor + trace / (3 * network.rows)])

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (1, R, 3)."""
        return self._times(rows.ravel()).reshape(rows.shape)

    def _times(self, v: np.ndarray) -> np.ndarray:
        split = 3 * self.atoms
        atoms, strain = v[:split], v[split:]
        if self.projectors is not None:
            atoms = (atoms.reshape(-1, 1, 3) @ self.projectors).ravel()
        pulled = self.between @ atoms + self.net @ strain
        if self.projectors is not None:
            pulled = (self.projectors @ pulled.reshape(-1, 3, 1)).ravel()
        return np.concatenate([pulled, atoms @ self.net + self.cost @ strain]) + self.floor * v

    def _solve_diagonal(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of the block diagonal of H times ``v`` (3R,)."""
        split = 3 * self.atoms
        atoms = (self.diagonal_inverse @ v[:split].reshape(-1, 3, 1)).ravel()
        return np.concatenate([atoms, v[split:] / (self.cost.diagonal() + self.floor)])

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (1, R, 3), by conjugate gradients."""
        residual = rows.ravel().copy()
        x, enough = np.zeros_like(residual), self.TOLERANCE * np.linalg.norm(residual)
        z = self._solve_diagonal(residual)
        p, rz = z, residual @ z
        for _ in range(self.ROUNDS):
            if np.linalg.norm(residual) <= enough:
                break
            hp = self._times(p)
            step = rz / (p @ hp)
            x += step * p
            residual -= step * hp
            z = self._solve_diagonal(residual)
            rz, before = residual @ z, rz
            p = z + (rz / before) * p
        return x.reshape(rows.shape)

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the square root of H times ``rows`` (1, R, 3), in a Krylov space."""
        v = rows.ravel()
        norm = float(np.linalg.norm(v))
        if norm == 0.0:
            return np.zeros_like(rows)
        basis, diagonal, beside = [v / norm], [], []
        for k in range(min(self.VECTORS, len(v))):
            w = self._times(basis[k])
            diagonal.append(float(w @ basis[k]))
            for vector in basis:  # the last two would do without rounding
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
