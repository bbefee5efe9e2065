"""Frames of an extended XYZ file as text: they can be split and counted without parsing the atoms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

__all__ = ["comment_fields", "complete", "split_frames"]

FIELD = re.compile(r'(?:^|\s)([^\s="]+)=("(?:\\.|[^"\\])*"|\S+)')
"""A key and its value in a comment line."""


def split_frames(file: IO[str]) -> Iterator[list[str]]:
    """Yield the lines of each frame: number of atoms, comment, atoms, and cell vectors if present.

    The last frame may be incomplete.  As in ASE, a blank line in place of a number of atoms ends the file.

    Raises
    ------
    ValueError
        A frame does not begin with its number of atoms.
    """
    head = file.readline()
    while head.strip():
        try:
            natoms = int(head)
        except ValueError:
            raise ValueError(f"expected a number of atoms, found {head.strip()[:40]!r}") from None
        lines = [head, *islice(file, max(natoms, 0) + 1)]
        head = file.readline()
        while head.lstrip().startswith("VEC"):
            lines.append(head)
            head = file.readline()
        yield lines


def complete(lines: list[str]) -> bool:
    """Return whether a frame has all of its lines, including the last line break."""
    return len(lines) >= int(lines[0]) + 2 and lines[-1].endswith("\n")


def comment_fields(lines: list[str]) -> dict[str, str]:
    """Return the ``key=value`` pairs in the comment line of a frame, with the values as text."""
    fields = {}
    for key, value in FIELD.findall(lines[1]):
        fields[key] = value[1:-1].replace('\\"', '"') if value.startswith('"') else value
    return fields
