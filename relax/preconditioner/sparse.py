"""Model Hessians of large structures, as sparse matrices with iterative solvers."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from relax.preconditioner.network import Straight, strain_blocks

__all__ = ["Sparse"]

FACTORED = 2e8
"""Most multiplications that the sparse factorisation of a matrix with internal coordinates may take, as a
band.  Beyond, iterations take less time."""

DENSE, WIDE = 2000, 9.0
"""Largest matrix that is factorised as a dense one, and the cube of its size over the multiplications as a
band up to which this takes less time than as a sparse one."""


class Sparse:
    """The Hessian of one structure with many rows, stored as the blocks of its springs.

    Parameters
    ----------
    straight
        The part that is the same at every place.
    bent
        The part of internal coordinates, a sparse matrix (3R, 3R), if there is any.
    """

    TOLERANCE, ROUNDS = 1e-3, 400
    """Conjugate gradients stop at this residual, relative to the right-hand side, or after this number of
    iterations."""

    VECTORS = 40
    """Dimension of the Krylov space in which roots are computed."""

    def __init__(self, straight: Straight, bent: Any = None) -> None:
        from scipy.sparse import bsr_array

        network, springs, stiff = straight.network, straight.springs, straight.blocks()
        n = network.atoms
        i, j, own = springs.first, springs.second, np.arange(n)
        self.atoms, self.projectors, self.bent = n, network.projectors, bent
        self.floor = np.repeat(straight.floor, 3)
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
        self.net, self.cost = np.zeros((3 * n, 0)), np.zeros((0, 0))
        if network.scale is not None:
            pull, self.cost = strain_blocks(springs, stiff, network.scale)
            flat = pull.reshape(-1, 27).T
            sums = [np.bincount(j, column, n) - np.bincount(i, column, n) for column in flat]
            self.net = np.stack(sums, axis=1).reshape(3 * n, 9)
        if self.projectors is not None:
            diagonal = self.projectors @ diagonal @ self.projectors.swapaxes(1, 2)
        diagonal = diagonal + straight.floor[:n, None, None] * np.eye(3)
        self.strain_diagonal = self.cost.diagonal() + self.floor[3 * n :]
        if bent is not None:
            diagonal = diagonal + diagonal_blocks(bent, n)
            self.strain_diagonal = self.strain_diagonal + bent.diagonal()[3 * n :]
        blocks = np.linalg.inv(diagonal), np.arange(n), np.arange(n + 1)
        self.diagonal_inverse = bsr_array(blocks, shape=(3 * n, 3 * n))
        trace = np.trace(diagonal.sum(axis=0)) + self.strain_diagonal.sum()
        self.size = np.array([trace / (3 * network.rows)])

        self.factor: Any = None
        if bent is not None:
            self.whole = (self.assembled + bent).tocsr()
            self.factor = factorised(self.whole, band_work(self.whole[: 3 * n, : 3 * n]))

    @property
    def exact(self) -> bool:
        """Whether ``precondition`` is the inverse."""
        return self.factor is not None

    @cached_property
    def assembled(self) -> Any:
        """Return the straight part as one sparse matrix (3R, 3R)."""
        from scipy.sparse import block_array, bsr_array, csr_array, diags_array

        between, net = self.between, self.net
        if self.projectors is not None:
            n = self.atoms
            held = bsr_array((self.projectors, np.arange(n), np.arange(n + 1)), shape=(3 * n, 3 * n))
            between, net = held @ between @ held.T, held @ net
        if net.shape[1]:
            between = block_array([[between, csr_array(net)], [csr_array(net.T), csr_array(self.cost)]])
        return (between + diags_array(self.floor)).tocsr()

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (1, R, 3)."""
        return self._times(rows.ravel()).reshape(rows.shape)

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self._straight(v) if self.bent is None else self.whole @ v

    def linear(self, rows: np.ndarray) -> np.ndarray:
        """Return the straight part of H times ``rows`` (K, 1, R, 3)."""
        found = self.assembled @ rows.reshape(len(rows), -1).T
        return np.ascontiguousarray(found.T).reshape(rows.shape)

    def precondition(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H, or of its block diagonal, times ``rows`` (K, 1, R, 3)."""
        solve = self._solve_diagonal if self.factor is None else self.factor.solve
        return np.ascontiguousarray(solve(rows.reshape(len(rows), -1).T).T).reshape(rows.shape)

    def _straight(self, v: np.ndarray) -> np.ndarray:
        split = 3 * self.atoms
        atoms, strain = v[:split], v[split:]
        if self.projectors is not None:
            atoms = (atoms.reshape(-1, 1, 3) @ self.projectors).ravel()
        pulled = self.between @ atoms + self.net @ strain
        if self.projectors is not None:
            pulled = (self.projectors @ pulled.reshape(-1, 3, 1)).ravel()
        moved = np.concatenate([pulled, atoms @ self.net + self.cost @ strain])
        return np.asarray(moved + self.floor * v)

    def _solve_diagonal(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of the block diagonal of H times ``v`` (3R,) or (3R, K)."""
        split = 3 * self.atoms
        strain = (v[split:].T / self.strain_diagonal).T
        return np.concatenate([self.diagonal_inverse @ v[:split], strain])

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of H times ``rows`` (1, R, 3)."""
        if self.factor is not None:
            return np.asarray(self.factor.solve(rows.ravel())).reshape(rows.shape)
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


def factorised(matrix: Any, work: float) -> Any:
    """Return an object with the method ``solve``, None if iterations take less time.

    Parameters
    ----------
    matrix
        A sparse matrix (n, n), symmetric and positive definite.
    work
        Multiplications of a factorisation as a band.
    """
    from scipy.sparse.linalg import splu

    if matrix.shape[0] <= DENSE and matrix.shape[0] ** 3 <= WIDE * work:
        return Cholesky(matrix.toarray())
    if work > FACTORED:
        return None
    return splu(matrix.T, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


class Cholesky:
    """The Cholesky factorisation of a dense symmetric positive definite ``matrix`` (n, n)."""

    def __init__(self, matrix: np.ndarray) -> None:
        from scipy.linalg import cho_factor

        self.factor = cho_factor(matrix.T, overwrite_a=True, check_finite=False)

    def solve(self, columns: np.ndarray) -> np.ndarray:
        """Return the inverse of the matrix times ``columns`` (n,) or (n, K)."""
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self.factor, columns, check_finite=False))


def band_work(matrix: Any) -> float:
    """Return the multiplications of a Cholesky factorisation of a sparse matrix that is ordered as a band."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    entries = matrix.tocoo()
    width = float(np.abs(place[entries.row] - place[entries.col]).max(initial=0))
    return len(order) * width * width


def diagonal_blocks(matrix: Any, atoms: int) -> np.ndarray:
    """Return the blocks (N, 3, 3) on the diagonal of a sparse matrix."""
    blocks = matrix.tobsr((3, 3)) if matrix.shape[0] % 3 == 0 else matrix
    rows = np.repeat(np.arange(len(blocks.indptr) - 1), np.diff(blocks.indptr))
    own = np.flatnonzero((blocks.indices == rows) & (rows < atoms))
    out = np.zeros((atoms, 3, 3))
    out[rows[own]] = blocks.data[own]
    return out
