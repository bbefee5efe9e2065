"""How the numbers of many runs are spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from relax.analysis.report.packing import rounded

__all__ = ["histogram"]

BINS = 40
"""Bars of a histogram, at most."""

SPREAD = 1.0, 99.0
"""Percentiles between which the bars are; what is beyond is counted."""


def histogram(values: np.ndarray, whole: bool = False) -> dict[str, Any]:
    """Return ``edges`` and ``counts`` of bars, what is ``below`` and ``above`` them, and the ``median``.

    Parameters
    ----------
    values
        Finite numbers (N,).
    whole
        Whether they are whole numbers, between which no edge lies.
    """
    if not len(values):
        return {"edges": [], "counts": [], "below": 0, "above": 0, "median": None}
    low, high = np.percentile(values, SPREAD)
    if whole:
        width = max(1, math.ceil((high - low + 1) / BINS))
        edges = np.arange(math.floor(low), math.floor(high) + width + 1, width) - 0.5
    else:
        if high - low < 1e-9:
            low, high = low - 0.5e-3, high + 0.5e-3
        edges = np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(values, edges)
    return {
        "edges": [round(edge, 6) for edge in edges.tolist()],
        "counts": counts.tolist(),
        "below": int((values < edges[0]).sum()),
        "above": int((values > edges[-1]).sum()),
        "median": rounded(float(np.median(values)), 4),
    }
