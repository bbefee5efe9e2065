"""The frames of an extended XYZ file as text: cut apart and counted without being understood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

__all__ = ["complete", "cut", "remarks"]

REMARK = re.compile(r'(?:^|\s)([^\s="]+)=("(?:\\.|[^"\\])*"|\S+)')
"""A key and its value in a comment line."""


def cut(file: IO[str]) -> Iterator[list[str]]:
    """Yield the lines of each frame: number of atoms, comment, atoms, and cell vectors if they are there.

    The last frame may be short of lines.  As for ASE, a blank line where a frame is to begin is the end.

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
            raise ValueError(f"a number of atoms is to be here, not {head.strip()[:40]!r}") from None
        lines = [head, *islice(file, max(natoms, 0) + 1)]
        head = file.readline()
        while head.lstrip().startswith("VEC"):
            lines.append(head)
            head = file.readline()
        yield lines


def complete(lines: list[str]) -> bool:
    """Return whether a frame has all of its lines, to the last character."""
    return len(lines) >= int(lines[0]) + 2 and lines[-1].endswith("\n")


def remarks(lines: list[str]) -> dict[str, str]:
    """Return what the comment line of a frame says, as ASE writes it, without understanding the values."""
    found = {}
    for key, value in REMARK.findall(lines[1]):
        found[key] = value[1:-1].replace('\\"', '"') if value.startswith('"') else value
    return found
