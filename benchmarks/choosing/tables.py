"""Tables of columns: the best of each column in bold, ``-`` where nothing was measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchmarks.choosing.columns import Column, references
from benchmarks.choosing.names import label
from relax.analysis.comparison.tables import markdown


def shown(columns: Sequence[Column], ours: Collection[str]) -> list[str]:
    """Return those of ``ours`` that were measured for any of the columns, and the references."""
    measured = [name for name in ours if any(name in column.cells for column in columns)]
    return [*measured, *references(columns)]


def grid(columns: Sequence[Column], ours: Sequence[str]) -> list[str]:
    """Return the lines of a table, and one that says which of ``ours`` were not measured."""
    names = shown(columns, ours)
    best = [column.best(names) for column in columns]
    rows = [["*structures*", *(f"*{column.structures}*" for column in columns)]]
    for name in names:
        cells = [cell(column, name, name in winners) for column, winners in zip(columns, best, strict=True)]
        rows.append([label(name), *cells])
    lines = markdown(("optimizer", *(column.heading for column in columns)), rows)
    missing = [label(name) for name in ours if name not in names]
    return [*lines, *(["", f"Not measured here: {'; '.join(missing)}."] if missing else [])]


def cell(column: Column, name: str, best: bool) -> str:
    """Return the text of a cell; alone in its column, nothing is in bold."""
    if name not in column.cells:
        return "-"
    text = column.cells[name].text
    return f"**{text}**" if best and len(column.cells) > 1 else text
