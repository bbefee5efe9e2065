"""Statistics of materials, in addition to those of :mod:`relax.analysis.comparison.statistics`.

A row is of one optimizer and one set; beside the optimizer of the name :data:`DEFAULT`, it has

- ``default_calls``: mean calls of the default over mean calls of this optimizer, with a 95 % confidence
  interval, bootstrapped over the structures; a failure counts at the cap;
- ``ends``: for how many structures, of those for which both converged, this optimizer ended lower than the
  default by more than :data:`SAME`, as low, or higher.

Both are None where the default was not run, and for the default itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.materials.optimizers import DEFAULT
from relax.analysis.comparison.statistics import (
    Row,
    capped_calls,
    converged,
    energies,
    lowest_energies,
    summary,
    with_interval,
)

SAME = 1.0
"""Energies (meV/atom) that differ by less are the same."""
ARRAYS = ("status", "calls", "energy", "seconds_calculator", "seconds_outside")


def ends(row: Row, default: Row) -> dict[str, int]:
    """Return for how many structures ``row`` ended lower than ``default``, as low, and higher."""
    both = converged(row) & converged(default)
    above = 1e3 * (energies(row) - energies(default))[both]
    lower, higher = int((above < -SAME).sum()), int((above > SAME).sum())
    return {"lower": lower, "same": int(both.sum()) - lower - higher, "higher": higher}


def beside_default(row: Row, default: Row | None, cap: int) -> Row:
    """Return how the default compares with ``row``."""
    if default is None or row is default:
        return {"default_calls": None, "ends": None}
    ours, theirs = capped_calls(default, cap), capped_calls(row, cap)
    ratio = with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), len(ours))
    return {"default_calls": ratio, "ends": ends(row, default)}


def summarized(rows: Sequence[Row], cap: int) -> list[Row]:
    """Return the statistics of each row of a set."""
    default = next((row for row in rows if row["optimizer"] == DEFAULT), None)
    lowest = lowest_energies(rows) if rows else np.zeros(0)
    return [summary(row, lowest, cap) | beside_default(row, default, cap) for row in rows]


def pooled(sets: Sequence[Sequence[Row]]) -> list[Row]:
    """Return a row, without statistics, over all sets for each optimizer that was run on every one."""
    by_name = [{row["optimizer"]: row for row in rows} for rows in sets]
    shared = [name for name in by_name[0] if all(name in rows for rows in by_name)]
    return [
        {"optimizer": name} | {key: [v for rows in by_name for v in rows[name][key]] for key in ARRAYS}
        for name in shared
    ]
