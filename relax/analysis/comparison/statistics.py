"""Statistics of the runs of one table: force calls, failures, final energies, and confidence intervals.

A row holds, for each structure in order, ``calls`` (before a failure is counted at the cap), ``status``,
``energy`` (eV/atom), ``seconds_calculator`` and ``seconds_outside``.  :func:`summarized` adds

- ``mean``, ``median``, ``max``: force calls, a failure counted at the cap; ``failed``, ``failures``;
- ``within_1``, ``within_10``: percent of the structures that converged within 1 and 10 meV/atom of the
  lowest energy at which any optimizer of the table converged; ``excess``: mean energy above it of those
  that converged, meV/atom;
- ``ms_calculator``, ``ms_outside``: wall time per force call, in the calculator and outside;
- ``beside``: the comparison with ASE's FIRE and with the best ASE optimizer of the table, the one of
  fewest mean calls: ``calls``, the ratio of mean calls, and ``within_10``, the difference of these
  percentages, each with a 95 % confidence interval.

:func:`beside_ours` adds ``default`` and ``kriging``, the comparisons with the optimizers of these names that
the table has: ``calls``, the mean calls of ours as a multiple of this row's, with its interval; and
``no_higher``, two counts of structures: where ours ended within 1 meV (of the whole structure) of this row's
end or below it, and where this row did of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relax.analysis.comparison.minimizers.names import DEFAULT, FIRE

RESAMPLES = 2000
BOOTSTRAP_SEED = 0
LEVEL = 95.0

OURS = DEFAULT, "kriging"
"""Optimizers beside which all others of a table are put."""

Row = dict[str, Any]
Statistic = Callable[[np.ndarray], np.ndarray]
"""A function of the indices of structures, along the last axis."""


def converged(row: Row) -> np.ndarray:
    """Return which structures converged, (S,)."""
    return np.asarray(np.array(row["status"]) == "converged")


def capped_calls(row: Row, cap: int) -> np.ndarray:
    """Return the force calls for each structure (S,), ``cap`` for a failure."""
    return np.where(converged(row), row["calls"], cap)


def energies(row: Row) -> np.ndarray:
    """Return the final energies (S,), eV/atom; NaN where there is none."""
    return np.array(row["energy"], dtype=float)


def lowest_energies(rows: Sequence[Row]) -> np.ndarray:
    """Return the lowest energy (S,), eV/atom, of a run that converged; infinite where none did."""
    return np.asarray(np.min([np.where(converged(row), energies(row), np.inf) for row in rows], axis=0))


def excess(row: Row, lowest: np.ndarray) -> np.ndarray:
    """Return the energy above ``lowest`` (S,), meV/atom; infinite for a failure."""
    with np.errstate(invalid="ignore"):
        return np.where(converged(row), 1e3 * (energies(row) - lowest), np.inf)


def interval(statistic: Statistic, n: int) -> list[float]:
    """Return the bootstrap interval of a statistic of ``n`` structures.

    Structures are resampled, not runs, since all optimizers relax the same ones.
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    part = max(1, 1_000_000 // n)  # resamples at a time, to limit the memory
    sizes = [min(part, RESAMPLES - done) for done in range(0, RESAMPLES, part)]
    values = np.concatenate([statistic(rng.integers(n, size=(size, n))) for size in sizes])
    tail = (100 - LEVEL) / 2
    return [round(float(v), 4) for v in np.percentile(values, [tail, 100 - tail])]


def with_interval(statistic: Statistic, n: int) -> list[float]:
    """Return a statistic of all structures, and both ends of its interval."""
    return [round(float(statistic(np.arange(n))), 4), *interval(statistic, n)]


def comparison(row: Row, other: Row, lowest: np.ndarray, cap: int) -> Row:
    """Return how ``row`` compares with ``other``."""
    ours, theirs = capped_calls(row, cap), capped_calls(other, cap)
    more = 100.0 * (excess(row, lowest) <= 10) - 100.0 * (excess(other, lowest) <= 10)
    return {
        "calls": with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), len(ours)),
        "within_10": with_interval(lambda drawn: more[drawn].mean(-1), len(ours)),
    }


def best_of_ase(rows: Sequence[Row], cap: int) -> Row | None:
    """Return the row of ASE's optimizer with the fewest mean calls, None if there is none of ASE."""
    ase = [row for row in rows if row["optimizer"].startswith("ase:")]
    return min(ase, key=lambda row: capped_calls(row, cap).mean(), default=None)


def summary(row: Row, lowest: np.ndarray, cap: int) -> Row:
    """Return the statistics of one row, given the lowest energies of its table."""
    calls, good = capped_calls(row, cap), converged(row)
    above = excess(row, lowest)
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


def table_statistics(rows: Sequence[Row], cap: int) -> list[Row]:
    """Return the statistics of each row of one table."""
    lowest = lowest_energies(rows)
    fire = next((row for row in rows if row["optimizer"] == FIRE), None)
    others = {other["optimizer"]: other for other in (fire, best_of_ase(rows, cap)) if other is not None}
    return [
        summary(row, lowest, cap)
        | {"beside": {name: comparison(row, other, lowest, cap) for name, other in others.items()}}
        for row in rows
    ]


def summarized(
    rows: Sequence[Row], by: str, cap: int, raw: Sequence[str], more: Callable[[Row], Row]
) -> list[Row]:
    """Return rows with their statistics, one table after the other.

    Parameters
    ----------
    by
        The entry that all rows of a table have in common, such as ``"rattle"``.
    raw
        The entries of a row that are not computed from others.
    more
        Returns statistics that only this benchmark has.
    """
    found: list[Row] = []
    for value in dict.fromkeys(row[by] for row in rows):
        table = [row for row in rows if row[by] == value]
        for row, statistics in zip(table, table_statistics(table, cap), strict=True):
            entries = {name: row[name] for name in raw}
            found.append({"optimizer": row["optimizer"], by: value} | statistics | more(row) | entries)
    return found


def end_energies(row: Row, atoms: Sequence[int]) -> np.ndarray:
    """Return the energies of the whole structures (S,) where a run converged, eV; infinite for a failure."""
    return np.where(converged(row), energies(row) * np.array(atoms), np.inf)


def no_higher(row: Row, other: Row, atoms: Sequence[int]) -> int:
    """Return on how many structures ``row`` converged within 1 meV of the end of ``other``, or below it."""
    ours, theirs = end_energies(row, atoms), end_energies(other, atoms)
    return int((np.isfinite(ours) & (ours <= theirs + 1e-3)).sum())


def beside_ours(rows: Sequence[Row], by: str, atoms: Sequence[int], cap: int) -> list[Row]:
    """Return rows, each with its comparison with each of :data:`OURS` that is another row of its table.

    Parameters
    ----------
    by
        The entry that all rows of a table have in common.
    atoms
        Number of atoms of each structure.
    """
    found = []
    for row in rows:
        table = {other["optimizer"]: other for other in rows if other[by] == row[by]}
        found.append(
            row
            | {
                name: {
                    "calls": comparison(ours, row, lowest_energies([ours, row]), cap)["calls"],
                    "no_higher": [no_higher(ours, row, atoms), no_higher(row, ours, atoms)],
                }
                for name in OURS
                if name != row["optimizer"] and (ours := table.get(name)) is not None
            }
        )
    return found
