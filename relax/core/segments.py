"""Sums, products and maxima over the rows of each structure of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np

Array = Any

__all__ = ["Array", "Segments", "array_namespace", "row_dot", "row_times"]


def array_namespace(*arrays: Array) -> Any:
    """Return the array-API namespace of ``arrays``.

    Since 2.0 numpy itself has this interface.  The wrappers of array-api-compat around it would cost more
    time than the arithmetic of a rule for a hundred atoms.
    """
    return np if type(arrays[0]) is np.ndarray else array_api_compat.array_namespace(*arrays)


MANY = 1000
"""Rows of a structure above which its inner products are summed as a whole, which takes less time."""


class Segments:
    """The rows of a batch, divided into structures: structure ``i`` owns ``lengths[i]`` consecutive rows.

    Every reduction returns its result on all rows of the structure, so that it combines with arrays of rows
    without indexing.  The order of summation depends on the structure alone.  With numpy, the result of a
    structure is therefore the same to the last bit in any batch, and from run to run.

    Parameters
    ----------
    lengths
        Number of rows of each structure (S,), at least 1.
    tensors
        For each structure (S,), whether its last three rows are one 3x3 tensor, such as its strain, and
        not three vectors.  If not given, there are no tensors.

    Raises
    ------
    ValueError
        There is no structure, one has no rows, or one with a tensor has fewer than three.
    """

    def __init__(self, lengths: Sequence[int], tensors: Sequence[bool] = ()) -> None:
        self.lengths = tuple(int(n) for n in lengths)
        if not self.lengths or min(self.lengths) < 1:
            raise ValueError(f"every structure needs at least one row, got lengths {self.lengths}")
        self.rows = sum(self.lengths)
        self.tensors = tuple(tensors) or (False,) * len(self.lengths)
        if any(t and n < 3 for n, t in zip(self.lengths, self.tensors, strict=True)):
            raise ValueError("a structure with a tensor needs its three rows")
        self.ends = np.cumsum(self.lengths)[np.array(self.tensors, bool)] if any(self.tensors) else None

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of each structure, (S,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def slice(self, s: int) -> slice:
        """Where the rows of structure ``s`` are."""
        return slice(int(self.starts[s]), int(self.starts[s]) + self.lengths[s])

    @cached_property
    def owner(self) -> np.ndarray:
        """Index of the structure that owns each row, (R,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def each(self, fn: Callable[[Array], Array], a: Array) -> Array:
        """Apply ``fn`` to the rows of each structure in turn, and join the results."""
        xp = array_namespace(a)
        cuts = [(int(i), int(i) + n) for i, n in zip(self.starts, self.lengths, strict=True)]
        return xp.concat([fn(a[i:j, ...]) for i, j in cuts], axis=0)

    def _reduce(self, a: Array, numpy_ufunc: np.ufunc, torch_name: str, name: str) -> Array:
        if isinstance(a, np.ndarray):
            return numpy_ufunc.reduceat(a, self.starts, axis=0)[self.owner]
        if array_api_compat.is_torch_array(a):
            import torch

            lengths = torch.tensor(self.lengths, device=a.device)
            reduced: Array = torch.segment_reduce(a, torch_name, lengths=lengths, axis=0)
            return torch.repeat_interleave(reduced, lengths, dim=0)
        xp = array_namespace(a)
        reduce = getattr(xp, name)
        return self.each(lambda rows: xp.broadcast_to(reduce(rows, axis=0, keepdims=True), rows.shape), a)

    def sum(self, a: Array) -> Array:
        """Sum ``a`` (R, k) over the rows of each structure -> (R, k)."""
        return self._reduce(a, np.add, "sum", "sum")

    def max(self, a: Array) -> Array:
        """Maximum of ``a`` (R, k) over the rows of each structure -> (R, k)."""
        return self._reduce(a, np.maximum, "max", "max")

    def dot(self, a: Array, b: Array) -> Array:
        """Inner product of ``a`` and ``b`` (R, 3) within each structure -> (R, 1)."""
        if not self.long or not isinstance(a, np.ndarray):
            return self.sum(row_dot(a, b))
        out = np.empty((self.rows, 1)) if len(self.long) == len(self.lengths) else self.sum(row_dot(a, b))
        for s in self.long:
            mine = self.slice(s)
            out[mine] = np.multiply(a[mine], b[mine], order="C").sum()
        return out

    @cached_property
    def long(self) -> list[int]:
        """The structures with more than :data:`MANY` rows."""
        return [s for s, n in enumerate(self.lengths) if n > MANY]

    def own_dot(self, a: Array, b: Array) -> Array:
        """Inner product of each row of ``a`` with the same row of ``b``, (R, 3) -> (R, 1).

        The three rows of a tensor share one product, that of the whole tensor.  Separate products would
        change when the structure is rotated.
        """
        dots = row_dot(a, b)
        if self.ends is None:
            return dots
        xp = array_namespace(dots)
        rows = self._indices(dots, self.ends[:, None] - [3, 2, 1])
        whole = xp.sum(xp.reshape(xp.take(dots, rows, axis=0), (-1, 3, 1)), axis=1)
        return xp.take(xp.concat([dots, whole], axis=0), self._indices(dots, self._spread), axis=0)

    @cached_property
    def _spread(self) -> np.ndarray:
        """Index (R,) of each row's product in the list of row products followed by tensor products."""
        assert self.ends is not None
        spread = np.arange(self.rows)
        spread[self.ends[:, None] - [3, 2, 1]] = self.rows + np.arange(len(self.ends))[:, None]
        return spread

    @staticmethod
    def _indices(like: Array, indices: np.ndarray) -> Array:
        flat = indices.ravel()
        xp = array_namespace(like)
        return flat if xp is np else xp.asarray(flat.tolist(), device=array_api_compat.device(like))

    def longest(self, a: Array) -> Array:
        """Length of the longest row or tensor of ``a`` (R, 3) in each structure -> (R, 1)."""
        xp = array_namespace(a)
        return xp.sqrt(self.max(self.own_dot(a, a)))

    def mean(self, a: Array) -> Array:
        """Mean of ``a`` (R, k) over the rows of each structure -> (R, k)."""
        xp = array_namespace(a)
        return self.sum(a) / self.sum(xp.ones_like(a))


def row_dot(a: Array, b: Array) -> Array:
    """Inner product of each row of ``a`` with the same row of ``b``, (R, 3) -> (R, 1)."""
    xp = array_namespace(a)
    return xp.vecdot(a, b)[:, None]


def row_times(rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return each of ``rows`` (N, 3) times its own matrix (N, 3, 3).

    The sum over three components is written out, so that what happens to a structure does not depend, to the
    last bit, on what else is in the batch.
    """
    return np.asarray(
        rows[:, 0:1] * matrices[:, 0] + rows[:, 1:2] * matrices[:, 1] + rows[:, 2:3] * matrices[:, 2]
    )
