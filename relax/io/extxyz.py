"""Frames of an extended XYZ file as text: they can be split and counted without parsing the atoms."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO

from relax.io.named_files import STANDARD_INPUT

__all__ = ["comment_fields", "complete", "opened", "split_frames"]

FIELD = re.compile(r'(?:^|\s)([^\s="]+)=("[^"\\]*(?:\\.[^"\\]*)*"|\S+)')
"""A key and its value in a comment line."""


NUMBER = re.compile(r"\s*[0-9]{1,15}\s*")
"""A number of atoms."""


@contextlib.contextmanager
def opened(name: str, errors: str = "strict") -> Iterator[IO[str]]:
    """Open a text file, compressed or not, or standard input.

    Parameters
    ----------
    name
        The file, or :data:`relax.io.named_files.STANDARD_INPUT`.
    errors
        What becomes of bytes that are no UTF-8, as in :func:`open`.
    """
    if name == STANDARD_INPUT:
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors=errors)
        try:
            yield text
        finally:
            text.detach()  # standard input stays open
        return
    if os.path.splitext(name)[1] not in (".gz", ".bz2", ".xz"):
        with open(name, encoding="utf-8", errors=errors) as text:
            yield text
        return
    from ase.io.formats import open_with_compression  # which takes a second

    with open_with_compression(name, "rb") as file:
        yield io.TextIOWrapper(file, encoding="utf-8", errors=errors)


def split_frames(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of each frame: number of atoms, comment, atoms, and cell vectors if present.

    The last frame may be incomplete.  As in ASE, a blank line in place of a number of atoms ends the file.

    Parameters
    ----------
    lines
        The lines of the file, or the open file.

    Raises
    ------
    ValueError
        A frame does not begin with its number of atoms, or something follows the blank line that ends the
        file.
    """
    lines = iter(lines)
    head = next(lines, "")
    while head.strip():
        # A negative number, too, and one of more digits than a file can have atoms.
        if not NUMBER.fullmatch(head):
            raise ValueError(f"expected a number of atoms, found {_shown(head)}")
        frame = [head, *islice(lines, int(head) + 1)]
        head = next(lines, "")
        while head.lstrip().startswith("VEC"):
            frame.append(head)
            head = next(lines, "")
        yield frame
    # ASE would leave out all that follows without a word.
    if rest := next((line for line in lines if line.strip()), ""):
        raise ValueError(f"a blank line ends the file, but {_shown(rest)} follows; delete the blank line")


def _shown(line: str) -> str:
    return repr(line.strip()[:40])


def complete(lines: list[str]) -> bool:
    """Return whether a frame has all of its lines, including the last line break."""
    return len(lines) >= int(lines[0]) + 2 and lines[-1].endswith("\n")


def comment_fields(lines: list[str]) -> dict[str, str]:
    """Return the ``key=value`` pairs in the comment line of a frame, with the values as text."""
    fields = {}
    for key, value in FIELD.findall(lines[1]):
        fields[key] = value[1:-1].replace('\\"', '"') if value.startswith('"') else value
    return fields
