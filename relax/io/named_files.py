"""Files as a user names them: folders, patterns, slices, and standard input."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias, TypeVar

__all__ = ["STANDARD_INPUT", "expanded", "is_among", "missing", "pick", "split_slice"]

T = TypeVar("T")
Identities: TypeAlias = frozenset[tuple[int, int]]

STANDARD_INPUT = "-"
"""The name of standard input."""

BUNDLE = "metadata.json"
"""The file that tells a trajectory of ASE's that is a folder from other folders."""

SLICE = re.compile(r"[-+]?\d+|[-+]?\d*:[-+]?\d*(?::(?![-+]?0+$)[-+]?\d*)?")
"""An index or a slice of Python; its step is not 0."""


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
        Files and folders that are not taken from a folder or by a pattern: what a run writes there.
    """
    leave_out = list(leave_out)
    for name in names:
        plain, _ = split_slice(name)
        # What is written meanwhile may exist only now.
        several = _several(plain, recursive, _identities(leave_out))
        found = False
        for path in several or ():
            if os.path.isdir(plain) and not _known(path):
                continue
            yield path + name.removeprefix(plain)
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
            found = bool(identity) and any(_identities([each]) & identity for each in several)
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


def missing(name: str) -> str:
    """Return why no file is found under ``name``; empty if there is one."""
    if name == STANDARD_INPUT:
        return ""
    if re.search(r"[\r\n]", name):
        return "there is a line break in its name, which no output can hold; rename it"
    plain, _ = split_slice(name)
    if os.path.exists(plain) and not os.access(plain, os.R_OK):
        return "no permission to read it"
    if os.path.isdir(plain) and _several(plain, False) is not None:
        return (
            "no file in this folder has a format that ASE knows (--recursive also takes those in its folders)"
        )
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


def _several(name: str, recursive: bool, leave_out: Identities = frozenset()) -> Iterator[str] | None:
    """Return the files that a folder or a pattern stands for; None if ``name`` is that of one file."""
    if os.path.isdir(name):
        is_file = os.path.exists(os.path.join(name, BUNDLE))
        return None if is_file else _listed(name, recursive, leave_out)
    if os.path.exists(name) or not glob.has_magic(name):
        return None
    found = (path for path in sorted(glob.iglob(name, recursive=True)) if not os.path.isdir(path))
    return (path for path in found if not (leave_out and _identities([path]) & leave_out))


def _listed(folder: str, recursive: bool, leave_out: Identities) -> Iterator[str]:
    """Return the files of a folder, sorted, then those of its folders."""
    try:
        with os.scandir(folder) as entries:
            shown = [
                (entry.name, entry.is_dir())
                for entry in entries
                if not entry.name.startswith(".")
                and not (leave_out and _identities([entry.path]) & leave_out)
            ]
    except OSError:  # whoever opens it learns why
        return iter([folder])
    shown.sort()
    files = (os.path.join(folder, name) for name, is_folder in shown if not is_folder)
    inner = (os.path.join(folder, name) for name, is_folder in shown if is_folder and recursive)
    return chain(files, chain.from_iterable(_listed(name, recursive, leave_out) for name in inner))


def _known(path: str) -> bool:
    """Return whether ASE knows the format of a file."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        kind = filetype(path, read=os.path.getsize(path) > 0)
    except (UnknownFileTypeError, OSError):
        return False
    return kind in ioformats and ioformats[kind].can_read


def _identities(paths: Iterable[str]) -> Identities:
    """Return what tells files apart, whatever they are called; nothing of those that do not exist."""
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
