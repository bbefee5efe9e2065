"""The progress bar of a run, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from relax.core.process import QUIET

__all__ = ["Bar", "progress", "tracked"]

T = TypeVar("T")


class Bar:
    """A progress bar that counts structures; hidden where standard error is no terminal.

    Parameters
    ----------
    bar
        The display.
    unit
        What is counted.
    """

    def __init__(self, bar: Progress, unit: str = "structures") -> None:
        self.bar, self.unit = bar, unit
        self.task = bar.add_task("", total=None)

    @property
    def visible(self) -> bool:
        """Whether the bar is displayed."""
        return not self.bar.disable

    def start(self, total: int | None) -> None:
        """Set the number of structures, if it is known."""
        self.bar.update(self.task, total=total)

    def status(self, text: str) -> None:
        """Show ``text`` beside the bar."""
        self.bar.update(self.task, description=text)

    def advance(self) -> None:
        """Count one more finished structure."""
        self.bar.advance(self.task)

    def complete(self, number: int) -> None:
        """Set the number of finished structures."""
        self.bar.update(self.task, completed=number)

    def update(self, active: int | None, finished: int, rate: float, left: int | None) -> None:
        """Show the speed of a run and the time left.

        Parameters
        ----------
        active, finished
            Number of structures that are being relaxed, if it is known, and that are done.
        rate
            Finished structures per second.
        left
            Number of structures that are not done, if it is known.
        """
        words = [] if active is None else [f"{active} active"]
        if finished:
            words.append(f"{rate:.3g} {self.unit}/s")
            if left is not None:
                seconds = round(left / rate)
                words.append(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left")
        self.status("  ".join(words))


@contextmanager
def progress(unit: str = "structures") -> Iterator[Bar]:
    """Show a progress bar of what ``unit`` says on standard error; it is erased at the end of the block."""
    # The stream itself, since the output of a model that loads is silenced by replacing sys.stderr.
    console = Console(file=sys.stderr)
    with Progress(
        MofNCompleteColumn(),
        BarColumn(bar_width=16),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        # Printed lines go above the bar on a terminal, and must still reach a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
        refresh_per_second=5,
        disable=QUIET.get() or not sys.stderr.isatty() or console.is_dumb_terminal,
    ) as bar:
        yield Bar(bar, unit)


def tracked(
    results: Iterable[T],
    total: int | None,
    active: Callable[[], int | None] = lambda: None,
    unit: str = "structures",
) -> Iterator[T]:
    """Yield ``results`` beside a progress bar.

    Parameters
    ----------
    results
        What ends, one after the other.
    total
        How many there will be, where that is known.
    active
        Returns how many are under way, where several can be.
    unit
        What they are.
    """
    with progress(unit) as bar:
        bar.start(total)
        began = time.monotonic()
        for ended, result in enumerate(results, 1):
            bar.advance()
            rate = ended / max(time.monotonic() - began, 1e-9)
            bar.update(active(), ended, rate, None if total is None else total - ended)
            yield result
