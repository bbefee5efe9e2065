"""The summary of a run: counts, and the structures that are listed one by one."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relax.cli.inputs import Record

__all__ = ["RunSummary"]

MOST_ROWS = 50
"""Number of structures above which a run is shown without a table."""

MOST_REASONS = 20
"""Number of structures whose reason for not converging is shown."""

MOST_NAMES = 5
"""Number of structures that were not begun whose names are shown."""


class RunSummary:
    """Counts of a run; it holds few structures, however many there are.

    Attributes
    ----------
    statuses
        How many structures ended with each status.
    before
        The same of those that were in the output file already.
    n_invalid
        Number of structures and files that cannot be relaxed.
    dropped
        Number of structures that were unfinished at the end.
    not_begun
        Names of the structures that were not begun, after an interruption.
    calls
        Number of force calls.
    unconverged
        The first structures that did not converge, by their place in the input.
    """

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.before: Counter[str] = Counter()
        self.n_invalid = self.dropped = self.calls = 0
        self.not_begun: list[str] = []
        self.unconverged: dict[int, Record] = {}
        self._kept: dict[int, Record] = {}
        self._began = time.monotonic()
        self._seconds: float | None = None

    def start(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def stop(self, dropped: int) -> None:
        """Stop the clock, with this number of unfinished structures."""
        self._seconds, self.dropped = self.seconds, dropped

    def add(self, record: Record) -> None:
        """Count a structure that has a result."""
        self.statuses[record.result.status] += 1
        self.calls += record.result.force_calls
        if len(self._kept) < MOST_ROWS:
            self._kept[record.place] = record
        if not record.result.converged and len(self.unconverged) < MOST_REASONS:
            self.unconverged[record.place] = record

    def add_invalid(self) -> None:
        """Count a structure or a file that cannot be relaxed."""
        self.n_invalid += 1

    @property
    def finished(self) -> int:
        """The number of structures that have a result."""
        return self.statuses.total()

    @property
    def all_converged(self) -> bool:
        """Whether all structures converged, those in the output file included."""
        return set(self.statuses + self.before) <= {"converged"}

    @property
    def records(self) -> list[Record]:
        """The structures in the order of the input; none of a large run."""
        return [self._kept[place] for place in sorted(self._kept)] if len(self._kept) == self.finished else []

    @property
    def seconds(self) -> float:
        """The time of the run so far, s."""
        return time.monotonic() - self._began if self._seconds is None else self._seconds

    @property
    def rate(self) -> float:
        """Finished structures per second."""
        return self.finished / max(self.seconds, 1e-9)

    def lines(self, output: str | None) -> list[str]:
        """Return the summary as text, for a run that writes to ``output``."""
        lines = []
        if self.finished:
            others = [f", {n} {status}" for status, n in self.statuses.most_common() if status != "converged"]
            lines.append(
                f"{self.statuses['converged']} of {self.finished} converged{''.join(others)}; "
                f"{self.calls} force calls, {self.seconds:.1f} s, {self.rate:.3g} structures/s"
            )
        else:
            lines.append("no structures were relaxed")
        if self.statuses["interrupted"] and output:
            lines.append(f"what was interrupted is in {output}, and --resume relaxes it again")
        if self.before:
            n = self.before.total()
            lines.append(f"{n} already in {output}, {self.before['converged']} of them converged")
        if self.dropped:
            lines.append(f"{self.dropped} unfinished structure{_were(self.dropped)} dropped")
        if self.not_begun:
            names, more = self.not_begun[:MOST_NAMES], len(self.not_begun) - MOST_NAMES
            rest = f" and {more} more" if more > 0 else ""
            lines.append(f"not begun: {', '.join(names)}{rest}")
        if self.n_invalid:
            lines.append(f"{self.n_invalid} invalid input{_were(self.n_invalid)} skipped")
        return lines


def _were(n: int) -> str:
    return " was" if n == 1 else "s were"
