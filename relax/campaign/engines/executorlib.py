"""executorlib: processes on this machine, or in the allocation of a SLURM or Flux job."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any

from relax.campaign.engines.parents import end_with_parent
from relax.core.errors import UsageError, one_line

__all__ = ["executorlib"]

RESTARTS = 10
"""How often a worker that has died is started again."""


@contextlib.contextmanager
def executorlib(where: str, workers: int | None = None) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Yield an executor of executorlib, and what returns the number of its workers.

    Parameters
    ----------
    where
        ``local``, ``slurm`` or ``flux``.
    workers
        Number of workers, each with one core; as many as there are cores if not given: of this machine, or
        of the tasks of the SLURM job.

    Raises
    ------
    UsageError
        executorlib is not installed, this is no job, or no number is known.
    """
    try:
        import executorlib as library
    except ImportError:
        raise UsageError(
            'the engine executorlib needs another package: pip install "relax[executorlib]"'
        ) from None
    kind = {"local": "SingleNodeExecutor", "slurm": "SlurmJobExecutor", "flux": "FluxJobExecutor"}[where]
    count = workers or _number(where, os.environ)
    options: dict[str, Any] = {}
    if where == "local":
        options = {"hostname_localhost": True, "init_function": functools.partial(_begin, os.getpid())}
    try:
        # Each worker is one process, which keeps the calculator from one order to the next.
        executor = getattr(library, kind)(
            max_workers=count, block_allocation=True, disable_dependencies=True, restart_limit=RESTARTS,
            **options,
        )  # fmt: skip
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(f"executorlib:{where} cannot start ({one_line(error)})") from None
    try:
        yield executor, lambda: count
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _number(where: str, environment: Mapping[str, str]) -> int:
    """Return the number of workers for which there is room."""
    if where == "local":
        return os.cpu_count() or 1
    if where == "flux":
        raise UsageError("executorlib:flux needs to be told the number of workers")
    if "SLURM_JOB_ID" not in environment or shutil.which("srun") is None:
        raise UsageError("executorlib:slurm is for use within a SLURM job; relax campaign sbatch writes one")
    return int(environment.get("SLURM_NTASKS", 1)) * int(environment.get("SLURM_CPUS_PER_TASK", 1))


def _begin(driver: int) -> dict[str, Any]:
    """Let this worker end with its driver, for whose next call it would wait for ever."""
    end_with_parent(driver)
    return {}
