"""The internal coordinates of a batch and their derivatives, at one or more places of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from relax.core.segments import Segments
from relax.geometry.cell import deformation, strain_gradient
from relax.preconditioner.internal.bonds import Bonds
from relax.preconditioner.internal.terms import Terms

__all__ = ["Internals", "block_diagonal"]


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
        kinds = (terms.stretches, terms.bends, terms.linear, terms.torsions)
        used = np.zeros(len(bonds.first), bool)
        for kind in kinds:
            used[kind] = True
        new = np.cumsum(used) - 1
        self.kinds = [new[kind] for kind in kinds]
        self.first, self.second = bonds.first[used], bonds.second[used]
        self.offsets, owner = bonds.offsets[used], bonds.owner[used]
        self.rows, self.projectors = seg.rows, projectors
        w, of = terms.stiffness, [owner[kind[0]] for kind in self.kinds]
        self.stiffness = np.concatenate([w[0], w[1], np.repeat(w[2], 3), w[3]])
        self.owner = np.concatenate([of[0], of[1], np.repeat(of[2], 3), of[3]])
        self.angles = len(self.stiffness) - len(w[3])  # torsions from here on
        tensors = np.flatnonzero(np.array(seg.tensors))
        self.strained = len(tensors) > 0
        if self.strained:
            place = np.full(len(seg.lengths), -1)
            place[tensors] = np.arange(len(tensors))
            self.tensor_of, self.scales = place[owner], scales[tensors][:, None, None]
            assert seg.ends is not None
            self.strain_rows = seg.ends[:, None] - [3, 2, 1]
        self._lay_out()

    def __len__(self) -> int:
        return len(self.stiffness)

    def _lay_out(self) -> None:
        """Find which rows each coordinate depends on, in the order in which ``at`` has them."""
        columns, counts = [], []
        for kind, bonds in enumerate(self.kinds):
            ends = np.concatenate([self.first[bonds], self.second[bonds]]).T  # (P, 2 bonds)
            if self.strained:
                tensor = self.tensor_of[bonds[0]]
                ends = np.concatenate([ends, self.strain_rows[tensor]], axis=1)
            flat = (3 * ends[:, :, None] + np.arange(3)).reshape(len(ends), 3 * ends.shape[1])
            if kind == 2:
                flat = np.repeat(flat, 3, axis=0)
            columns.append(flat.ravel())
            counts.append(np.full(len(flat), flat.shape[1]))
        self.columns = np.concatenate(columns)
        self.starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])

    def vectors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bond vectors (K, B, 3) and the deformation gradients of the T strained cells."""
        own = x[:, self.second] - x[:, self.first] + self.offsets
        if not self.strained:
            return own, np.empty((len(x), 0, 3, 3))
        strain = self.strains(x)
        deformed = deformation(strain.reshape(-1, 3, 3)).reshape(strain.shape)
        return (self._of_each(deformed, self.tensor_of) @ own[..., None])[..., 0], deformed

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
        u = v / lengths(v)[..., None]
        s, b, lin, t = self.kinds
        u1, u2 = u[:, b[0]], u[:, b[1]]
        bends = 2 * np.arctan2(lengths(u1 - u2), lengths(u1 + u2))
        linear = (u[:, lin[0]] + u[:, lin[1]]).reshape(len(v), 3 * lin.shape[1])
        n1, n2 = cross(v[:, t[1]], v[:, t[0]]), cross(v[:, t[1]], v[:, t[2]])
        torsions = np.arctan2(dot(cross(n1, n2), u[:, t[1]]), dot(n1, n2))
        return np.concatenate([lengths(v[:, s[0]]), bends, linear, torsions], axis=1)

    def change(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return ``after`` less ``before`` (K, M), torsions by less than half a turn."""
        d = after - before
        turn = d[..., self.angles :]
        d[..., self.angles :] = turn - 2 * np.pi * np.round(turn / (2 * np.pi))
        return np.asarray(d)

    def _gradients(self, v: np.ndarray) -> list[np.ndarray]:
        """Return the derivatives by the bond vectors, (K, P, bonds, 3) of each kind."""
        r = lengths(v)[..., None]
        u = v / r
        s, b, lin, t = self.kinds
        u1, u2, r1, r2 = u[:, b[0]], u[:, b[1]], r[:, b[0]], r[:, b[1]]
        c = dot(u1, u2)[..., None]
        sine = np.sqrt(np.maximum(1 - c * c, 1e-8))
        bends = np.stack([(c * u1 - u2) / (r1 * sine), (c * u2 - u1) / (r2 * sine)], axis=2)
        ends = [(np.eye(3) - u[:, e, :, None] * u[:, e, None, :]) / r[:, e, :, None] for e in lin]
        linear = np.stack(ends, axis=3).reshape(len(v), 3 * lin.shape[1], 2, 3)
        x, e, y = v[:, t[0]], v[:, t[1]], v[:, t[2]]
        n1, n2, length = cross(e, x), cross(e, y), r[:, t[1]]
        by_x = -length / np.maximum(dot(n1, n1), 1e-6)[..., None] * n1
        by_y = length / np.maximum(dot(n2, n2), 1e-6)[..., None] * n2
        by_e = -(dot(x, e)[..., None] * by_x + dot(y, e)[..., None] * by_y) / (length * length)
        return [u[:, s[0], None], bends, linear, np.stack([by_x, by_e, by_y], axis=2)]

    def at(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the coordinates (K, M) at ``x`` (K, R, 3) and their derivatives, sparse (K M, K 3R)."""
        v, deformed = self.vectors(x)
        by_strain = self._by_strain(x, deformed)
        data = []
        for kind, g in enumerate(self._gradients(v)):
            bonds = np.repeat(self.kinds[kind].T, 3, axis=0) if kind == 2 else self.kinds[kind].T
            by_first, by_second = -g, g
            if self.projectors is not None:
                by_first, by_second = (
                    (self.projectors[rows[bonds]] @ by[..., None])[..., 0]
                    for by, rows in ((by_first, self.first), (by_second, self.second))
                )
            blocks = [by_first, by_second]
            if self.strained:
                tensor = self.tensor_of[bonds[:, 0]]
                f = self._of_each(deformed, tensor)
                virial = (g.swapaxes(-1, -2) @ v[:, bonds]).reshape(*g.shape[:2], 1, 9)
                strain = (virial @ self._of_each(by_strain, tensor)).reshape(*g.shape[:2], 3, 3)
                strain[:, tensor < 0] = 0.0  # the columns are those of another structure
                blocks = [by_first @ f, by_second @ f, strain]
            whole = np.concatenate(blocks, axis=2)
            data.append(whole.reshape(len(x), whole[0].size))
        values = np.concatenate(data, axis=1)
        return self._values(v), block_diagonal(values, self.columns, self.starts, 3 * self.rows)

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


def block_diagonal(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int) -> Any:
    """Return a sparse matrix with K blocks of ``width`` columns along its diagonal.

    Parameters
    ----------
    values
        Of each block, row by row (K, entries).
    columns, starts
        Where the entries are in each block (entries,), and where its rows start (rows + 1,).
    """
    from scipy.sparse import csr_array

    count, number = len(values), np.arange(len(values))[:, None]
    whole = np.append((starts[:-1] + values.shape[1] * number).ravel(), values.size)
    shape = count * (len(starts) - 1), count * width
    return csr_array((values.ravel(), (columns + width * number).ravel(), whole), shape=shape)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products of vectors (..., 3)."""
    return np.asarray(np.einsum("...i,...i->...", a, b))


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross products of vectors (..., 3), which numpy's own function takes longer for."""
    (a0, a1, a2), (b0, b1, b2) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


def lengths(v: np.ndarray) -> np.ndarray:
    """Return the lengths of vectors (..., 3)."""
    return np.asarray(np.sqrt(np.maximum(dot(v, v), 1e-24)))
