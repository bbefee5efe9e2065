"""The process that relaxes structures: ``python -m relax.campaign.work.child FOLDER``.

It reads orders on standard input, a line of JSON each, and answers each on what was its standard output.  A
calculator may print, hang or end it: whoever has started it takes note.

It ends when there are no more orders, and when the driver is gone: workers of a cluster live on then, and the
calculator would be kept in their memory.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from relax.campaign.store.lease import LeaseWatch
from relax.campaign.work.order import Order, Report
from relax.core.errors import UsageError
from relax.core.process import Interrupts

__all__ = ["main"]

GRACE = 5.0
"""Seconds that there are to give an order back before the process ends."""

LOOK_EVERY = 2.0
"""Seconds between two looks at whether the driver is still there."""

LOOKS = 2
"""Looks in a row that do not find it: a file server may be slow to show a file that was replaced."""


def main() -> None:
    """Fill orders until there are no more, or the process that sends them is gone."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # for what calculators print
    faulthandler.enable()  # compiled code says where it has failed
    orders: SimpleQueue[Order | None] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, orders), daemon=True).start()
    interrupts = Interrupts()
    with contextlib.suppress(KeyboardInterrupt), interrupts.handled(), interrupts.held():
        worker = None
        while (order := orders.get()) is not None:
            try:
                if worker is None:
                    from relax.campaign.store.folder import Folder
                    from relax.campaign.work.unit import Worker

                    _use_threads(order.threads)
                    worker = Worker(Folder.opened(Path(order.folder)), interrupts)
                report = worker.fill(order)
            except UsageError as error:
                report = Report("fault", str(error))
            answers.write(json.dumps(asdict(report)) + "\n")


def _read(source: IO[str], orders: SimpleQueue[Order | None]) -> None:
    last: list[Order] = []
    for line in source:
        last.append(Order(**json.loads(line)))
        orders.put(last[-1])
        if len(last) == 1:
            threading.Thread(target=_watch, args=(last, orders), daemon=True).start()
        else:
            del last[0]
    _end(orders)


def _watch(last: list[Order], orders: SimpleQueue[Order | None]) -> None:
    """End once the driver is gone that has sent the last order."""
    watch, missed = _watch_of(last[-1]), 0
    while missed < LOOKS:
        time.sleep(LOOK_EVERY)
        if watch.token != last[-1].token:
            watch = _watch_of(last[-1])
        missed = missed + 1 if watch.is_gone() else 0
    _end(orders)


def _watch_of(order: Order) -> LeaseWatch:
    return LeaseWatch(Path(order.folder, "drivers", f"{order.lease}.json"), order.token)


def _end(orders: SimpleQueue[Order | None]) -> None:
    """Give back what is on the way, and end the process, also where a call never ends."""
    orders.put(None)
    end = threading.Timer(GRACE, os._exit, [1])
    end.daemon = True
    end.start()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _use_threads(number: int) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)


if __name__ == "__main__":
    main()
