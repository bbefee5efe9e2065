"""Rows of results that are kept in a file from the moment they are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.crystal_results import write_results

Json = dict[str, Any]


class Book(ABC):
    """The rows that are done, in a file if there is one.

    Parameters
    ----------
    out
        File of results.
    head
        What it says before its rows.
    resume
        Whether rows that are there already, and would be the same if they were made now, are taken over.

    Raises
    ------
    ValueError
        The file at hand is of other starts or another protocol, or is something else.
    """

    DECISIVE: ClassVar[tuple[str, ...]]
    """Entries of the head that must be the same for rows to stand beside each other."""

    def __init__(self, out: Path | None, head: Json, resume: bool = True) -> None:
        self.out, self.head = out, head
        self.rows: dict[Hashable, Json] = {}
        self.stale: list[str] = []
        if out is None:
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            found = self.read(out)
            if resume:
                self.take(found)

    @staticmethod
    @abstractmethod
    def key(row: Json) -> Hashable:
        """Return what names a row among all."""

    @abstractmethod
    def identity(self, row: Json) -> Json:
        """Return what decides a row, as it is now."""

    @abstractmethod
    def read(self, path: Path) -> Json:
        """Return the results in a file.  Raises ValueError where it holds none."""

    @abstractmethod
    def results(self) -> Json:
        """Return all results."""

    def take(self, found: Json) -> None:
        """Take over the rows that are up to date, and note those that are not."""
        if any(found.get(key) != self.head[key] for key in self.DECISIVE):
            raise ValueError(
                f"{self.out} holds results from other starts or another protocol; --no-resume replaces them"
            )
        for row in found["rows"]:
            if self.up_to_date(row):
                self.rows[self.key(row)] = row
            elif row["optimizer"] not in self.stale:
                self.stale.append(row["optimizer"])

    def up_to_date(self, row: Json) -> bool:
        """Whether the row would be the same if it were made now."""
        try:
            return row | self.identity(row) == row
        except (ValueError, TypeError, KeyError):  # there is no such optimizer any more
            return False

    def add(self, row: Json) -> None:
        """Keep a row that is done."""
        self.rows[self.key(row)] = row
        self.save()

    def save(self) -> Json:
        """Write the file of results, and return them."""
        results = self.results()
        if self.out is not None and self.rows:
            write_results(self.out, results)
        return results
