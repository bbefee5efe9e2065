"""An executor over that of another library, whose futures differ from those of the standard library."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

__all__ = ["Handed"]


class Handed(Executor):
    """Hands calls to another library and passes on what becomes of them.

    What has been handed over cannot be cancelled.  Some libraries cannot do that at all, and others forget
    a call that is running, so that nobody would wait for a worker which still writes results.  An order that
    the driver no longer wants comes back on its own.

    Parameters
    ----------
    submit
        Takes a function and its arguments, and returns a future of the other library.
    """

    def __init__(self, submit: Callable[..., Any]) -> None:
        self._submit = submit

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call over."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._submit(fn, *args, **kwargs).add_done_callback(lambda done: _pass_on(done, future))
        return future


def _pass_on(done: Any, future: Future[Any]) -> None:
    try:
        result = done.result()
    except CancelledError:
        future.set_exception(CancelledError())
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
