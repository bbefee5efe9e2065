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
from collections.abc import Collection
from pathlib import Path
from typing import Any

import relax
from relax.campaign.store.lease import is_held
from relax.campaign.work.order import Order, Report
from relax.core.process import ONE_THREAD

__all__ = ["end_processes", "fill"]

Json = dict[str, Any]

PROCESSES: dict[threading.Thread, _Process] = {}
"""The process of each thread."""


def fill(plain: Json) -> Json:
    """Have an order filled by the process of this thread, and return the report; both as plain values."""
    order = Order(**plain)
    if _is_stopping(order):
        return vars(Report("back"))  # not all engines can cancel what they have taken
    thread = threading.current_thread()
    process = PROCESSES.get(thread)
    if process is None or not process.fits(order):
        if process is not None:
            process.close()
        process = PROCESSES[thread] = _Process(order)
    report = process.fill(order)
    if report.kind != "ended":
        process.close()
        PROCESSES.pop(thread, None)
    return vars(report)


def end_processes(threads: Collection[threading.Thread]) -> None:
    """End the processes of threads; an order that one fills is given back."""
    for thread in threads:
        if (process := PROCESSES.pop(thread, None)) is not None:
            process.close()


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of a process, which finds the same relax as this one, wherever it starts."""
    paths = [str(Path(relax.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    path = {"PYTHONPATH": os.pathsep.join(each for each in paths if each)}
    return os.environ | path | dict.fromkeys(ONE_THREAD, str(threads))


def _is_stopping(order: Order) -> bool:
    """Return whether the driver has said that it will hand out no more."""
    lease = Path(order.folder, "drivers", f"{order.lease}.json")
    return is_held(lease, order.token, stopping=True) and not is_held(lease, order.token)


class _Process:
    """A process that fills orders of one campaign."""

    def __init__(self, order: Order) -> None:
        self.folder, self.threads = order.folder, order.threads
        self.log = Path(
            order.folder, "logs", f"{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}.log"
        )
        self.said = 0
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
                cwd=order.made_in if os.path.isdir(order.made_in) else None,
                env=_environment(order.threads),
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
