"""The file that grows by each finished structure, and from which a run can resume."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

from ase import Atoms

from relax.core.errors import InvalidStructure, UsageError
from relax.io.extxyz import comment_fields, complete, split_frames
from relax.io.write import extxyz_text

__all__ = ["ResultsFile"]

INTERRUPTED = "interrupted"
"""The status of structures that a run which resumes relaxes again."""

OURS = {"source", "relax_rule"}
"""Keys that all structures have which relax has written."""


class ResultsFile:
    """An extended XYZ file that grows by whole structures.

    Parameters
    ----------
    name
        The file as it is called in messages.
    path
        The file.
    rule
        The rule and its settings.  Structures that are already in the file must have the same.
    options
        The other options that decide the result, likewise.
    resume
        Whether a file that exists is continued; otherwise it is replaced by the first structure.

    Attributes
    ----------
    finished_before
        How many structures ended with each status before this run; those that were interrupted do not count.
    before
        The sources and digests of these structures, in the order of the file.

    Raises
    ------
    UsageError
        The file is continued, and was not written by a run with this rule and these options, or is damaged.
    """

    def __init__(self, name: str, path: str, rule: str, options: str, resume: bool) -> None:
        self.name, self.path = name, Path(os.path.realpath(path))
        self.finished_before: Counter[str] = Counter()
        self.before: list[tuple[str, str]] = []
        self._end, self._interrupted = 0, False
        self._continues = resume and self.path.exists()
        if self._continues:
            try:
                self._scan(rule, options)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"--output {name}: cannot resume from {path}: {error}; "
                    "name another file, or add --force to begin anew"
                ) from None
        self._left, self._sources = Counter(self.before), {source for source, _ in self.before}

    def _scan(self, rule: str, options: str) -> None:
        """Count the structures in the file, and find the end of the last complete one."""
        if not self.path.is_file():
            raise ValueError("it is not a plain file")
        # In latin-1 each character is one byte, so that lengths of text are offsets in the file.
        with open(self.path, encoding="latin-1", newline="\n") as file:
            for number, lines in enumerate(split_frames(file)):
                if not complete(lines):
                    _check_cut(number, lines)
                    return
                fields = {key: _unicode(value) for key, value in comment_fields(lines).items()}
                if not fields.keys() >= OURS:
                    raise ValueError(f"frame {number} was not written by relax run")
                if not _well_formed(lines):
                    raise ValueError(f"frame {number}, of {fields['source']}, is damaged")
                _compare("rule", fields["relax_rule"], rule)
                _compare("options", fields.get("relax_options", ""), options)
                self._end += sum(map(len, lines))
                if fields.get("relax_status") == INTERRUPTED:
                    self._interrupted = True
                    continue
                self.before.append((fields["source"], fields.get("relax_input", "")))
                self.finished_before[fields.get("relax_status", "running")] += 1

    def already_done(self, source: str, digest: str) -> bool:
        """Return whether the structure ``source``, as ``digest`` tells it from others, is in the file.

        Each structure in the file counts once: where an input is named twice and is there once, the second
        is still to be relaxed.

        Raises
        ------
        InvalidStructure
            Another structure of this name is in the file.
        """
        if self._left[source, digest] > 0:
            self._left[source, digest] -= 1
            return True
        if source in self._sources and (source, digest) not in self._left:
            raise InvalidStructure(
                f"it has changed since its result was written to {self.name}; "
                "name another file, or add --force"
            )
        return False

    def open(self) -> None:
        """Open the file, and drop an incomplete last structure.

        Raises
        ------
        UsageError
            The file cannot be opened for writing.
        """
        try:
            if self._interrupted:
                self._leave_out_interrupted()
            self._is_new = not self.path.exists()
            self._file = open(self.path, "xb" if self._is_new else "r+b", buffering=0)  # noqa: SIM115
            if self._continues:
                self._truncate()
        except OSError as error:
            raise UsageError(f"--output {self.name}: {error.strerror}") from None

    def _leave_out_interrupted(self) -> None:
        """Write the file anew without the structures that were interrupted; a kill leaves it as it was."""
        part, self._end = self.path.with_name(f".{self.path.name}.part"), 0
        with (
            open(self.path, encoding="latin-1", newline="\n") as old,
            open(part, "w", encoding="latin-1", newline="\n") as new,
        ):
            for lines in split_frames(old):
                if complete(lines) and comment_fields(lines).get("relax_status") != INTERRUPTED:
                    self._end += new.write("".join(lines))
        os.replace(part, self.path)

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
        if self._end == 0:  # what the file held is not given up before there is something in its place
            self._truncate()
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
        """Close the file; it is removed if it is new and holds no structure."""
        self._file.close()
        if self._end == 0 and self._is_new:
            self.path.unlink()


def _compare(what: str, written: str, wanted: str) -> None:
    """Raise ValueError if two lists of words differ in more than their order."""
    if sorted(written.split()) != sorted(wanted.split()):
        raise ValueError(f"it was written with the {what} {written!r}, not {wanted!r}")


def _check_cut(number: int, lines: list[str]) -> None:
    """Raise ValueError if the last frame is more or other than the beginning of one that relax writes."""
    if len(lines) > 1 and lines[1].endswith("\n") and not comment_fields(lines).keys() >= OURS:
        raise ValueError(f"frame {number} was not written by relax run")
    if any("relax_rule=" in line for line in lines[2:]):  # it would take others with it
        raise ValueError(f"frame {number} is damaged: it has no {lines[0].strip()} atoms")


def _unicode(value: str) -> str:
    return value.encode("latin-1").decode(errors="surrogateescape")


def _well_formed(lines: list[str]) -> bool:
    """Return whether the lines of the atoms have a symbol, and the same number of numbers after it."""
    rows = [line.split() for line in lines[2 : int(lines[0]) + 2]]
    with contextlib.suppress(ValueError):
        for row in rows:
            for word in row[1:4]:
                float(word)
        return all(len(row) == len(rows[0]) and row[0].isalpha() for row in rows)
    return False
