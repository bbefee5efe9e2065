"""Counts of the structures in files."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relax.io.overview.summary import Summary

__all__ = ["Totals"]


class Totals:
    """Counts of the structures in files; of a million it holds no more than of a few.

    Attributes
    ----------
    shown
        How many structures are shown.
    statuses
        How many there are of each status; empty where a file says none.
    """

    def __init__(self) -> None:
        self.shown = 0
        self.statuses: Counter[str] = Counter()
        self._calls: Counter[int] = Counter()

    def add(self, summary: Summary) -> None:
        """Count a structure."""
        self.statuses[summary.status] += 1
        calls = summary.number("relax_force_calls")
        if math.isfinite(calls):
            self._calls[int(calls)] += 1

    def line(self) -> str:
        """Return the counts in one line."""
        total = self.statuses.total()
        ended = total - self.statuses[""]
        parts = []
        if ended:
            others = [
                f", {n} {status}"
                for status, n in self.statuses.most_common()
                if status not in ("", "converged")
            ]
            parts.append(f"{self.statuses['converged']} of {ended} converged{''.join(others)}")
        if total > ended or not total:
            parts.append(f"{total - ended} structure{'' if total - ended == 1 else 's'} without a status")
        if self._calls:
            calls = sum(value * n for value, n in self._calls.items())
            parts.append(f"{calls} force calls, median {self._median():g}")
        if self.shown < total:
            parts.append(f"{self.shown} of {total} shown")
        return "; ".join(parts)

    def _median(self) -> float:
        """Return the median of the force calls."""
        total, below, middle = self._calls.total(), 0, []
        for value, n in sorted(self._calls.items()):
            # The items at half the way, one or two.
            middle += [value] * sum(below <= place < below + n for place in ((total - 1) // 2, total // 2))
            below += n
        return sum(middle) / len(middle)
