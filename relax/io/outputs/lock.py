"""One run at a time for an output file."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from relax.core.errors import UsageError

__all__ = ["output_locked"]


@contextlib.contextmanager
def output_locked(name: str | None, flag: str = "--output") -> Iterator[None]:
    """Keep other processes from writing the file ``name`` of an option within the block; None is no file.

    The lock is on a file beside it, ``.NAME.lock``, which is removed at the end.  Where a process is killed,
    the system releases its lock, and the file that it leaves keeps nobody out.

    Raises
    ------
    UsageError
        Another process has the lock, or there can be none.
    """
    if name is None:
        yield
        return
    path = Path(os.path.realpath(name))
    path = path.with_name(f".{path.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"{flag} {name}: {_holder(path)} is writing this file; wait for it, or give another name"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise UsageError(f"{flag} {name}: cannot be locked: {error}") from None
    try:
        # A lock that is nothing but its file, where the system has no others, says itself whose it is.
        if not isinstance(lock, SoftFileLock):
            _sign(path)
        yield
    finally:
        if not isinstance(lock, SoftFileLock):
            with contextlib.suppress(OSError):  # Windows removes no open file
                path.unlink()
        lock.release()


def _sign(path: Path) -> None:
    """Write into a lock file whose it is: process and host, on a line each."""
    # Windows locks the first byte, for reading as well.
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
        file.truncate(1)
        file.seek(1)
        file.write(f"{os.getpid()}\n{socket.gethostname()}\n".encode())


def _holder(path: Path) -> str:
    """Return whose a lock file is."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(int(os.name == "nt"))
            pid, host = file.read(1000).strip(b"\0").decode().split()[:2]
    except (OSError, ValueError):
        return "another process"
    return f"process {pid} on {host}"
