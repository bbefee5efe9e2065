"""The processes that relax structures, started and watched by those of an engine.

An engine, whatever it is, runs :func:`fill` in its workers.  Each thread of a worker has one process beneath
it, in which the calculator is loaded once.  So a calculator that ends its process does not end the worker,
and engines need not agree on what happens where one does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from relax.campaign.work.order import Order, Report

__all__ = ["fill"]

Json = dict[str, Any]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PLACES = threading.local()
"""The process of each thread."""


def fill(plain: Json) -> Json:
    """Have an order filled by the process of this thread, and return the report; both as plain values."""
    order = Order(**plain)
    process: _Process | None = getattr(PLACES, "process", None)
    if process is None or not process.fits(order):
        if process is not None:
            process.close()
        process = PLACES.process = _Process(order)
    report = process.fill(order)
    if report.kind != "ended":
        process.close()
        del PLACES.process
    return vars(report)


class _Process:
    """A process that fills orders of one campaign."""

    def __init__(self, order: Order) -> None:
        self.folder, self.threads = order.folder, order.threads
        self.log = Path(
            order.folder, "logs", f"{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}.log"
        )
        self.said = len(self._last_words())
        with contextlib.ExitStack() as stack:
            try:
                log: Any = stack.enter_context(open(self.log, "a"))
            except OSError:  # a full disk must not be the end of it
                log = subprocess.DEVNULL
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relax.campaign.work.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | dict.fromkeys(THREADS, str(order.threads)),
                start_new_session=True,  # a Ctrl-C is for the driver, which tells its workers
            )
        atexit.register(self.close)

    def fits(self, order: Order) -> bool:
        """Return whether it can fill an order."""
        alike = (self.folder, self.threads) == (order.folder, order.threads)
        return alike and self.process.poll() is None

    def fill(self, order: Order) -> Report:
        """Have an order filled."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order.to_plain()) + "\n")
            self.process.stdin.flush()
        if line := self.process.stdout.readline():
            return Report(**json.loads(line))
        code = self.process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if code == 1 and "Timeout (" in self._last_words():
            how = f"was ended, since a force call took longer than {order.call_limit:g} s"
        return Report("died", f"the process {how}; see logs/{self.log.name}")

    def _last_words(self) -> str:
        try:
            return self.log.read_text(errors="replace")[self.said :]
        except OSError:
            return ""

    def close(self) -> None:
        """Let the process end."""
        atexit.unregister(self.close)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
