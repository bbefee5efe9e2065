"""The table of all sets: the calls of ``default`` beside those of the best optimizer of another package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.profile.sets import Set
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.names import DEFAULT, is_foreign
from relax.analysis.comparison.statistics import capped_calls, with_interval
from relax.analysis.comparison.tables import interval_text, markdown

COLUMNS = (
    "kind",
    "structures",
    "stop, eV/A",
    "default: calls",
    "failed",
    "best of other packages",
    "its calls",
    "default's calls, of its",
    "`pair-lbfgs`: calls",
)


@dataclass(frozen=True)
class Other:
    """The optimizer of another package with the fewest mean calls on a set.

    Attributes
    ----------
    ratio, low, high
        Mean calls of ``default`` as a multiple of its mean calls, with a 95 % interval.
    """

    name: str
    mean: float
    ratio: float
    low: float
    high: float


def best_other(one: Set) -> Other | None:
    """Return the best optimizer of another package on a set, None if there is none."""
    others = [row for name, row in one.rows.items() if is_foreign(name)]
    if not others:
        return None
    best: Json = min(others, key=lambda row: (row["mean"], row["optimizer"]))
    ours, theirs = capped_calls(one.rows[DEFAULT], one.cap), capped_calls(best, one.cap)
    ratio = with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), len(ours))
    return Other(best["optimizer"], best["mean"], *ratio)


def table(sets: Sequence[Set]) -> list[str]:
    """Return the lines of the table, and of sentences that say where ``default`` does not need the fewest."""
    others = [best_other(one) for one in sets]
    rows = []
    for one, other in zip(sets, others, strict=True):
        ours, pairs = one.rows[DEFAULT], one.rows.get("pair-lbfgs")
        beside = ["", "", ""]
        if other is not None:
            interval = interval_text((other.ratio, other.low, other.high))
            beside = [f"`{other.name}`", f"{other.mean:.1f}", interval]
        row = [one.words, f"{one.structures}", f"{one.fmax:g}", f"{ours['mean']:.1f}", f"{ours['failed']}"]
        rows.append([*row, *beside, f"{pairs['mean']:.1f}" if pairs else ""])
    compared = [(one.words, other) for one, other in zip(sets, others, strict=True) if other is not None]
    return [*markdown(COLUMNS, rows, ("kind", "best of other packages")), "", *sentences(compared)]


def sentences(compared: Sequence[tuple[str, Other]]) -> Iterator[str]:
    """Yield where another package needs fewer calls than ``default`` on average, and where it may."""
    fewer = [f"{words} (`{other.name}`)" for words, other in compared if other.ratio > 1]
    equal = [f"{words} (`{other.name}`)" for words, other in compared if other.ratio <= 1 <= other.high]
    yield f"Another package needs fewer calls on average: {'; '.join(fewer) or 'for none of these'}."
    yield f"No clear difference, the interval includes 1: {'; '.join(equal) or 'for no other'}."
