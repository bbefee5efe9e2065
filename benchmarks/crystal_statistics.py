"""What the runs of one table say: calls, ends, energies beside each other, and how sure that is.

A row holds, for each structure in order, ``calls`` (before any is scored), ``status``, ``energy`` (eV/atom),
``smax`` (GPa), ``spacegroup`` and ``operations`` (before and after), ``seconds_calculator`` and
``seconds_outside``.  :func:`summarized` adds

- ``mean``, ``median``, ``max``: force calls, a failure scored at the cap; ``failed``, ``failures``;
- ``within_1``, ``within_10``: percent of the structures that ended within 1 and 10 meV/atom of the lowest
  energy at which any optimizer of the table converged; a failure is not within; ``excess``: mean height
  above it of those that converged, meV/atom;
- ``smax_median``, ``smax_max``, and ``symmetry``: of those that converged;
- ``ms_calculator``, ``ms_outside``: wall time for each force call, in the calculator and outside;
- ``beside``: for ASE's FIRE and for the best ASE optimizer of the table, the one of fewest mean calls,
  ``calls``, our mean by theirs, and ``within_10``, our percentage less theirs, each with a 95 % interval;
- ``reference``, where reference energies are at hand: ``errors_above_1``, the number of energies off by
  more than 1 eV/atom; ``mae``, the mean absolute error of the others, meV/atom; ``matbench_mae``, that of
  all but errors above 5 eV/atom, which Matbench Discovery leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
BOOTSTRAP_SEED = 0
LEVEL = 95.0
FIRE = "ase:FIRE"
WRONG, UNREALISTIC = 1.0, 5.0
"""Errors (eV/atom) that the paper's Table 4 counts, and that Matbench Discovery leaves out."""

Row = dict[str, Any]


def converged(row: Row) -> np.ndarray:
    return np.array(row["status"]) == "converged"


def scored(row: Row, cap: int) -> np.ndarray:
    """Return the force calls on each structure, a failure at the cap."""
    return np.where(converged(row), row["calls"], cap)


def lowest(rows: Sequence[Row]) -> np.ndarray:
    """Return for each structure the lowest energy (eV/atom) of a run that converged; infinite where none."""
    return np.min([np.where(converged(row), energies(row), np.inf) for row in rows], axis=0)


def energies(row: Row) -> np.ndarray:
    return np.array(row["energy"], dtype=float)  # None becomes a nan


def excess(row: Row, least: np.ndarray) -> np.ndarray:
    """Return how far (meV/atom) each structure ended above ``least``; infinite where it failed."""
    with np.errstate(invalid="ignore"):
        return np.where(converged(row), 1e3 * (energies(row) - least), np.inf)


Statistic = Callable[[np.ndarray], np.ndarray]
"""Of the indices of structures along the last axis."""


def interval(statistic: Statistic, n: int) -> list[float]:
    """Return the bootstrap interval of a statistic of ``n`` structures.

    Structures are drawn again, not runs: optimizers are compared on the same ones.
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    part = max(1, 1_000_000 // n)  # as many resamples as memory has room for
    sizes = [min(part, RESAMPLES - done) for done in range(0, RESAMPLES, part)]
    values = np.concatenate([statistic(rng.integers(n, size=(size, n))) for size in sizes])
    tail = (100 - LEVEL) / 2
    return [round(float(v), 4) for v in np.percentile(values, [tail, 100 - tail])]


def with_interval(statistic: Statistic, n: int) -> list[float]:
    """Return a statistic of all structures, and both ends of its interval."""
    return [round(float(statistic(np.arange(n))), 4), *interval(statistic, n)]


def beside(row: Row, other: Row, least: np.ndarray, cap: int) -> Row:
    """Return how ``row`` compares with ``other``, structure by structure."""
    ours, theirs = scored(row, cap), scored(other, cap)
    more = 100.0 * (excess(row, least) <= 10) - 100.0 * (excess(other, least) <= 10)
    return {
        "calls": with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), len(ours)),
        "within_10": with_interval(lambda drawn: more[drawn].mean(-1), len(ours)),
    }


def symmetry(row: Row) -> dict[str, int]:
    """Return on how many structures that converged the space group was kept, lost and gained.

    A group is gained where the cell has more operations than before.
    """
    words = Counter({"kept": 0, "lost": 0, "gained": 0})
    for good, group, operations in zip(converged(row), row["spacegroup"], row["operations"], strict=True):
        if not good or None in group:
            continue
        if operations[1] > operations[0]:
            words["gained"] += 1
        else:
            words["kept" if group[1] == group[0] else "lost"] += 1
    return dict(words)


def against_reference(row: Row, reference: Sequence[float]) -> Row:
    """Return the errors of the energies (eV/atom) against others, whether or not a run converged."""
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


def best_of_ase(rows: Sequence[Row], cap: int) -> Row | None:
    """Return ASE's optimizer of fewest mean calls, if there is one."""
    theirs = [row for row in rows if row["optimizer"].startswith("ase:")]
    return min(theirs, key=lambda row: scored(row, cap).mean(), default=None)


def summary(row: Row, least: np.ndarray, cap: int) -> Row:
    """Return what a row says by itself, given the lowest energies of its table."""
    calls, good = scored(row, cap), converged(row)
    above = excess(row, least)
    made = max(sum(row["calls"]), 1)
    return {
        "mean": round(float(calls.mean()), 3),
        "median": float(np.median(calls)),
        "max": int(calls.max()),
        "failed": int((~good).sum()),
        "failures": dict(Counter(np.array(row["status"])[~good].tolist()).most_common()),
        "within_1": round(100 * float((above <= 1).mean()), 2),
        "within_10": round(100 * float((above <= 10).mean()), 2),
        "excess": round(float(above[good].mean()), 3) if good.any() else None,
        "ms_calculator": round(1e3 * sum(row["seconds_calculator"]) / made, 3),
        "ms_outside": round(1e3 * sum(row["seconds_outside"]) / made, 3),
    }


def of_crystals(row: Row) -> Row:
    """Return what a row says of stress and symmetry."""
    good = converged(row)
    stress = np.array(row["smax"], dtype=float)[good]
    return {
        "smax_median": round(float(np.median(stress)), 4) if good.any() else None,
        "smax_max": round(float(stress.max()), 4) if good.any() else None,
        "symmetry": symmetry(row),
    }


def statistics(rows: Sequence[Row], cap: int) -> list[Row]:
    """Return what is said of each row of one table, whatever its structures are."""
    least = lowest(rows)
    fire = next((row for row in rows if row["optimizer"] == FIRE), None)
    others = {other["optimizer"]: other for other in (fire, best_of_ase(rows, cap)) if other is not None}
    return [
        summary(row, least, cap)
        | {"beside": {name: beside(row, other, least, cap) for name, other in others.items()}}
        for row in rows
    ]


def summarized(rows: Sequence[Row], cap: int, reference: Sequence[float] = ()) -> list[Row]:
    """Return the rows of one table with all that is said of them, statistics first."""
    return [
        {"optimizer": row["optimizer"], "rattle": row["rattle"]}
        | said
        | of_crystals(row)
        | ({"reference": against_reference(row, reference)} if reference else {})
        | row
        for row, said in zip(rows, statistics(rows, cap), strict=True)
    ]
