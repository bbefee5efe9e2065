"""The progress bar of a run, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

__all__ = ["Bar", "progress", "tracked"]

T = TypeVar("T")


class Bar:
    """The progress bar of a run; silent where standard error is no terminal."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None)

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return not self.bar.disable

    def start(self, total: int | None) -> None:
        """Say how many structures there are, where that is known."""
        self.bar.update(self.task, total=total)

    def say(self, words: str) -> None:
        """Show what is going on."""
        self.bar.update(self.task, description=words)

    def advance(self) -> None:
        """One structure is done."""
        self.bar.advance(self.task)

    def pace(self, active: int, ended: int, rate: float, left: int | None) -> None:
        """Say how a batch goes.

        Parameters
        ----------
        active, ended
            Structures that are under way, and that have ended.
        rate
            Structures that end in a second.
        left
            Structures that have not ended, where that is known.
        """
        words = f"{active} active"
        if ended:
            words += f"  {rate:.3g} structures/s"
            if left is not None:
                seconds = round(left / rate)
                words += f"  {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
        self.say(words)


@contextmanager
def progress() -> Iterator[Bar]:
    """Show a progress bar on standard error, gone without a trace at the end of the block."""
    # The stream itself: what loading a model hushes must not be the bar.
    console = Console(file=sys.stderr)
    with Progress(
        MofNCompleteColumn(),
        BarColumn(bar_width=16),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        # What is printed meanwhile goes above the bar, but on to where it is for if that is elsewhere.
        redirect_stdout=sys.stdout.isatty(),
        refresh_per_second=5,
        disable=not sys.stderr.isatty() or console.is_dumb_terminal,
    ) as bar:
        yield Bar(bar)


def tracked(results: Iterable[T], total: int | None, active: Callable[[], int]) -> Iterator[T]:
    """Yield ``results`` beside a progress bar.

    Parameters
    ----------
    results
        What ends, one after the other.
    total
        How many there will be, where that is known.
    active
        Returns how many are under way.
    """
    with progress() as bar:
        bar.start(total)
        began = time.monotonic()
        for ended, result in enumerate(results, 1):
            bar.advance()
            rate = ended / max(time.monotonic() - began, 1e-9)
            bar.pace(active(), ended, rate, None if total is None else total - ended)
            yield result
