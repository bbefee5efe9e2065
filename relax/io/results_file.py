"""The output of a run: a file that is written at the end, or one that grows by each finished structure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from relax.core.errors import InvalidStructure, UsageError
from relax.io.extxyz import comment_fields, complete, split_frames
from relax.io.write import extxyz_text, write_structures

__all__ = ["ResultsFile", "WholeFile"]


class WholeFile:
    """An output file that is written as a whole when it is closed, in any format that ASE writes.

    Parameters
    ----------
    name
        The file.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames: list[Atoms] = []

    def rehearse(self, frames: Sequence[Atoms]) -> None:
        """Find out whether ``frames`` can be written, and write nothing.

        Raises
        ------
        UsageError
            They cannot.
        """
        self._write(frames, rehearse=True)

    def add(self, frame: Atoms) -> None:
        """Take one more structure."""
        self.frames.append(frame)

    def close(self) -> None:
        """Write the structures; without any, there is no file.

        Raises
        ------
        UsageError
            The file cannot be written.
        """
        if self.frames:
            self._write(self.frames)

    def _write(self, frames: Sequence[Atoms], rehearse: bool = False) -> None:
        try:
            write_structures(self.name, frames, rehearse)
        except InvalidStructure as error:
            raise UsageError(f"--output {self.name}: {error}") from error


class ResultsFile:
    """An extended XYZ file that grows by whole structures, and from which a run can resume.

    Parameters
    ----------
    name
        The file.
    rule
        The rule and its settings.  Structures that are already in the file must have the same.
    options
        The other options that decide the result, likewise.

    Attributes
    ----------
    finished_before
        How many structures ended with each status before this run.

    Raises
    ------
    UsageError
        The file exists, and was not written by a run with this rule and these options.
    """

    def __init__(self, name: str, rule: str, options: str) -> None:
        self.name, self.path = name, Path(os.path.realpath(name))
        self.finished_before: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._end = 0
        if self.path.exists():
            try:
                self._scan(rule, options)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"--output {name}: cannot resume from this file: {error}; name another file"
                ) from None

    def _scan(self, rule: str, options: str) -> None:
        """Count the structures in the file, and find the end of the last complete one."""
        if not self.path.is_file():
            raise ValueError("it is not a plain file")
        # In latin-1 each character is one byte, so that lengths of text are offsets in the file.
        with open(self.path, encoding="latin-1", newline="\n") as file:
            for lines in split_frames(file):
                if not complete(lines):
                    return
                fields = {key: _unicode(value) for key, value in comment_fields(lines).items()}
                if "source" not in fields or "relax_rule" not in fields:
                    raise ValueError(f"frame {self.finished_before.total()} was not written by relax run")
                _compare("rule", fields["relax_rule"], rule)
                _compare("options", fields.get("relax_options", ""), options)
                self._sources[fields["source"]] += 1
                self.finished_before[fields.get("relax_status", "running")] += 1
                self._end += sum(map(len, lines))

    def already_done(self, source: str) -> bool:
        """Return whether the structure ``source`` is in the file.

        Each structure in the file counts once: where an input is named twice and is there once, the second
        is still to be relaxed.
        """
        found = self._sources[source] > 0
        if found:
            self._sources[source] -= 1
        return found

    def open(self) -> None:
        """Open the file, and drop an incomplete last structure.

        Raises
        ------
        UsageError
            The file cannot be opened for writing.
        """
        try:
            mode = "r+b" if self.path.exists() else "xb"
            self._file = open(self.path, mode, buffering=0)  # noqa: SIM115 - close() closes it
            self._truncate()
        except OSError as error:
            raise UsageError(f"--output {self.name}: {error.strerror}") from None

    def _truncate(self) -> None:
        """Drop what comes after the last complete structure."""
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def add(self, frame: Atoms) -> None:
        """Write one more structure, completely or not at all.

        Raises
        ------
        InvalidStructure
            The format cannot hold it.
        UsageError
            The file is no longer writable.
        """
        data = memoryview(extxyz_text(frame).encode(errors="surrogateescape"))
        end = self._end + len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            self._end = end
        except BaseException as error:  # Ctrl-C and a full disk alike
            self._truncate()
            if isinstance(error, OSError):
                raise UsageError(f"--output {self.name}: {error.strerror}") from error
            raise

    def close(self) -> None:
        """Close the file; without any structure, it is removed."""
        self._file.close()
        if self._end == 0:
            self.path.unlink()


def _compare(what: str, written: str, wanted: str) -> None:
    """Raise ValueError if two lists of words differ in more than their order."""
    if sorted(written.split()) != sorted(wanted.split()):
        raise ValueError(f"it was written with the {what} {written!r}, not {wanted!r}")


def _unicode(value: str) -> str:
    return value.encode("latin-1").decode(errors="surrogateescape")
