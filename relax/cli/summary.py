"""What is push_pair of the structures of a batch: counts, and little else however many there are."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relax.core.result import Result

__all__ = ["Line", "Tally"]

FEW = 50
"""Structures that are shown one by one."""

REASONS = 20
"""Structures of which it is said why they did not converge."""


@dataclass(frozen=True)
class Line:
    """A structure in the table of a run."""

    source: str
    formula: str
    natoms: int
    result: Result


class Tally:
    """The count of a batch.

    Attributes
    ----------
    ended
        How many structures ended in which way.
    before
        The same of those that an earlier run left in the output.
    bad
        Structures and files that were of no use.
    given_up
        Structures that were under way at the end.
    calls
        Force calls.
    unconverged
        The first that did not converge, by their place in the input.
    """

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.before: Counter[str] = Counter()
        self.bad = self.given_up = self.calls = 0
        self.unconverged: dict[int, Line] = {}
        self._few: dict[int, Line] = {}
        self._began = time.monotonic()
        self._seconds: float | None = None

    def start(self) -> None:
        """The first structure is about to begin."""
        self._began = time.monotonic()

    def stop(self, given_up: int) -> None:
        """The run is over, however it ended."""
        self._seconds, self.given_up = self.seconds, given_up

    def add(self, place: int, line: Line) -> None:
        """A structure has ended."""
        self.ended[line.result.status] += 1
        self.calls += line.result.force_calls
        if len(self._few) < FEW:
            self._few[place] = line
        if not line.result.converged and len(self.unconverged) < REASONS:
            self.unconverged[place] = line

    @property
    def total(self) -> int:
        """The number of structures that have ended."""
        return self.ended.total()

    @property
    def all_converged(self) -> bool:
        """Whether nothing that was relaxed, now or before, ended otherwise."""
        return set(self.ended + self.before) <= {"converged"}

    @property
    def rows(self) -> list[Line]:
        """The structures in the order of input, if they are few."""
        return [self._few[place] for place in sorted(self._few)] if self.total <= FEW else []

    @property
    def seconds(self) -> float:
        """How long the run took so far."""
        return time.monotonic() - self._began if self._seconds is None else self._seconds

    @property
    def rate(self) -> float:
        """Structures that end in a second."""
        return self.total / max(self.seconds, 1e-9)

    def summary(self, output: str | None) -> list[str]:
        """Return in words what came of it all, written to ``output`` if to anything."""
        words = []
        if self.total:
            others = [f", {n} {status}" for status, n in self.ended.most_common() if status != "converged"]
            words.append(
                f"{self.ended['converged']} of {self.total} converged{''.join(others)}; "
                f"{self.calls} force calls, {self.seconds:.1f} s, {self.rate:.3g} structures/s"
            )
        else:
            words.append("nothing was relaxed")
        if self.before:
            there = self.before.total()
            words.append(f"{there} in {output} already, {self.before['converged']} of them converged")
        if self.given_up:
            words.append(f"{self.given_up} under way were given up")
        if self.bad:
            words.append(f"{self.bad} could not be relaxed")
        return words
