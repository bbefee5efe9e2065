"""The log of a run: a line for each step, in one file or in a file for each structure."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import IO, Self

from relax.core.errors import UsageError
from relax.io.outputs.patterns import is_pattern, named

__all__ = ["Log"]

HEADER = f"{'step':>6} {'calls':>6} {'energy eV':>16} {'fmax eV/A':>12} {'stress GPa':>11}  structure\n"


class Log:
    """Text files that are written line by line.

    Parameters
    ----------
    target
        The file; a pattern, see :mod:`relax.io.outputs.patterns`; or ``"-"``, standard output.
    goes_on
        Whether a file that exists is continued, and not replaced.

    Raises
    ------
    UsageError
        From here and from the methods: the file cannot be written.
    """

    def __init__(self, target: str, goes_on: bool = False) -> None:
        self.target, self._mode = target, "a" if goes_on else "w"
        self._each, self._file = is_pattern(target), None if is_pattern(target) else self._open(target)
        self._names: dict[int, str] = {}

    def begin(self, place: int, source: str, formula: str) -> None:
        """Begin the log of the structure ``place``, where each has a file."""
        if self._each:
            path = named(self.target, source, place, formula)
            with self._faults():
                path.parent.mkdir(parents=True, exist_ok=True)
            self._names[place] = str(path)
            self._open(str(path)).close()

    def step(
        self, place: int, source: str, steps: int, calls: int, energy: float, fmax: float, smax: float
    ) -> None:
        """Write a line on a step: numbers of steps and force calls, eV, eV/A and GPa."""
        stress = f"{smax:11.4f}" if math.isfinite(smax) else f"{'-':>11}"
        self._write(place, f"{steps:6d} {calls:6d} {energy:16.6f} {fmax:12.6f} {stress}  {source}\n")

    def end(self, place: int, source: str, status: str, reason: str) -> None:
        """Write how a structure has ended."""
        self._write(place, f"{source}: {status}: {reason}\n")
        self._names.pop(place, None)

    def close(self) -> None:
        """Close the file; what a full disk left unwritten has been told before."""
        if self._file is not None and self._file is not sys.stdout:
            with contextlib.suppress(OSError):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, place: int, text: str) -> None:
        with self._faults():
            if self._file is not None:
                self._file.write(text)
                self._file.flush()
            else:
                # Opened for each line: there may be more structures than a process may open files.
                with open(self._names[place], "a") as file:
                    file.write(text)

    def _open(self, name: str) -> IO[str]:
        with self._faults():
            file = sys.stdout if name == "-" else open(name, self._mode)  # noqa: SIM115
            try:
                if self._mode == "w" or not file.seekable() or not file.tell():
                    file.write(HEADER)
                    file.flush()
            except OSError:
                with contextlib.suppress(OSError):  # what is still to be written
                    file.close()
                raise
            return file

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(f"--logfile {self.target}: {error.strerror}") from error
