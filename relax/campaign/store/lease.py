"""Who is at work on a campaign: files that say so, without locks of the file system, which not all have.

A driver holds a file in ``drivers/``.  It touches it now and then, so that one of a driver that was killed is
told from one that is alive, on another machine too: both times are those of the file server.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from relax.core.errors import UsageError

__all__ = ["Lease", "LeaseWatch", "is_held"]

BEAT = 10.0
"""Seconds between two touches."""

DEAD_AFTER = 120.0
"""Seconds without a touch after which a driver on another machine counts as dead."""

KILLED_AFTER = 25.0
"""The same for a driver of this machine whose process is not found; another container may have it."""

EDITS = "edit"
"""The name of the lease of commands that change what is to be done."""


class Lease:
    """The right to drive a campaign, or one shard of it; or to add structures to it.

    Parameters
    ----------
    folder
        The folder of drivers.
    name
        ``whole``, a shard such as ``1-of-4``, or ``edit``.

    Attributes
    ----------
    token
        What no other lease has.

    Raises
    ------
    UsageError
        On entering: another process is at work.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.path = folder, name, folder / f"{name}.json"
        self.token = uuid.uuid4().hex
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._take()
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from error
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._beating.join()
        with contextlib.suppress(OSError):
            if is_held(self.path, self.token, stopping=True):
                self.path.unlink()

    def stop(self) -> None:
        """Tell the workers of this driver to hand back what they do."""
        with contextlib.suppress(OSError):
            if is_held(self.path, self.token):
                self._write(stopping=True)

    def _take(self) -> None:
        self._refuse_others()
        part = self.folder / f".{self.token}"
        part.write_text(json.dumps(self._content(False)))
        try:
            for _ in range(2):
                try:
                    os.link(part, self.path)  # which fails where there is one, on network disks too
                except FileExistsError:
                    self._bury(_check_dead(self.path))
                else:
                    self._refuse_others()
                    return
            _refuse(_read(self.path))
        except UsageError:
            with contextlib.suppress(OSError):
                if is_held(self.path, self.token):
                    self.path.unlink()
            raise
        finally:
            part.unlink()
            (self.folder / f".dead-{self.token}").unlink(missing_ok=True)

    def _bury(self, dead: dict[str, Any]) -> None:
        """Take away the file of a dead driver, unless another one has done so and put its own there."""
        moved = self.folder / f".dead-{self.token}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, moved)
            if (found := _read(moved)) != dead:
                with contextlib.suppress(FileExistsError):
                    os.link(moved, self.path)
                _refuse(found)

    def _refuse_others(self) -> None:
        """Raise UsageError if a driver is alive whose structures are among those of this one."""
        for other in self.folder.glob("*.json"):
            if other.stem != self.name and _overlap(self.name, other.stem):
                _check_dead(other)

    def _content(self, stopping: bool) -> dict[str, Any]:
        host, pid = socket.gethostname(), os.getpid()
        return {"token": self.token, "host": host, "pid": pid, "born": _born(pid), "stopping": stopping}

    def _write(self, stopping: bool) -> None:
        part = self.folder / f".{self.token}"
        part.write_text(json.dumps(self._content(stopping)))
        os.replace(part, self.path)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self.path)


class LeaseWatch:
    """Whether a driver is still there, as its workers see it by its lease.

    Parameters
    ----------
    path
        The file of the lease.
    token
        The token of the lease.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token = path, token
        self._touched, self._seen = 0.0, time.monotonic()

    def is_gone(self) -> bool:
        """Return whether the lease was given up or taken over, or nobody touches it any more."""
        found = _read(self.path)
        if found.get("token") != self.token:
            return True
        with contextlib.suppress(OSError):
            touched = self.path.stat().st_mtime
            if touched != self._touched:
                self._touched, self._seen = touched, time.monotonic()
        killed = found.get("host") == socket.gethostname() and _born(int(found["pid"])) != found.get("born")
        return time.monotonic() - self._seen > (KILLED_AFTER if killed else DEAD_AFTER)


def is_held(path: Path, token: str, stopping: bool = False) -> bool:
    """Return whether the lease in a file is the one of ``token``, and, unless ``stopping``, not to end."""
    found = _read(path)
    return found.get("token") == token and (stopping or not found.get("stopping"))


def _overlap(one: str, other: str) -> bool:
    """Return whether two leases exclude each other: edits and drivers do not, nor do shards of one number."""
    if EDITS in (one, other):
        return one == other
    return not ("-of-" in one and "-of-" in other and one.split("-of-")[1] == other.split("-of-")[1])


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_dead(path: Path) -> dict[str, Any]:
    """Return what is in a file of a lease; UsageError if the process that holds it is alive."""
    found = _read(path)
    if not found:
        return found
    if found.get("host") == socket.gethostname():
        alive = _born(int(found["pid"])) == found.get("born") != ""
    else:
        alive = _age(path) < DEAD_AFTER
    if alive:
        _refuse(found)
    return found


def _refuse(found: dict[str, Any]) -> NoReturn:
    raise UsageError(
        f"process {found.get('pid')} on {found.get('host')} is at work on this campaign; "
        "wait until it has ended, or stop it"
    )


def _age(path: Path) -> float:
    """Return the time since a file was touched, s, by the clock of the machine that has it."""
    now = path.with_name(f".now-{uuid.uuid4().hex}")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    finally:
        now.unlink(missing_ok=True)


def _born(pid: int) -> str:
    """Return when a process of this machine began, in words; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if stat[0] in "ZX" else f"{stat[19]}"
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "alive"
