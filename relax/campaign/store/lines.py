"""Files of JSON lines that only grow: a line is whole, or it is the last one and cut."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from relax.core.errors import UsageError

__all__ = ["Appender", "OpenFiles", "lines_from", "text_of"]

Json = dict[str, Any]

_line = json.JSONEncoder(separators=(",", ":")).encode


def text_of(records: Iterable[Json]) -> str:
    """Return ``records`` as lines of JSON; numbers are written so that reading gives the same bits."""
    return "".join(f"{_line(record)}\n" for record in records)


class Appender:
    """A new file that grows by whole lines, each of which is on the disk when it counts.

    Parameters
    ----------
    path
        The file, which must not be there: no two processes write the same one.

    Raises
    ------
    UsageError
        From here and from the methods: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._end = path, 0
        try:
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error

    def add(self, records: Iterable[Json]) -> None:
        """Write ``records`` and wait until they are on the disk; all of them, or none."""
        data = memoryview(text_of(records).encode())
        end = self._end + len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except BaseException as error:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            if isinstance(error, OSError):
                raise UsageError(f"{self.path}: {error.strerror}") from error
            raise
        self._end = end

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def lines_from(path: Path, offset: int = 0) -> Iterator[tuple[int, int, Json]]:
    """Yield the whole lines of a file: where each begins and ends, in bytes, and what it says.

    A last line without its end is left out: whoever wrote it was killed, or is still writing.

    Parameters
    ----------
    path
        The file.
    offset
        Where a line begins, in bytes.

    Raises
    ------
    UsageError
        The file cannot be read, or a line is no JSON object.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield offset, offset + len(line), _read(path, line, offset)
                offset += len(line)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


class OpenFiles:
    """Files of lines, a few of which are open.

    Parameters
    ----------
    folder
        The folder that their names are relative to.
    """

    MOST = 64

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, tuple[Path, BinaryIO]] = {}

    def line(self, name: str, offset: int) -> Json:
        """Return what the line says that begins at ``offset``; errors as of :func:`lines_from`."""
        if name not in self._open:
            if len(self._open) >= self.MOST:
                self._open.pop(next(iter(self._open)))[1].close()
            path = self.folder / name
            try:
                self._open[name] = path, open(path, "rb")  # noqa: SIM115
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}; restore it") from error
        path, file = self._open[name]
        try:
            file.seek(offset)
            return _read(path, file.readline(), offset)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        """Close all."""
        for _, file in self._open.values():
            file.close()


def _read(path: Path, line: bytes, offset: int) -> Json:
    try:
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError
    except ValueError:
        number = _number(path, offset)
        raise UsageError(
            f"{path}, line {number}, is damaged; restore the file, or delete this line to have what it says "
            "made again"
        ) from None
    return found


def _number(path: Path, offset: int) -> int:
    """Return the number of the line that begins at ``offset``, from 1."""
    with open(path, "rb") as file:
        return file.read(offset).count(b"\n") + 1
