"""The sentences above the tables: which optimizer to take, as the columns have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.choosing.columns import Column
from benchmarks.choosing.names import label
from relax.analysis.comparison.minimizers.names import DEFAULT


class Advice(NamedTuple):
    """The optimizer to take, in backticks, and why."""

    take: str
    why: str


def listed(names: Iterable[str]) -> str:
    """Return the names of optimizers, with semicolons since a name may have commas."""
    return "; ".join(map(label, names)) or "none"


def best_of_most(columns: Sequence[Column], names: Sequence[str], does: str) -> Advice:
    """Return which of ``names`` is best for most kinds, within the error, and which are elsewhere.

    Parameters
    ----------
    does
        What another optimizer would do if it were better.
    """
    best = [column.best(names) for column in columns]
    first = max(names, key=lambda name: sum(name in winners for winners in best))
    others = [column for column, winners in zip(columns, best, strict=True) if first not in winners]
    better = "; ".join(f"{column.kind} ({label(str(column.least(names)))})" for column in others)
    text = (
        f"Take {label(first)}: for {len(best) - len(others)} of {len(best)} kinds of structures no other "
        f"{does}, beyond the error." + (f" Another one does for: {better}." if better else "")
    )
    return Advice(label(first), text)


def ends_low(starts: str, near: Column, calls: Column, names: Sequence[str]) -> Advice:
    """Return which of ``names`` ends near the lowest energy most often, and the price.

    Parameters
    ----------
    near, calls
        Of the same starts: the misses of each optimizer in percent, and its force calls.
    """

    def share(name: str) -> str:
        return f"{100 - near.cells[name].mean:.0f} %"

    def price(name: str) -> str:
        return f"{calls.cells[name].mean / calls.cells[DEFAULT].mean:.1f} times the calls"

    first, *others = sorted(near.best(names), key=lambda name: (near.cells[name].mean, name))
    same = "; ".join(f"{label(name)} ({share(name)}, {price(name)})" for name in others)
    text = (
        f"Starts {starts}: take {label(first)}. {share(first)} end near the lowest energy, with `{DEFAULT}` "
        f"{share(DEFAULT)}, in {price(first)}." + (f" No clear difference: {same}." if same else "")
    )
    return Advice(label(first), text)


def resists(tables: Sequence[Sequence[Column]], names: Sequence[str]) -> Advice:
    """Return which of ``names`` never failed where forces were disturbed, and which of them is the best.

    Parameters
    ----------
    tables
        The columns of each system, forces as they are first.
    """
    disturbed = [column for _, *others in tables for column in others]
    failed = [
        name
        for name in names
        if any(name in column.cells and column.cells[name].failed for column in disturbed)
    ]
    never = [
        name
        for name in names
        if name not in failed and all(name in column.cells for table in tables for column in table)
    ]
    at_rest = {name for usual, *_ in tables for name, cell in usual.cells.items() if cell.failed}
    without = f"; without a disturbance too: {listed(n for n in failed if n in at_rest)}"
    failures = listed(name for name in failed if name not in at_rest) + (
        without if at_rest & {*failed} else ""
    )
    if not never:
        return Advice("none", f"Every optimizer failed at least once: {failures}.")
    best = [column.best(never) for column in disturbed]
    first = max(never, key=lambda name: sum(name in winners for winners in best))
    wins = sum(first in winners for winners in best)
    growth = max(
        column.cells[first].mean / usual.cells[first].mean for usual, *others in tables for column in others
    )
    text = (
        f"Take {label(first)}: with disturbed forces it never failed, and needs at most {growth:.2f} times "
        f"the calls that it needs without. Never failed: {listed(never)}. Of these no other needs fewer "
        f"calls than {label(first)}, beyond the error, in {wins} of {len(best)} columns. "
        f"Failed at least once: {failures}."
    )
    return Advice(label(first), text)
