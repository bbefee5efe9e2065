"""Arrays of a batch with atoms or structures on axis 0, which are masked and joined together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

__all__ = ["RaggedArrays"]


@dataclass
class RaggedArrays:
    """Arrays of a batch of S structures with N atoms in all.

    Those named in ``OF_ATOMS`` have the N atoms on axis 0, all others the S structures.
    """

    OF_ATOMS: ClassVar[tuple[str, ...]] = ()

    def _names(self, atoms: np.ndarray, structures: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name of each array with the mask that fits its axis 0."""
        for field in dataclasses.fields(self):
            yield field.name, atoms if field.name in self.OF_ATOMS else structures

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep only what the masks ``atoms`` (N,) and ``structures`` (S,) select."""
        for name, keep in self._names(atoms, structures):
            setattr(self, name, getattr(self, name)[keep])

    def extend(self, others: Self) -> None:
        """Append the arrays of ``others``."""
        for field in dataclasses.fields(self):
            both = getattr(self, field.name), getattr(others, field.name)
            setattr(self, field.name, np.concatenate(both))

    def put(self, others: Self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Copy from ``others`` what the masks ``atoms`` (N,) and ``structures`` (S,) select."""
        for name, keep in self._names(atoms, structures):
            getattr(self, name)[keep] = getattr(others, name)[keep]
