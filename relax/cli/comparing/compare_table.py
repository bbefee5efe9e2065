"""The tables of a comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relax.comparison.pages import page

if TYPE_CHECKING:
    from relax.comparison.files.results_file import Json
    from relax.comparison.tables import Sheet

__all__ = ["compare_table"]

BREAKS = {"mean calls": "mean\ncalls", "≤ 1 / 10 meV, %": "≤ 1 / 10\nmeV, %", "ms a call": "ms\na call"}
"""Headings on two lines."""


def compare_table(results: Json) -> RenderableType:
    """Return all tables, why runs failed, and what one must know to read them."""
    shown = page(results)
    parts: list[RenderableType] = []
    for sheet in shown.sheets:
        parts += [Text(sheet.title, "bold"), _table(sheet), Text()]
    parts += [Text(f"failed: {line}") for line in shown.failures]
    return Group(*parts, *([Text()] if shown.failures else []), Text(shown.notes, "dim"))


def _table(sheet: Sheet) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in sheet.columns:
        heading = BREAKS.get(name, name.replace("'s calls", "'s\ncalls"))
        left = name in sheet.left
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for cells in sheet.rows:
        table.add_row(*map(Text, cells))
    return table
