"""Model Hessians of large structures, as sparse matrices with iterative solvers."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from relax.preconditioner.internal.enumeration import ranges
from relax.preconditioner.matrices.region import Region, diagonal_blocks
from relax.preconditioner.matrices.roots import krylov_root, polynomial_root, product
from relax.preconditioner.network import Straight, strain_blocks

__all__ = ["Sparse"]


class Sparse:
    """The Hessian of one structure with many rows, stored as the blocks of its springs.

    Parameters
    ----------
    straight
        The part that is the same at every place.
    bent
        The part of internal coordinates, a sparse matrix (3R, 3R), if there is any.
    near
        The rows (N,) that internal coordinates depend on, of which ``bent`` (3N, 3N) is then; None for all.

    Attributes
    ----------
    region
        What curved steps and transport need, on the rows ``near``; None without internal coordinates.
    """

    TOLERANCE, ROUGH, ROUNDS = 1e-2, 1e-1, 400
    """Conjugate gradients stop at this residual, relative to the right-hand side, or at the second one if a
    rough solution is enough, or after this number of iterations."""

    DEGREE, LOWER, SOFTEST = 6, 2, 0.03
    """Degrees of the polynomial of :meth:`half_inverse`, the second one if it is rough, and the smallest
    eigenvalue at which it is near the inverse of the square root, relative to the largest."""

    LEFT, VECTORS = 1e-3, 60
    """Roots are computed in a Krylov space that has a solution with this residual, in the norm in which stiff
    rows like those of a strain count less, or of this dimension.  A root of a root is the inverse to 1e-2."""

    def __init__(self, straight: Straight, bent: Any = None, near: np.ndarray | None = None) -> None:
        from scipy.sparse import bsr_array

        network, springs, stiff = straight.network, straight.springs, straight.blocks()
        n = network.atoms
        i, j, own = springs.first, springs.second, np.arange(n)
        self.atoms, self.projectors = n, network.projectors
        self.floor = np.repeat(straight.floor, 3)
        apart = stiff * (i != j)[:, None, None]  # an atom and its own images move together
        columns = np.ascontiguousarray(apart.reshape(-1, 9).T)
        sums = [np.bincount(i, column, n) + np.bincount(j, column, n) for column in columns]
        diagonal = np.stack(sums, axis=1).reshape(n, 3, 3)
        rows, others = np.concatenate([i, j, own]), np.concatenate([j, i, own]).astype(np.int32)
        order = np.argsort(rows, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int32)
        data = np.concatenate([-apart, -apart, diagonal])[order]
        self.between = bsr_array((data, others[order], starts), shape=(3 * n, 3 * n))
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
        self.region, self.bent = None, bent
        if bent is not None:
            if near is not None:
                self.bent = spread(bent, components(near), 3 * network.rows)
            self.region = Region(self._assembled(near), bent)
            diagonal = diagonal + diagonal_blocks(self.bent, n)
            self.strain_diagonal = self.strain_diagonal + self.bent.diagonal()[3 * n :]
        self.factor = self.region.factor if self.region is not None and near is None else None
        blocks = np.linalg.inv(diagonal), np.arange(n), np.arange(n + 1)
        self.diagonal_inverse = bsr_array(blocks, shape=(3 * n, 3 * n))
        trace = np.trace(diagonal.sum(axis=0)) + self.strain_diagonal.sum()
        self.size = np.array([trace / (3 * network.rows)])

    def _assembled(self, near: np.ndarray | None) -> Any:
        """Return the straight part on the rows ``near`` (N,), or on all, as one sparse matrix (3N, 3N)."""
        from scipy.sparse import block_array, bsr_array, csr_array, diags_array

        between, net, floor, projectors = self.between, self.net, self.floor, self.projectors
        if near is not None:
            atoms = near[near < self.atoms]
            between, net = blocks_among(between, atoms), net[components(atoms)]
            floor = floor[components(near)]
            projectors = None if projectors is None else projectors[atoms]
        if projectors is not None:
            n = len(projectors)
            held = bsr_array((projectors, np.arange(n), np.arange(n + 1)), shape=(3 * n, 3 * n))
            between, net = held @ between @ held.T, held @ net
        if net.shape[1]:
            between = block_array([[between, csr_array(net)], [csr_array(net.T), csr_array(self.cost)]])
        return (between + diags_array(floor)).tocsr()

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return H times ``rows`` (1, R, 3)."""
        return self._times(rows.ravel()).reshape(rows.shape)

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self._straight(v) if self.bent is None else self._straight(v) + self.bent @ v

    def _straight(self, v: np.ndarray) -> np.ndarray:
        split = 3 * self.atoms
        atoms, strain = v[:split], v[split:]
        if self.projectors is not None:
            atoms = (atoms.reshape(-1, 1, 3) @ self.projectors).ravel()
        pulled = self.between @ atoms
        if len(strain):
            pulled += self.net @ strain
        if self.projectors is not None:
            pulled = (self.projectors @ pulled.reshape(-1, 3, 1)).ravel()
        if len(strain):
            pulled = np.concatenate([pulled, atoms @ self.net + self.cost @ strain])
        pulled += self.floor * v
        return np.asarray(pulled)

    def _solve_diagonal(self, v: np.ndarray) -> np.ndarray:
        """Return the inverse of the block diagonal of H times ``v`` (3R,)."""
        split = 3 * self.atoms
        solved = self.diagonal_inverse @ v[:split]
        if split == len(v):
            return np.asarray(solved)
        return np.concatenate([solved, v[split:] / self.strain_diagonal])

    def _size(self, v: np.ndarray) -> float:
        """Return the length of ``v`` (3R,) in the inverse of the block diagonal of H."""
        return math.sqrt(product(v, self._solve_diagonal(v)))

    def solve(self, rows: np.ndarray, rough: bool = False) -> np.ndarray:
        """Return the inverse of H times ``rows`` (1, R, 3), perhaps a rough one."""
        if self.factor is not None:
            return np.asarray(self.factor.solve(rows.ravel())).reshape(rows.shape)
        residual = rows.ravel().copy()
        tolerance = self.ROUGH if rough else self.TOLERANCE
        x, enough = np.zeros_like(residual), tolerance**2 * product(residual, residual)
        p = self._solve_diagonal(residual)
        rz = product(residual, p)
        for _ in range(self.ROUNDS):
            if product(residual, residual) <= enough:
                break
            hp = self._times(p)
            step = rz / product(p, hp)
            x += step * p
            residual -= step * hp
            z = self._solve_diagonal(residual)
            rz, before = product(residual, z), rz
            p *= rz / before
            p += z
        return x.reshape(rows.shape)

    @cached_property
    def _softening(self) -> tuple[np.ndarray, np.ndarray]:
        """What makes H about a unit matrix: a number for each coordinate of atoms, a matrix of the strain."""
        softest = np.linalg.eigvalsh(self.diagonal_inverse.data)[:, 0]
        values, vectors = np.linalg.eigh(self.cost + np.diag(self.floor[3 * self.atoms :]))
        strain = (vectors / np.sqrt(values)) @ vectors.T
        return np.repeat(np.sqrt(softest), 3), strain

    def _soften(self, v: np.ndarray) -> np.ndarray:
        atoms, strain = self._softening
        if not len(strain):
            return np.asarray(atoms * v)
        return np.concatenate([atoms * v[: len(atoms)], strain @ v[len(atoms) :]])

    def half_inverse(self, rows: np.ndarray, transposed: bool = False, rough: bool = False) -> np.ndarray:
        """Return W, or its transpose, times ``rows`` (1, R, 3), where W W^T is near the inverse of H.

        ::

            W = B p(B H B),   B = 1 / (largest eigenvalue of an atom's block of H)^1/2

        p is a polynomial near the inverse of the square root.  A spring between two atoms has at most twice
        the energy of their parts of the block diagonal, and one that a strain stretches, too, three times:
        no eigenvalue of B H B is larger.  With internal coordinates, which make H stiffer, W is the root.
        """
        if self.bent is not None:
            return self.root(rows)
        most, v = 3.0 if len(self.cost) else 2.0, rows.ravel()
        v = self._soften(v) if transposed else v
        degree = self.LOWER if rough else self.DEGREE
        made = polynomial_root(self._times_softened, v, self.SOFTEST * most, most, degree)
        return np.reshape(made if transposed else self._soften(made), rows.shape)

    def _times_softened(self, v: np.ndarray) -> np.ndarray:
        return self._soften(self._times(self._soften(v)))

    def root(self, rows: np.ndarray) -> np.ndarray:
        """Return the inverse of the square root of H times ``rows`` (1, R, 3), by the method of Lanczos."""
        root = krylov_root(self._times, self._size, rows.ravel(), self.LEFT, self.VECTORS)
        return root.reshape(rows.shape)


def components(rows: np.ndarray) -> np.ndarray:
    """Return where the components of ``rows`` (N,) are in a matrix (3N,)."""
    return (3 * rows[:, None] + np.arange(3)).ravel()


def spread(matrix: Any, places: np.ndarray, size: int) -> Any:
    """Return a sparse matrix (size, size) with the entries of ``matrix`` (n, n) at ``places`` (n,)."""
    from scipy.sparse import csr_array

    entries = matrix.tocoo()
    return csr_array((entries.data, (places[entries.row], places[entries.col])), shape=(size, size))


def blocks_among(matrix: Any, rows: np.ndarray) -> Any:
    """Return a matrix of 3x3 blocks with those of ``matrix`` that are in ``rows`` and in the same columns."""
    from scipy.sparse import bsr_array

    n, place = len(rows), np.full(len(matrix.indptr) - 1, -1)
    place[rows] = np.arange(n)
    entries, row = ranges(matrix.indptr[rows], np.diff(matrix.indptr)[rows])
    column = place[matrix.indices[entries]]
    kept = column >= 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=n))])
    return bsr_array((matrix.data[entries[kept]], column[kept], starts), shape=(3 * n, 3 * n))
