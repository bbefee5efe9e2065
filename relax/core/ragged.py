"""Arrays of a batch that have its atoms, or its structures, on axis 0, and come and go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

__all__ = ["RaggedArrays"]


@dataclass
class RaggedArrays:
    """Arrays by name: those in ``OF_ATOMS`` have the atoms of a batch on axis 0, others its structures."""

    OF_ATOMS: ClassVar[tuple[str, ...]] = ()

    def _names(self, atoms: np.ndarray, structures: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each name, with that of the two masks which is about its axis 0."""
        for field in dataclasses.fields(self):
            yield field.name, atoms if field.name in self.OF_ATOMS else structures

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep the ``atoms`` (N,) and the ``structures`` (S,) that these masks name."""
        for name, keep in self._names(atoms, structures):
            setattr(self, name, getattr(self, name)[keep])

    def extend(self, others: Self) -> None:
        """Add what ``others`` hold after what is here."""
        for field in dataclasses.fields(self):
            both = getattr(self, field.name), getattr(others, field.name)
            setattr(self, field.name, np.concatenate(both))

    def put(self, others: Self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Take over from ``others`` the ``atoms`` (N,) and the ``structures`` (S,) that these masks name."""
        for name, keep in self._names(atoms, structures):
            getattr(self, name)[keep] = getattr(others, name)[keep]
