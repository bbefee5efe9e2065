"""The tables of a comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relax.analysis.comparison.pages import page

if TYPE_CHECKING:
    from relax.analysis.comparison.files.results_file import Json
    from relax.analysis.comparison.tables import Sheet

__all__ = ["compare_table"]

BREAKS = {
    "mean calls": "mean\ncalls",
    "≤ 1 / 10 meV, %": "≤ 1 / 10\nmeV, %",
    "ms a call": "ms a call\nin / outside",
}
"""Headings on two lines."""


WIDE = 100
"""Columns of a terminal that are enough for all columns of the tables."""


def compare_table(results: Json, width: int) -> RenderableType:
    """Return all tables, why runs failed, and what one must know to read them.

    Parameters
    ----------
    results
        Those of :mod:`relax.analysis.comparison.results`.
    width
        Number of columns of the terminal.
    """
    shown = page(results)
    parts: list[RenderableType] = []
    for sheet in shown.sheets:
        parts += [Text(sheet.title, "bold"), _table(sheet, width), Text()]
    parts += [Text(f"failed: {line}") for line in shown.failures]
    return Group(*parts, *([Text()] if shown.failures else []), Text(shown.notes, "dim"))


def _table(sheet: Sheet, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    shown = [name for name in sheet.columns if width >= WIDE or name != "median"]
    for name in shown:
        heading = BREAKS.get(name, name.replace("'s calls", "'s\ncalls"))
        left = name in sheet.left
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for cells in sheet.rows:
        named = dict(zip(sheet.columns, cells, strict=True))
        table.add_row(*(Text(named[name]) for name in shown))
    return table
