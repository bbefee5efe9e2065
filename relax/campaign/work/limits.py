"""What a driver keeps to, and how often it does what is no work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Limits", "Seldom"]


@dataclass(frozen=True)
class Limits:
    """What a driver keeps to.

    Parameters
    ----------
    until
        When it must have ended, on the clock of :func:`time.monotonic`, s.
    grace
        Time that workers get to hand back what they do, s.
    call_limit
        Time after which a force call counts as one that never ends, s.
    threads
        Threads of each process.
    shard
        Which part of the units is done, from 0, and of how many.
    """

    until: float = float("inf")
    grace: float = 30.0
    call_limit: float = 3600.0
    threads: int = 1
    shard: tuple[int, int] = (0, 1)


class Seldom:
    """Calls a function now and then: it takes a twentieth of the time, and once a second at most.

    Parameters
    ----------
    function
        What is called.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function, self._next = function, -float("inf")

    def __call__(self) -> None:
        began = time.monotonic()
        if began >= self._next:
            self.function()
            ended = time.monotonic()
            self._next = ended + max(1.0, 20 * (ended - began))
