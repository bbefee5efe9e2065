"""Statistics of crystals, in addition to those of :mod:`relax.analysis.comparison.statistics`.

A row also holds, for each structure in order, ``smax`` (GPa), ``spacegroup`` and ``operations`` (before and
after), and ``lowest`` (eV/A^2), where that was measured.  :func:`of_crystals` adds

- ``smax_median``, ``smax_max`` and ``symmetry``: of the runs that converged;
- ``saddles``: how many runs ended with a curvature below :data:`benchmarks.common.curvature.SADDLE`, by
  gradients and by energies, or could not be measured; None for optimizers that do not check;
- ``reference``, where there are reference energies: ``errors_above_1``, the number of energies that differ
  by more than 1 eV/atom; ``mae``, the mean absolute error of the others, meV/atom; ``matbench_mae``, that
  of all but errors above 5 eV/atom, which Matbench Discovery leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.common.curvature import SADDLE
from relax.analysis.comparison.statistics import Row, converged, energies

WRONG, UNREALISTIC = 1.0, 5.0
"""Errors (eV/atom) that the paper's Table 4 counts, and that Matbench Discovery leaves out."""


def symmetry(row: Row) -> dict[str, int]:
    """Return for how many structures that converged the space group was kept, lost and gained.

    It is gained where the cell has more operations than before.
    """
    counts = Counter({"kept": 0, "lost": 0, "gained": 0})
    for good, group, operations in zip(converged(row), row["spacegroup"], row["operations"], strict=True):
        if not good or None in group:
            continue
        if operations[1] > operations[0]:
            counts["gained"] += 1
        else:
            counts["kept" if group[1] == group[0] else "lost"] += 1
    return dict(counts)


def against_reference(row: Row, reference: Sequence[float]) -> Row:
    """Return the errors of all final energies against ``reference`` (eV/atom), converged or not."""
    errors = np.abs(energies(row) - np.array(reference))
    errors = np.where(np.isnan(errors), np.inf, errors)

    def mean_below(limit: float) -> float | None:
        kept = errors[errors <= limit]
        return round(1e3 * float(kept.mean()), 3) if len(kept) else None

    return {
        "errors_above_1": int((errors > WRONG).sum()),
        "mae": mean_below(WRONG),
        "matbench_mae": mean_below(UNREALISTIC),
    }


def saddles(lowest: Sequence[Sequence[float] | None]) -> list[int] | None:
    """Return how many ends are saddles or not known, by gradients and by energies; None if none is known."""
    if all(curvatures is None for curvatures in lowest):
        return None
    return [sum(both is None or both[way] < SADDLE for both in lowest) for way in range(2)]


def of_crystals(row: Row, reference: Sequence[float] = ()) -> Row:
    """Return the statistics of stress and symmetry, and of energies where there is a ``reference``."""
    good = converged(row)
    stress = np.array(row["smax"], dtype=float)[good]
    found = {
        "smax_median": round(float(np.median(stress)), 4) if good.any() else None,
        "smax_max": round(float(stress.max()), 4) if good.any() else None,
        "symmetry": symmetry(row),
        "saddles": saddles(row["lowest"]),
    }
    return found | ({"reference": against_reference(row, reference)} if len(reference) else {})
