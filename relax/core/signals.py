"""Signals that end a run."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["terminable", "undisturbed"]

HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
"""What a terminal sends when it is closed; Windows has none."""


def terminable() -> contextlib.AbstractContextManager[None]:
    """Treat the end of a cluster job or of a terminal like Ctrl-C within the block.

    Raises
    ------
    KeyboardInterrupt
        A signal came; its argument is the number of the signal.
    """

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(number)

    return _handled([signal.SIGTERM, *HANGUP], stop)


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Ignore signals that would end the program within the block, for what must be written."""
    return _handled([signal.SIGINT, signal.SIGTERM, *HANGUP], signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle signals by ``handler`` within the block, but for those that are ignored, as after nohup."""
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] is not signal.SIG_IGN]
    try:
        for number in heeded:
            signal.signal(number, handler)
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
