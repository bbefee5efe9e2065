"""The workers of a Dask cluster: each of their threads fills one order at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from relax.campaign.engines.handed import Handed
from relax.core.errors import UsageError, one_line

__all__ = ["dask"]

CONNECT = 20.0
"""Seconds to wait for the scheduler."""

COUNT_EVERY = 1.0
"""Seconds between two counts of the workers, which may come and go."""


@contextlib.contextmanager
def dask(where: str, workers: int | None = None) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Yield an executor whose calls the workers of a Dask cluster make, and what counts their threads.

    Parameters
    ----------
    where
        The address of the scheduler, such as ``tcp://host:8786``, or its scheduler file.
    workers
        Must be None: the cluster has as many as it has.

    Raises
    ------
    UsageError
        Dask is not installed, or the scheduler does not answer.
    """
    if workers is not None:
        raise UsageError("the number of workers is that of the Dask cluster; leave it out")
    try:
        from dask.distributed import Client
    except ImportError:
        raise UsageError('the engine dask needs another package: pip install "relax[dask]"') from None
    at = {"address": where} if "://" in where else {"scheduler_file": where}
    if "://" not in where and not Path(where).is_file():
        raise UsageError(f"dask:{where} is neither an address such as tcp://host:8786 nor a scheduler file")
    try:
        client = Client(**at, timeout=CONNECT, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(f"dask:{where}: the scheduler does not answer ({one_line(error)})") from None
    with client:
        yield _Calls(client), _Count(client)


class _Calls(Handed):
    """The calls that a client of Dask makes."""

    def __init__(self, client: Any) -> None:
        # A call whose worker has died is made again as often as the scheduler allows; one that has failed
        # would fail again.  Two equal orders are two calls.
        super().__init__(client.get_executor(pure=False, retries=0).submit)
        self._client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._client.status != "running":  # a call would wait until the scheduler is there again
            raise ConnectionError("the Dask scheduler does not answer")
        return super().submit(fn, *args, **kwargs)


class _Count:
    """Counts the threads of the workers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._last, self._at = 0, -COUNT_EVERY

    def __call__(self) -> int:
        if time.monotonic() - self._at > COUNT_EVERY:
            with contextlib.suppress(OSError):  # in submit it is told
                self._last = sum(self._client.nthreads().values())
            self._at = time.monotonic()
        return self._last
