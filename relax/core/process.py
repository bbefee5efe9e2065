"""What holds for a whole process: signals that end it, and where they may; threads; whether it is quiet."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

__all__ = ["ONE_THREAD", "QUIET", "Interrupts"]

QUIET: ContextVar[bool] = ContextVar("QUIET", default=False)
"""Whether neither tables nor progress are shown."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment in which linear algebra uses one thread: more change paths, and cost more than they gain."""

ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""Ctrl-C, the end of a cluster job, and what a terminal sends when it is closed; Windows has none of that."""


class Interrupts:
    """Raises KeyboardInterrupt, with the number of the signal, where one that ends the program comes.

    Attributes
    ----------
    pending
        The last signal that came while there must be no interruption.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._held = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals within the block, but for those that are ignored, as after nohup."""
        before = {number: signal.getsignal(number) for number in ENDING}
        heeded = [number for number in ENDING if before[number] is not signal.SIG_IGN]
        try:
            for number in heeded:
                signal.signal(number, self._stop)
            yield
        finally:
            for number in heeded:
                signal.signal(number, before[number])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back within the block, but where it is allowed."""
        with self._holding(True):
            yield
        self._raise_pending()

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Allow interruption within the block, up to :meth:`hold`."""
        with self._holding(False):
            self._raise_pending()  # only now: one that comes from here on is raised where it comes
            yield

    def hold(self) -> None:
        """Hold a signal back from here on, until interruption is allowed the next time."""
        self._held = True

    @contextlib.contextmanager
    def _holding(self, held: bool) -> Iterator[None]:
        before, self._held = self._held, held
        try:
            yield
        finally:
            self._held = before

    def _stop(self, number: int, _: Any) -> None:
        if not self._held:
            raise KeyboardInterrupt(number)
        self.pending = number

    def _raise_pending(self) -> None:
        if (number := self.pending) is not None:
            self.pending = None
            raise KeyboardInterrupt(number)
