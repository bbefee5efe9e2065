"""What the command writes to the terminal, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from relax.core.process import QUIET

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["BAD_INPUT", "OK", "UNCONVERGED", "messages_shown", "print_json", "print_table", "warn"]

OK, UNCONVERGED, BAD_INPUT = 0, 1, 2
"""Exit codes: all structures converged; some did not; wrong options, or invalid structures or files."""


def warn(message: str) -> None:
    """Print one line on standard error."""
    message = message.replace("\n", "\\n").replace("\r", "\\r")  # there may be some in the name of a file
    print(f"relax: {message}", file=sys.stderr)


class _Messages(logging.Handler):
    """Writes each message of the library as one line, above the progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(" ".join(record.getMessage().split()))


@contextlib.contextmanager
def messages_shown(verbosity: int) -> Iterator[None]:
    """Print what the library reports on standard error within the block.

    Parameters
    ----------
    verbosity
        0: nothing; 1: what a user may want to know, such as the size of batches; 2: details too.
    """
    logger, handler = logging.getLogger("relax"), _Messages()
    before = logger.level, logger.propagate
    if verbosity > 0:
        logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
        logger.propagate = False  # packages that configure logging would print it again
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def print_json(value: Any, indent: int | None = None) -> None:
    """Print ``value`` as JSON, on one line unless ``indent`` is given."""
    print(json.dumps(_finite(value), indent=indent), flush=True)


def _finite(value: Any) -> Any:
    """Return ``value`` without infinities and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def print_table(table: Callable[[int], RenderableType]) -> None:
    """Print what ``table`` returns for the width of the terminal in columns, unless the command is quiet."""
    if QUIET.get():
        return
    from rich.console import Console

    # A pipe has no width, and a table that is cut at 80 columns would lose its numbers.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(table(console.width))
