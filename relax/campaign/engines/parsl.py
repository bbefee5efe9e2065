"""Parsl, with the configuration that a Python file defines."""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from relax.campaign.engines.handed import Handed
from relax.core.errors import UsageError, one_line

__all__ = ["parsl"]

RUN_DIR = "runinfo"
"""Where Parsl writes its logs if a configuration does not say it: in the current folder."""

PROGRAM = ["interchange.py"]
"""What Parsl starts to hand calls to workers, if a configuration does not say it."""

OURS = [sys.executable, "-m", "relax.campaign.engines.interchange"]
"""What is started in its place."""

COUNT_EVERY = 1.0
"""Seconds between two counts of the workers, which may come and go."""

ANSWER = 10.0
"""Seconds to wait for an answer of what Parsl hands calls to its workers with."""


@contextlib.contextmanager
def parsl(where: str, workers: int | None, logs: Path) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Yield an executor of Parsl, and what counts its workers.

    Parameters
    ----------
    where
        A Python file that defines ``config``, a ``parsl.config.Config``.
    workers
        Must be None: the configuration says it.
    logs
        A folder that all machines see, for the logs of Parsl if the configuration names none.

    Raises
    ------
    UsageError
        Parsl is not installed, there is no such file, it defines no configuration, or Parsl does not start.
    """
    if workers is not None:
        raise UsageError("the number of workers is that of the Parsl configuration; leave it out")
    try:
        from parsl import DataFlowKernel
        from parsl.concurrent import ParslPoolExecutor
    except ImportError:
        raise UsageError('the engine parsl needs another package: pip install "relax[parsl]"') from None
    config = _config(Path(where))
    if config.run_dir == RUN_DIR:
        config.run_dir = str(logs / "parsl")
    for executor in config.executors:
        if getattr(executor, "interchange_launch_cmd", None) == PROGRAM:
            executor.interchange_launch_cmd = [*OURS, str(os.getpid())]
    with _own_programs():
        logger = logging.getLogger("parsl")
        before = list(logger.handlers)
        try:
            kernel = DataFlowKernel(config)
        except Exception as error:  # of any kind: batch systems, disks, ports
            raise UsageError(f"parsl:{where}: Parsl does not start ({one_line(error)})") from None
        opened = [handler for handler in logger.handlers if handler not in before]
        try:
            yield Handed(ParslPoolExecutor(dfk=kernel).submit), _Count(kernel)
        finally:
            kernel.cleanup()
            for handler in opened:  # which Parsl leaves open
                handler.close()


def _config(path: Path) -> Any:
    """Return the configuration in a file."""
    from parsl import Config

    if not path.is_file():
        raise UsageError(f"parsl:{path}: there is no such file")
    try:
        found = runpy.run_path(str(path)).get("config")
    except Exception as error:  # of any kind: it is a program
        raise UsageError(f"parsl:{path} cannot be run ({one_line(error)})") from None
    if not isinstance(found, Config):
        raise UsageError(f"parsl:{path} must define config, a parsl.config.Config")
    return found


@contextlib.contextmanager
def _own_programs() -> Iterator[None]:
    """Let programs be found that came with Parsl, whose environment may not be the one of the shell."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


class _Count:
    """Counts the workers that there are at the moment."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._last, self._at = 0, -COUNT_EVERY

    def __call__(self) -> int:
        if time.monotonic() - self._at > COUNT_EVERY:
            with contextlib.suppress(Exception):  # what does not answer now may answer the next time
                self._last = sum(map(_workers, self._kernel.executors.values()))
            self._at = time.monotonic()
        return self._last


def _workers(executor: Any) -> int:
    """Return the number of workers of one executor of a configuration."""
    if hasattr(executor, "command_client"):
        managers = executor.command_client.run("MANAGERS", timeout_s=ANSWER)
        return sum(manager["worker_count"] for manager in managers if manager["active"])
    return int(getattr(executor, "max_threads", 0))
