"""The internal coordinates of a batch and their derivatives, at one or more places of its rows."""

from __future__ import annotations

from copy import copy

import numpy as np

from relax.core.segments import Segments
from relax.geometry.cell import deformation, strain_gradient
from relax.preconditioner.internal.bonds import Bonds
from relax.preconditioner.internal.derivatives import Derivatives, block_diagonal
from relax.preconditioner.internal.terms import Terms

__all__ = ["Internals"]


class Internals:
    """M internal coordinates of a batch with R rows, as functions of the rows.

    Parameters
    ----------
    bonds, terms
        What the coordinates are made of.
    seg
        The rows of the structures; those with a strain have it as a tensor.
    scales
        Length of a strain of one for each structure (S,), A.
    projectors
        What constraints leave of the steps of the rows (R, 3, 3); None without constraints.
    """

    def __init__(
        self, bonds: Bonds, terms: Terms, seg: Segments, scales: np.ndarray, projectors: np.ndarray | None
    ) -> None:
        kinds, p = terms[:-1], bonds.pairs
        used = np.zeros(p, bool)
        for kind in kinds:
            used[kind % p] = True
        new, self.bonds = np.cumsum(used) - 1, int(used.sum())
        self.kinds = [new[kind % p] + self.bonds * (kind >= p) for kind in kinds]
        both = np.tile(used, 2)
        self.first, self.second = bonds.first[both], bonds.second[both]
        self.offsets, owner = bonds.offsets[:p][used], bonds.owner[both]
        self.rows, self.projectors = seg.rows, projectors
        w, of = terms.stiffness, [owner[kind[0]] for kind in self.kinds]
        self.stiffness = np.concatenate([w[0], w[1], np.repeat(w[2], 3), *w[3:]])
        self.owner = np.concatenate([of[0], of[1], np.repeat(of[2], 3), *of[3:]])
        self.angles = len(self.stiffness) - len(w[4])  # torsions from here on
        tensors = np.flatnonzero(np.array(seg.tensors))
        self.strained = len(tensors) > 0
        if self.strained:
            place = np.full(len(seg.lengths), -1)
            place[tensors] = np.arange(len(tensors))
            self.tensor_of, self.tensor_of_row = place[owner[: self.bonds]], place[seg.owner]
            self.scales = scales[tensors][:, None, None]
            assert seg.ends is not None
            self.strain_rows = seg.ends[:, None] - [3, 2, 1]
        self._lay_out()

    def __len__(self) -> int:
        return len(self.stiffness)

    @property
    def near(self) -> np.ndarray:
        """The rows that the coordinates depend on, sorted (N,)."""
        strained = self.strain_rows.ravel() if self.strained else np.zeros(0, int)
        return np.unique(np.concatenate([self.first, self.second, strained]))

    def among(self, rows: np.ndarray) -> Internals:
        """Return the same coordinates as functions of ``rows`` (N,) alone, all of :attr:`near` among them."""
        found, place = copy(self), np.full(self.rows, -1)
        place[rows] = np.arange(len(rows))
        found.first, found.second, found.rows = place[self.first], place[self.second], len(rows)
        found.projectors = None if self.projectors is None else self.projectors[rows]
        if self.strained:
            found.tensor_of_row, found.strain_rows = self.tensor_of_row[rows], place[self.strain_rows]
        found._lay_out()
        return found

    def _lay_out(self) -> None:
        """Find on which bonds each coordinate depends, and on which rows each bond."""
        columns, counts = [], []
        for kind, bonds in enumerate(self.kinds):
            flat = (3 * bonds.T[:, :, None] + np.arange(3)).reshape(bonds.shape[1], 3 * len(bonds))
            if kind == 2:
                flat = np.repeat(flat, 3, axis=0)
            columns.append(flat.ravel())
            counts.append(np.full(len(flat), flat.shape[1]))
        directed = np.concatenate(columns)
        self.columns = directed % (3 * self.bonds)
        self.signs = np.where(directed < 3 * self.bonds, 1.0, -1.0)
        self.starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        ends, xyz = np.stack([self.first[: self.bonds], self.second[: self.bonds]], axis=1), np.arange(3)
        self.bond_columns = 3 * ends[:, None] + xyz[:, None]
        self.row_columns = np.repeat(np.arange(3 * self.rows).reshape(-1, 1, 3), 3, axis=1).ravel()
        self.row_starts = 3 * np.arange(3 * self.rows + 1)
        if self.strained:
            strain = 3 * self.rows + 9 * self.tensor_of[:, None, None] + np.arange(9).reshape(3, 3)
            self.bond_columns = np.concatenate([self.bond_columns, strain], axis=2)
            own = (3 * self.strain_rows[:, :, None] + xyz).reshape(-1, 1, 9)
            self.row_columns = np.concatenate([self.row_columns, np.repeat(own, 9, axis=1).ravel()])
            ends = self.row_starts[-1] + 9 * np.arange(1, 9 * len(own) + 1)
            self.row_starts = np.concatenate([self.row_starts, ends])

    def vectors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bond vectors (3, K, 2B), A, and the deformation gradients of the T strained cells.

        Components are on axis 0, since arithmetic is slow along a short last axis.
        """
        rows, b = np.ascontiguousarray(np.moveaxis(x, -1, 0)), self.bonds
        v = rows[:, :, self.second[:b]] - rows[:, :, self.first[:b]] + self.offsets.T[:, None]
        deformed = np.empty((len(x), 0, 3, 3))
        if self.strained:
            strain = self.strains(x)
            deformed = deformation(strain.reshape(-1, 3, 3)).reshape(strain.shape)
            f = np.moveaxis(self._of_each(deformed, self.tensor_of), (2, 3), (0, 1))
            v = f[:, 0] * v[0] + f[:, 1] * v[1] + f[:, 2] * v[2]
        return np.concatenate([v, -v], axis=2), deformed

    def strains(self, x: np.ndarray) -> np.ndarray:
        """Return the log strains (K, T, 3, 3) of the T strained cells."""
        return np.asarray(x[:, self.strain_rows] / self.scales)

    def _of_each(self, matrices: np.ndarray, tensor: np.ndarray) -> np.ndarray:
        """Return the matrices (K, T, n, n) of some structures (P,), or one for all (K, 1, n, n)."""
        if matrices.shape[1] == 1 and (tensor == 0).all():
            return matrices
        found = matrices[:, tensor]
        found[:, tensor < 0] = np.eye(matrices.shape[-1])
        return found

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return the coordinates (K, M), A and rad, at the rows ``x`` (K, R, 3)."""
        return self._values(self.vectors(x)[0])

    def _values(self, v: np.ndarray) -> np.ndarray:
        s, b, lin, p, t = self.kinds
        r = lengths(v)
        u = v / r
        u1, u2 = u[..., b[0]], u[..., b[1]]
        bends = 2 * np.arctan2(lengths(u1 - u2), lengths(u1 + u2))
        linear = np.moveaxis(u[..., lin[0]] + u[..., lin[1]], 0, -1).reshape(v.shape[1], 3 * lin.shape[1])
        e, y = v[..., t[1]], v[..., t[2]]
        n1, n2 = cross(e, v[..., t[0]]), cross(e, y)
        torsions = np.arctan2(dot(cross(n1, n2), u[..., t[1]]), dot(n1, n2))
        planes = dot(u[..., p[0]], cross(u[..., p[1]], u[..., p[2]]))
        return np.concatenate([r[:, s[0]], bends, linear, planes, torsions], axis=1)

    def change(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return ``after`` less ``before`` (K, M), torsions by less than half a turn."""
        d = after - before
        turn = d[..., self.angles :]
        d[..., self.angles :] = turn - 2 * np.pi * np.round(turn / (2 * np.pi))
        return np.asarray(d)

    def _gradients(self, v: np.ndarray) -> list[np.ndarray]:
        """Return the derivatives by the bond vectors, of each kind (bonds, 3, K, P)."""
        r = lengths(v)
        u = v / r
        s, b, lin, p, t = self.kinds
        u1, u2, r1, r2 = u[..., b[0]], u[..., b[1]], r[:, b[0]], r[:, b[1]]
        c = dot(u1, u2)
        sine = np.sqrt(np.maximum(1 - c * c, 1e-8))
        bends = np.stack([(c * u1 - u2) / (r1 * sine), (c * u2 - u1) / (r2 * sine)])
        ends = [(np.eye(3)[:, :, None, None] - u[:, None, :, e] * u[None, ..., e]) / r[:, e] for e in lin]
        x, e, y, length = v[..., t[0]], v[..., t[1]], v[..., t[2]], r[:, t[1]]
        n1, n2 = cross(e, x), cross(e, y)
        by_x = -length / np.maximum(dot(n1, n1), 1e-6) * n1
        by_y = length / np.maximum(dot(n2, n2), 1e-6) * n2
        by_e = -(dot(x, e) * by_x + dot(y, e) * by_y) / (length * length)
        planes = []
        for k in range(3):
            own, normal = u[..., p[k]], cross(u[..., p[k - 2]], u[..., p[k - 1]])
            planes.append((normal - dot(own, normal) * own) / r[:, p[k]])
        return [u[None, ..., s[0]], bends, np.stack(ends), np.stack(planes), np.stack([by_x, by_e, by_y])]

    def at(self, x: np.ndarray) -> tuple[np.ndarray, Derivatives]:
        """Return the coordinates (K, M) and their derivatives at the rows ``x`` (K, R, 3)."""
        v, deformed = self.vectors(x)
        return self._values(v), self._derivatives(x, v, deformed)

    def derivatives(self, x: np.ndarray) -> Derivatives:
        """Return the derivatives of the coordinates at the rows ``x`` (K, R, 3)."""
        return self._derivatives(x, *self.vectors(x))

    def _derivatives(self, x: np.ndarray, v: np.ndarray, deformed: np.ndarray) -> Derivatives:
        """Return the derivatives by the bonds, of the bonds by the atoms and cells, and of these by the rows.

        The change of a bond is the difference of the displacements of its atoms and dF F^-1 times its vector.
        """
        count, flat = len(x), []
        for kind, g in enumerate(self._gradients(v)):
            flat.append(g.transpose((3, 4, 1, 0, 2) if kind == 2 else (2, 3, 0, 1)).reshape(count, -1))
        by_bonds = block_diagonal(
            np.concatenate(flat, axis=1) * self.signs, self.columns, self.starts, 3 * self.bonds
        )
        change = np.empty((count, *self.bond_columns.shape))
        change[..., 0], change[..., 1] = -1.0, 1.0
        if self.strained:
            own = np.where(self.tensor_of < 0, 0.0, v[..., : self.bonds])
            change[..., 2:] = np.moveaxis(own, 0, -1)[:, :, None]
        width, each = len(self.row_starts) - 1, np.arange(0, change[0].size + 1, change.shape[3])
        of_bonds = block_diagonal(change.reshape(count, -1), self.bond_columns.ravel(), each, width)
        factors = [by_bonds, of_bonds]
        if self.strained or self.projectors is not None:
            frames = np.eye(3) if self.projectors is None else self.projectors.swapaxes(1, 2)
            if self.strained:
                frames = frames @ self._of_each(deformed, self.tensor_of_row)
            frames = np.broadcast_to(frames, (count, self.rows, 3, 3)).reshape(count, -1)
            frames = np.concatenate([frames, self._by_strain(x, deformed).reshape(count, -1)], axis=1)
            factors.append(block_diagonal(frames, self.row_columns, self.row_starts, 3 * self.rows))
        return Derivatives(factors, count)

    def _by_strain(self, x: np.ndarray, deformed: np.ndarray) -> np.ndarray:
        """Return matrices (K, T, 9, 9) that turn virials into derivatives by the rows of the strains."""
        if not self.strained:
            return np.empty((len(x), 0, 9, 9))
        strain, units = self.strains(x), np.eye(9).reshape(9, 3, 3)
        shape = (*strain.shape[:2], 9, 3, 3)
        a, f, virial = (
            np.broadcast_to(each, shape).reshape(-1, 3, 3)
            for each in (strain[:, :, None], deformed[:, :, None], units)
        )
        made = strain_gradient(a, f, virial).reshape(shape)
        made = 0.5 * (made + made.swapaxes(-1, -2)) / self.scales[:, None]
        return np.asarray(made.reshape(*shape[:2], 9, 9))


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products of vectors (3, ...)."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross products of vectors (3, ...)."""
    (a0, a1, a2), (b0, b1, b2) = a, b
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0])


def lengths(v: np.ndarray) -> np.ndarray:
    """Return the lengths of vectors (3, ...)."""
    return np.asarray(np.sqrt(np.maximum(dot(v, v), 1e-24)))
