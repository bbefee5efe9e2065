"""Files as a user names them: folders, patterns, slices, and standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar

__all__ = ["STANDARD_INPUT", "expanded", "is_among", "missing", "pick", "split_slice"]

T = TypeVar("T")

STANDARD_INPUT = "-"
"""The name of standard input."""

BUNDLE = "metadata.json"
"""The file that tells a trajectory of ASE's that is a folder from other folders."""

SLICE = re.compile(r"[-+]?\d+|[-+]?\d*:[-+]?\d*(?::[-+]?\d*)?")
"""An index or a slice of Python."""


def expanded(names: Iterable[str], recursive: bool = False, leave_out: Iterable[str] = ()) -> Iterator[str]:
    """Yield the files that ``names`` stand for, in their order.

    A name that stands for nothing is yielded as it is: whoever opens it learns what is wrong.

    Parameters
    ----------
    names
        Files, folders, patterns such as ``runs/**/*.cif``, each with a slice after an ``@`` or without, or
        :data:`STANDARD_INPUT`.  Of a folder, all files are taken whose format ASE knows, sorted and but for
        the hidden ones.
    recursive
        Take the files in the folders of a folder too.
    leave_out
        Existing files that are not taken from a folder or by a pattern, such as an output file.
    """
    others = _identities(leave_out)
    for name in names:
        plain, index = split_slice(name)
        several = _several(plain, recursive)
        if several is None:
            yield name
            continue
        found = False
        for path in several:
            if (os.path.isdir(plain) and not _known(path)) or (others and _identities([path]) & others):
                continue
            yield path if index is None else f"{path}@{name.rpartition('@')[2]}"
            found = True
        if not found:
            yield name


def is_among(path: str, names: Iterable[str], recursive: bool = False) -> bool:
    """Return whether the file ``path`` is one of those that ``names`` stand for, however it is spelled."""
    real, identity = os.path.realpath(path), _identities([path])
    for name in names:
        plain, _ = split_slice(name)
        several = _several(plain, recursive)
        if several is None:
            found = name != STANDARD_INPUT and os.path.realpath(plain) == real
        else:
            found = any(_identities([each]) & identity for each in several) if identity else False
            found = found and (_known(path) or not os.path.isdir(plain))
        if found:
            return True
    return False


def split_slice(name: str) -> tuple[str, slice | None]:
    """Return the file and the slice of ``FILE@SLICE``; where a file has that very name, no slice.

    An index is the slice of that one structure.
    """
    plain, at, index = name.rpartition("@")
    if not (at and plain and SLICE.fullmatch(index)) or os.path.exists(name):
        return name, None
    if ":" not in index:
        number = int(index)
        return plain, slice(number, number + 1 or None)
    return plain, slice(*(int(part) if part else None for part in index.split(":")))


def missing(name: str, recursive: bool = False) -> str:
    """Return why no file is found under ``name``; empty if there is one."""
    if name == STANDARD_INPUT:
        return ""
    plain, _ = split_slice(name)
    if os.path.exists(plain) and not os.access(plain, os.R_OK):
        return "no permission to read it"
    if os.path.isdir(plain) and _several(plain, recursive) is not None:
        more = "" if recursive else "; --recursive looks into its folders"
        return f"no file in this folder has a format that ASE knows{more}"
    if os.path.exists(plain):
        return ""
    return "no file matches this pattern" if glob.has_magic(plain) else "there is no such file"


def pick(items: Iterable[T], wanted: range | None) -> Iterator[tuple[int, T]]:
    """Yield the items whose numbers are in ``wanted``, each with its number; all of them for None.

    Nothing is read after the last one that is wanted.
    """
    if wanted is None:
        yield from enumerate(items)
    elif wanted.step < 0:
        yield from reversed(list(pick(items, wanted[::-1])))
    elif wanted:
        last = wanted[-1]
        for number, item in enumerate(items):
            if number in wanted:
                yield number, item
            if number >= last:
                break


def _several(name: str, recursive: bool) -> Iterator[str] | None:
    """Return the files that a folder or a pattern stands for; None if ``name`` is that of one file."""
    if os.path.isdir(name):
        return None if os.path.exists(os.path.join(name, BUNDLE)) else _listed(name, recursive)
    if os.path.exists(name) or not glob.has_magic(name):
        return None
    return (path for path in sorted(glob.iglob(name, recursive=True)) if not os.path.isdir(path))


def _listed(folder: str, recursive: bool) -> Iterator[str]:
    """Yield the files of a folder, sorted, then those of its folders."""
    try:
        with os.scandir(folder) as entries:
            shown = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError:  # whoever opens it learns why
        return iter([folder])
    shown.sort()
    files = (os.path.join(folder, name) for name, is_folder in shown if not is_folder)
    inner = (os.path.join(folder, name) for name, is_folder in shown if is_folder and recursive)
    return chain(files, chain.from_iterable(_listed(name, recursive) for name in inner))


def _known(path: str) -> bool:
    """Return whether ASE knows the format of a file."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        kind = filetype(path, read=os.path.getsize(path) > 0)
    except (UnknownFileTypeError, OSError):
        return False
    return kind in ioformats and ioformats[kind].can_read


def _identities(paths: Iterable[str]) -> set[tuple[int, int]]:
    """Return what tells files apart, whatever they are called; nothing of those that do not exist."""
    found = set()
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return found
