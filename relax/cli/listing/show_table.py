"""Structures as a table, or as aligned lines where there are many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from rich import box
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from relax.cli.running.tables import COLOURS
from relax.io.overview.summary import Summary

__all__ = ["print_summaries"]

MOST_ROWS = 50
"""Number of structures above which lines are printed instead of a table."""

WIDE, WIDEST = 100, 120
"""Columns of a terminal that are enough for all numbers, and for the reasons beside them."""

TEXTS = ("structure", "formula", "status", "reason")
"""Headings of the columns that are no numbers."""


def print_summaries(summaries: Iterable[Summary], console: Console) -> None:
    """Print structures as they come: a table of a few, and lines, which are not held, of many.

    Parameters
    ----------
    summaries
        The structures.
    console
        Where to print.  Its width says which columns there are.
    """
    summaries = iter(summaries)
    first = list(islice(summaries, MOST_ROWS + 1))
    if len(first) > MOST_ROWS:
        for line in _lines(first, summaries, console):
            console.file.write(f"{line}\n")
    elif first:
        console.print(_table(first, console.width))
        lines = _reasons(first) if console.width < WIDEST else []
        console.print(*lines, "", sep="\n", end="" if lines else "\n")


def _table(summaries: Sequence[Summary], width: int) -> Table:
    """Return a table, without the columns that say nothing of any structure."""
    if width < WIDE and not any(summary.status for summary in summaries):
        width = WIDE
    rows = [_cells(summary, width) for summary in summaries]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    kept = [name for name in rows[0] if any(row[name].strip("-") for row in rows)]
    for name in kept:
        if name in ("structure", "reason"):
            table.add_column(name, overflow="fold", min_width=8)
        else:
            table.add_column(name, justify="left" if name in TEXTS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[name], _colour(row) if name == "status" else "") for name in kept))
    return table


def _reasons(summaries: Sequence[Summary]) -> list[Text]:
    """Return why runs did not converge, one line each."""
    lines = [
        Text.assemble(f"{summary.source}: ", (summary.status, COLOURS.get(summary.status, "red")), f": {why}")
        for summary in summaries
        if (why := _reason(summary))
    ]
    return [Text(), *lines] if lines else []


def _lines(first: Sequence[Summary], others: Iterator[Summary], console: Console) -> Iterator[str]:
    """Yield a heading and one line for each structure, as wide as the ``first`` ones need."""
    rows = [_cells(summary, WIDEST) for summary in first]
    widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    headings = {name: name.replace("\n", " ") for name in widths}
    widths = {name: max(width, len(headings[name])) for name, width in widths.items()}
    yield _line(headings, widths).rstrip()
    for row in chain(rows, (_cells(summary, WIDEST) for summary in others)):
        yield _line(row, widths, console)


def _line(row: dict[str, str], widths: dict[str, int], console: Console | None = None) -> str:
    cells = [
        text.ljust(widths[name]) if name in TEXTS else text.rjust(widths[name]) for name, text in row.items()
    ]
    if console and console.color_system:
        place = list(row).index("status")
        cells[place] = Style.parse(_colour(row)).render(cells[place])
    return "  ".join(cells).rstrip()


def _colour(row: dict[str, str]) -> str:
    status = row["status"]
    return "" if status == "-" else COLOURS.get(status, "red")


def _cells(summary: Summary, width: int) -> dict[str, str]:
    """Return what there is to say about a structure by the headings of the columns."""
    calls = summary.number("relax_force_calls")
    cells = {
        "structure": summary.source,
        "formula": summary.formula,
        "atoms": str(summary.natoms),
        "status": summary.status or "-",
        "force\ncalls": _number(calls, ".0f"),
        "energy\neV": _number(summary.energy, ".4f"),
        "energy\neV/atom": _number(summary.energy / max(summary.natoms, 1), ".4f"),
        "fmax\neV/A": _number(summary.fmax, ".4f" if summary.fmax < 1000 else ".2e"),
        "reason": _reason(summary),
    }
    left_out = ["reason"] if width < WIDEST else []
    left_out += ["atoms", "energy\neV"] if width < WIDE else []
    return {name: text for name, text in cells.items() if name not in left_out}


def _reason(summary: Summary) -> str:
    """Return why a run did not converge; nothing of one that did."""
    return "" if summary.status == "converged" else summary.text("relax_reason")


def _number(value: float, style: str) -> str:
    return format(value, style) if math.isfinite(value) else "-"
