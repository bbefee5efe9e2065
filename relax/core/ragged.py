"""Arrays of a batch with atoms or structures on axis 0, which are masked and joined together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

__all__ = ["RaggedArrays"]


@dataclass
class RaggedArrays:
    """Arrays of a batch of S structures with N atoms in all.

    Those named in ``OF_ATOMS`` have the N atoms on axis 0, all others the S structures.  A field may also be
    ``RaggedArrays`` itself.
    """

    OF_ATOMS: ClassVar[tuple[str, ...]] = ()

    def _fields(self, atoms: np.ndarray, structures: np.ndarray) -> Iterator[tuple[str, Any, np.ndarray]]:
        """Yield the name and the value of each field with the mask that fits its axis 0."""
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name), atoms if field.name in self.OF_ATOMS else structures

    def copy(self) -> Self:
        """Return arrays that share no memory with these."""
        return type(self)(**{f.name: getattr(self, f.name).copy() for f in dataclasses.fields(self)})

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep only what the masks ``atoms`` (N,) and ``structures`` (S,) select."""
        for name, value, keep in self._fields(atoms, structures):
            if isinstance(value, RaggedArrays):
                value.take(atoms, structures)
            else:
                setattr(self, name, value[keep])

    def extend(self, others: Self) -> None:
        """Append the arrays of ``others``."""
        for field in dataclasses.fields(self):
            value, more = getattr(self, field.name), getattr(others, field.name)
            if isinstance(value, RaggedArrays):
                value.extend(more)
            else:
                setattr(self, field.name, np.concatenate([value, more]))

    def put(self, others: Self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Copy from ``others`` what the masks ``atoms`` (N,) and ``structures`` (S,) select."""
        for name, value, keep in self._fields(atoms, structures):
            if isinstance(value, RaggedArrays):
                value.put(getattr(others, name), atoms, structures)
            elif keep.all():
                value[...] = getattr(others, name)
            else:
                value[keep] = getattr(others, name)[keep]
