"""Work in separate processes, each with one thread and a calculator; and the memory of a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from relax.core.process import ONE_THREAD

Task = TypeVar("Task")
Done = TypeVar("Done")


def ignore_interrupts() -> None:
    """Leave interrupts to the parent process, which ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


calculators: list[Any] = []
"""The calculator of this process, in a list that is filled when the process starts."""


def prepare_process(calculator: Any, *options: Any) -> None:
    """Load the calculator of a process.

    Parameters
    ----------
    calculator
        Its name, or itself.
    *options
        Device, dtype, head and settings, as for :func:`relax.calculators.registry.load`.
    """
    from relax.calculators.registry import load  # which loads numpy, that reads ONE_THREAD then

    ignore_interrupts()
    calculators[:] = [load(calculator, *options) if isinstance(calculator, str) else calculator]
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def in_processes(
    work: Callable[[Task], Done],
    tasks: Sequence[Task],
    jobs: int,
    initializer: Callable[..., None] = ignore_interrupts,
    arguments: tuple[Any, ...] = (),
    timeout: float | None = None,
) -> Generator[Done]:
    """Yield the results of ``work`` on each task, in the order in which they are complete.

    Parameters
    ----------
    jobs
        Number of processes.
    initializer, arguments
        What a process calls first, and with what.
    timeout
        Seconds for all tasks together, after which TimeoutError is raised.
    """
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, initializer, arguments)
    try:
        for future in as_completed([executor.submit(work, task) for task in tasks], timeout):
            yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def peak_memory() -> float:
    """Return the largest memory of this process so far, MB; NaN where that is not known.

    Not from ``getrusage``, whose figure includes what the parent had when it started this process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))
