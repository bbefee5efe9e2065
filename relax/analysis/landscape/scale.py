"""The scale of the colours of a landscape: which energies it spans, and where its contours are.

Energies rise over many orders of magnitude where atoms come close, so the scale is logarithmic, and it ends
where the paths and most of the plane are below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["Scale"]

DECADES = 4.0
"""Orders of magnitude that the scale spans at most."""

LEAST = 1e-6
"""Smallest energy above the lowest that a scale begins at, eV."""

MOST = 60.0
"""Percentile of the energies that the scale reaches at least."""

FEWEST = 6
"""Contours below which there are more of them in a decade."""

LADDERS = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
"""Contours in a decade, from few to many."""


@dataclass(frozen=True)
class Scale:
    """A logarithmic scale of energies above the lowest.

    Parameters
    ----------
    low, high
        Its ends, in the unit of the energies; what is beyond has the colour of the end.
    """

    low: float
    high: float

    @classmethod
    def of(cls, above: np.ndarray, seen: np.ndarray, highest: float | None = None) -> Self:
        """Return the scale for energies.

        Parameters
        ----------
        above
            Energies of the grid above the lowest, infinite where there are none.
        seen
            Those beside the paths.
        highest
            Where the scale ends; by default, the highest of ``seen``, or what :data:`MOST` of the grid is
            below.
        """
        finite = above[np.isfinite(above)]
        if not len(finite):
            return cls(LEAST, 1.0)
        high = highest
        if high is None:
            beside = seen[np.isfinite(seen)]
            high = max(float(beside.max(initial=0.0)), float(np.percentile(finite, MOST)))
            high = min(high, float(finite.max()))
        high = max(high, 10 * LEAST)
        low = max(float(np.percentile(finite, 0.5)), high / 10**DECADES, LEAST)
        return cls(min(low, 0.5 * high), high)

    @property
    def levels(self) -> np.ndarray:
        """Round energies of contours, at 1, 2 and 5 times powers of ten, or more of them if these are few."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = np.array([])
        for steps in LADDERS:
            found = np.array([step * 10.0**power for power in powers for step in steps])
            found = found[(found >= self.low) & (found <= self.high)]
            if len(found) >= FEWEST:
                break
        return found
