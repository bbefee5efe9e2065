"""The command line of benchmarks: shared options, tables, progress, and errors in one line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from relax.analysis.comparison.tables import Page

Optimizers = Annotated[
    list[str] | None,
    typer.Option(help="Names with commas between, settings after a colon: core:s_0=0.1,ase:FIRE."),
]
RattleSeed = Annotated[int, typer.Option(min=0, help="Seed of --rattle.")]
Rattle = Annotated[float, typer.Option(min=0, help="Displace the atoms at random by this, A.")]
Cap = Annotated[int, typer.Option(min=1, help="Most force calls of a run.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="File of results, written as soon as each row is complete.")
]
TableFile = Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")]
RenderFile = Annotated[Path | None, typer.Option(help="Only show the tables of this file of results.")]
Resume = Annotated[bool, typer.Option(help="Keep rows of --json that are up to date.")]


@contextmanager
def errors_in_one_line(benchmark: str) -> Iterator[None]:
    """Print an expected error in one line, and leave with exit code 2; end in order when terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(f"{benchmark}: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(2) from None


def warn_outdated(optimizers: Sequence[str]) -> None:
    """Say on stderr which rows of the file of results are computed again."""
    if optimizers:
        print(f"out of date, not kept: {', '.join(optimizers)}", file=sys.stderr)


@contextmanager
def progress(title: str, total: int) -> Iterator[tuple[Console, Callable[[], None]]]:
    """Show a bar on stderr if that is a terminal; yield the console and what advances the bar by one."""
    console = Console(stderr=True, emoji=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield console, lambda: bar.advance(task)


def wide_console(width: int = 240) -> Console:
    """Return a console for tables, ``width`` characters wide where it is no terminal."""
    console = Console(emoji=False)
    return console if console.is_terminal else Console(emoji=False, width=width)


def print_table(
    console: Console,
    title: str,
    columns: Iterable[str],
    rows: Iterable[Sequence[str]],
    left: Collection[str] = ("optimizer",),
) -> None:
    """Print a table; columns named in ``left`` are aligned to the left."""
    table = Table(title=title)
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    for cells in rows:
        table.add_row(*(cell.strip("`") for cell in cells))
    console.print(table)


def print_plain(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(line, markup=False, highlight=False)


def show(page: Page, table: Path | None = None, width: int = 240) -> None:
    """Print all tables of a page, and write the page as Markdown to ``table``."""
    console = wide_console(width)
    for sheet in page.sheets:
        print_table(console, sheet.title, sheet.columns, sheet.rows, sheet.left)
        print_plain(console, (f"failed: {line}" for line in sheet.failures))
    print_plain(console, (f"failed: {line}" for line in page.failures))
    print_plain(console, [page.notes])
    if table is not None:
        table.write_text(page.markdown())
