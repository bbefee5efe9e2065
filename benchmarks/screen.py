"""Tables of benchmarks on a terminal, in a file or in a pipe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table

__all__ = ["print_lines", "print_table", "screen"]


def screen(width: int = 240) -> Console:
    """Return where tables are shown: in a file or a pipe one as wide as ``width``."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def print_table(
    console: Console,
    title: str,
    titles: Iterable[str],
    rows: Iterable[Sequence[str]],
    words: Collection[str] = ("optimizer",),
) -> None:
    """Print a table, numbers to the right and ``words`` to the left."""
    table = Table(title=title)
    for name in titles:
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    console.print(table)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print plain lines."""
    for line in lines:
        console.print(line, markup=False, highlight=False)
