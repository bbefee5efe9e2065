"""Work done in processes of its own, with one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

Task = TypeVar("Task")
Done = TypeVar("Done")


def leave_interrupts() -> None:
    """Leave interrupts to the parent, which ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def in_processes(
    work: Callable[[Task], Done],
    tasks: Sequence[Task],
    jobs: int,
    begin: Callable[..., None] = leave_interrupts,
    given: tuple[Any, ...] = (),
    timeout: float | None = None,
) -> Generator[Done]:
    """Yield what ``work`` makes of each task when it is there.

    Parameters
    ----------
    jobs
        Processes.
    begin, given
        What makes a process ready, and what it is called with.
    timeout
        Seconds for all tasks together, after which TimeoutError is raised.
    """
    # One thread each: threads of linear algebra cost more than they bring here, and may change paths.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, begin, given)
    try:
        for future in as_completed([executor.submit(work, task) for task in tasks], timeout):
            yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
