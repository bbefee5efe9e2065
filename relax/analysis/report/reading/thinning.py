"""Some of the items of a long sequence, evenly spaced."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Thinned"]

T = TypeVar("T")


class Thinned(Generic[T]):
    """At most ``limit`` items of a sequence whose length is not known before its end.

    Parameters
    ----------
    limit
        Most items that are kept, 2 or more.  Of a sequence that is longer, at least half as many are.

    Attributes
    ----------
    items
        Those that are kept, the first one among them.
    seen
        How many there were.
    """

    def __init__(self, limit: int) -> None:
        self.limit = max(2, limit - limit % 2)
        self.items: list[T] = []
        self.seen = 0
        self._stride = 1

    @property
    def due(self) -> bool:
        """Whether the next item is kept; to make one that is not can be spared by :meth:`skip`."""
        return self.seen % self._stride == 0

    def skip(self) -> None:
        """Count an item that is not due."""
        self.seen += 1

    def add(self, item: T) -> None:
        """Count an item, and keep it if it is due."""
        if self.due:
            if len(self.items) == self.limit:
                self.items, self._stride = self.items[::2], 2 * self._stride
            self.items.append(item)
        self.seen += 1
