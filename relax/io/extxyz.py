"""Frames of an extended XYZ file as text: they can be split and counted without parsing the atoms."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from relax.io.named_files import STANDARD_INPUT

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["comment_fields", "complete", "opened", "split_frames", "structures_of"]

FIELD = re.compile(r'(?:^|\s)([^\s="]+)=("[^"\\]*(?:\\.[^"\\]*)*"|\S+)')
"""A key and its value in a comment line."""

PIECE = r"""[^\s="'{}\[\]\\]+(?:=(?:"[^"\\]+"|[^\s="'{}\[\]\\]+))?"""
PIECES = re.compile(PIECE)
PLAIN = re.compile(rf"(?:{PIECE}\s+)*(?:{PIECE})?")
"""A comment line of pieces, each of which means the same whatever is beside it."""

SHORT = 256
"""Longest piece, and longest line, that is remembered, in characters."""

PLAIN_COLUMNS = "species:S:1:pos:R:3"
"""The columns of a file that does not name them."""


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


def structures_of(lines: list[str]) -> Iterable[Atoms]:
    """Return the structure of a frame as ASE reads it; there is one, unless ASE finds none.

    Parameters
    ----------
    lines
        The lines of the frame, see :func:`split_frames`.

    Raises
    ------
    Exception
        Whatever ASE raises where the frame is damaged, from here or as it is taken.
    """
    if (atoms := _plain(lines)) is not None:
        return (atoms,)
    from ase.io.extxyz import read_xyz

    found: Iterator[Atoms] = read_xyz(io.StringIO("".join(lines)), slice(None), _info)
    return found


def _plain(lines: list[str]) -> Atoms | None:
    """Return the structure of a frame of symbols and positions alone; None of any other, or a damaged one.

    For a few atoms this takes half the time of ASE's reader, whose work is per frame.
    """
    from ase import Atoms
    from ase.io.extxyz import set_calc_and_arrays

    rows = lines[2:]
    if len(rows) != int(lines[0]) or not rows:
        return None
    try:
        if (said := _said(lines[1].strip())) is None:
            return None
        info = dict(said)
        if info.pop("Properties", PLAIN_COLUMNS) != PLAIN_COLUMNS:
            return None
        cell = info.pop("Lattice", None)
        pbc = info.pop("pbc", None if cell is None else True)
        words = [row.split() for row in rows]
        atoms = Atoms(
            [word[0].capitalize() for word in words],
            [[float(word[1]), float(word[2]), float(word[3])] for word in words],
            cell=None if cell is None else cell.T, pbc=pbc, info=_own(info),
        )  # fmt: skip
        if info:
            set_calc_and_arrays(atoms, {})
    except Exception:  # ASE's reader says what is wrong
        return None
    return atoms


def _info(comment: str) -> dict[str, Any]:
    """Return what a comment line says, as ASE reads it."""
    from ase.io.extxyz import key_val_str_to_dict

    if (said := _said(comment)) is not None:
        return _own(said)
    return dict(key_val_str_to_dict(comment))


def _own(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, str) else copy.deepcopy(value) for key, value in info.items()}


def _said(comment: str) -> dict[str, Any] | None:
    """Return what a comment line of such pieces says, which is not to be changed; None of any other.

    ASE takes it apart character by character, and the frames of a file often say much the same, or the same.
    """
    return (_line if len(comment) <= SHORT else _line.__wrapped__)(comment)


@lru_cache(maxsize=64)
def _line(comment: str) -> dict[str, Any] | None:
    if not PLAIN.fullmatch(comment):
        return None
    found: dict[str, Any] = {}
    for piece in PIECES.findall(comment):
        found |= (_piece if len(piece) <= SHORT else _piece.__wrapped__)(piece)
    return found


@lru_cache(maxsize=1024)
def _piece(piece: str) -> dict[str, Any]:
    from ase.io.extxyz import key_val_str_to_dict

    return dict(key_val_str_to_dict(piece))


def comment_fields(lines: list[str]) -> dict[str, str]:
    """Return the ``key=value`` pairs in the comment line of a frame, with the values as text."""
    fields = {}
    for key, value in FIELD.findall(lines[1]):
        fields[key] = value[1:-1].replace('\\"', '"') if value.startswith('"') else value
    return fields
