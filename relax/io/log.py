"""The log of a run, on a file or on standard output."""

from __future__ import annotations

import contextlib
import sys
from typing import Self

from relax.core.errors import UsageError

__all__ = ["Log"]


class Log:
    """A text file that is written line by line.

    Parameters
    ----------
    name
        The file; ``"-"`` is standard output.

    Raises
    ------
    UsageError
        From here and from ``write``: the file cannot be written.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self._file = sys.stdout if name == "-" else open(name, "w", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise self._fault(error) from error

    def write(self, text: str) -> None:
        """Write ``text``."""
        try:
            self._file.write(text)
        except OSError as error:
            raise self._fault(error) from error

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the file; what a full disk left unwritten is told before."""
        if self.name != "-":
            with contextlib.suppress(OSError):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fault(self, error: OSError) -> UsageError:
        return UsageError(f"--logfile {self.name}: {error.strerror}")
