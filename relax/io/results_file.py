"""The file that a batch adds its structures to as they end, each whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from ase import Atoms

from relax.core.errors import UsageError
from relax.io.extxyz import complete, cut, remarks
from relax.io.structures import text

__all__ = ["Output"]


class Output:
    """An extended XYZ file that grows; a context, which opens it and closes it.

    Parameters
    ----------
    name
        The file.
    rule
        The rule and its settings, which those of the structures that are there already are to be.
    options
        What else was asked of them, and is to be the same.

    Attributes
    ----------
    before
        How many structures ended in which way before this run.

    Raises
    ------
    UsageError
        The file is there, and is not what a run by this rule with these options has left.
    """

    def __init__(self, name: str, rule: str, options: str) -> None:
        self.name, self.path = name, Path(os.path.realpath(name))
        self.before: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._end = 0
        if self.path.exists():
            try:
                self._look(rule, options)
            except (OSError, ValueError) as error:
                raise UsageError(f"--output {name}: nothing to go on with: {error}") from None

    def _look(self, rule: str, options: str) -> None:
        """Take note of the structures that are there, and of where the last whole one ends."""
        if not self.path.is_file():
            raise ValueError("it is not a plain file")
        # A character a byte, so that lengths are places in the file.
        with open(self.path, encoding="latin-1", newline="\n") as file:
            for lines in cut(file):
                if not complete(lines):
                    return
                said = {key: _unicode(value) for key, value in remarks(lines).items()}
                if "source" not in said or "relax_rule" not in said:
                    raise ValueError(f"frame {self.before.total()} is not of relax run --output")
                if sorted(said["relax_rule"].split()) != sorted(rule.split()):
                    raise ValueError(f"it is of the rule {said['relax_rule']!r}, not {rule!r}")
                if said.get("relax_options") != options:
                    raise ValueError(f"it is of a run with {said.get('relax_options')}, not {options}")
                self._sources[said["source"]] += 1
                self.before[said.get("relax_status", "running")] += 1
                self._end += sum(map(len, lines))

    def take(self, source: str) -> bool:
        """Return whether the structure ``source`` is there; one that is there once is taken once."""
        there = self._sources[source] > 0
        if there:
            self._sources[source] -= 1
        return there

    def __enter__(self) -> Self:
        try:
            self._file = open(self.path, "r+b" if self.path.exists() else "xb", buffering=0)
            self._cut_off()
        except OSError as error:
            raise UsageError(f"--output {self.name}: {error.strerror}") from None
        return self

    def _cut_off(self) -> None:
        """Drop what comes after the last whole frame."""
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def add(self, frame: Atoms) -> None:
        """Write one more structure, whole or not at all.

        Raises
        ------
        InvalidStructure
            The format cannot hold it.
        UsageError
            The file cannot be written any more.
        """
        data = memoryview(text(frame).encode(errors="surrogateescape"))
        end = self._end + len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            self._end = end
        except BaseException as error:  # Ctrl-C and a full disk alike
            self._cut_off()
            if isinstance(error, OSError):
                raise UsageError(f"--output {self.name}: {error.strerror}") from error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._end == 0:
            self.path.unlink()


def _unicode(value: str) -> str:
    return value.encode("latin-1").decode(errors="surrogateescape")
