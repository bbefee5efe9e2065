"""Engines by name: where the workers of a campaign are.

``processes``
    Processes of this machine, as many as there are cores; the default.
``dask:ADDRESS``
    The workers of a Dask cluster, by the address of its scheduler or a scheduler file.
``parsl:FILE``
    Parsl, with the ``config`` that a Python file defines.
``executorlib:local``, ``executorlib:slurm``, ``executorlib:flux``
    executorlib, on this machine, or in the allocation of a SLURM or Flux job.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from relax.campaign.engines.handed import Handed
from relax.campaign.work.process import end_processes
from relax.core.errors import UsageError

__all__ = ["ENGINES", "engine"]

ENGINES = ("processes", "dask:ADDRESS", "parsl:FILE", "executorlib:local|slurm|flux")

Engine = tuple[Executor, Callable[[], int]]


@contextlib.contextmanager
def engine(given: Executor | str | None, workers: int | None, logs: Path) -> Iterator[Engine]:
    """Yield an executor, and what returns the number of its workers.

    Parameters
    ----------
    given
        An executor, which is left as it is; the name of an engine; None is ``processes``.
    workers
        Number of workers; that of the executor if not given.
    logs
        A folder that all machines see, for what an engine itself has to say.

    Raises
    ------
    UsageError
        There is no such engine, or it cannot be used.
    """
    if isinstance(given, Executor):
        known = getattr(given, "_max_workers", None) or getattr(given, "max_workers", None)
        yield Handed(given.submit), lambda: workers or int(known or 1)
        return
    kind, _, where = (given or "processes").partition(":")
    if kind == "processes" and not where:
        count = workers or os.cpu_count() or 1
        with _processes(count) as executor:
            yield executor, lambda: count
    elif kind == "dask" and where:
        from relax.campaign.engines.dask import dask

        with dask(where, workers) as found:
            yield found
    elif kind == "parsl" and where:
        from relax.campaign.engines.parsl import parsl

        with parsl(where, workers, logs) as found:
            yield found
    elif kind == "executorlib" and where in ("local", "slurm", "flux"):
        from relax.campaign.engines.executorlib import executorlib

        with executorlib(where, workers) as found:
            yield found
    else:
        raise UsageError(f"unknown engine {given!r} (there are: {', '.join(ENGINES)})")


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Yield an executor of threads, each of which watches one process; see relax.campaign.work.process."""
    name = f"relax-{uuid.uuid4().hex}"
    executor = ThreadPoolExecutor(count, name)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        end_processes([thread for thread in threading.enumerate() if thread.name.startswith(name)])
