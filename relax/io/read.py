"""Structures from files, one frame at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Collection, Generator, Iterator
from itertools import islice
from pathlib import Path

from ase import Atoms
from ase.io import Trajectory, iread
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

from relax.core.errors import InvalidStructure, one_line
from relax.io.extxyz import opened, split_frames, structures_of
from relax.io.named_files import STANDARD_INPUT, pick, split_slice

__all__ = [
    "count_structures",
    "file_format",
    "frames_wanted",
    "read_numbered",
    "read_some",
    "read_structures",
]

CIF_SITES = ("_atom_site_fract_x", "_atom_site_cartn_x")
"""The column headers of the atom sites in a CIF; each structure has one of them."""


def read_structures(path: str | Path) -> Iterator[Atoms]:
    """Yield the frames of a file in any format that ASE reads.

    Raises
    ------
    InvalidStructure
        The file does not exist, is empty, holds no structure, or a frame is unreadable; the frames before
        that one are yielded first.
    """
    for _, atoms in _read(str(path), None, None):
        yield atoms


def read_numbered(name: str, kind: str | None = None) -> Iterator[tuple[int, Atoms]]:
    """Yield structures as a user names them, each with its number in the file.

    Parameters
    ----------
    name
        A file, ``FILE@SLICE`` as in ASE, or ``-`` for standard input.
    kind
        ASE's name of the format; by default, what ASE recognises, and extended XYZ for standard input.

    Raises
    ------
    InvalidStructure
        As :func:`read_structures`, or the slice holds no structure.
    """
    path, index = split_slice(name)
    if path == STANDARD_INPUT and kind not in (None, "extxyz"):
        # Many of ASE's readers need a file with a name, in which they can go back.
        with tempfile.TemporaryDirectory(prefix="relax-") as folder:
            copy = Path(folder, "standard-input")
            with copy.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            yield from _read(str(copy), kind, None)
        return
    wanted = None if index is None else frames_wanted(path, index, kind)
    yield from _read(path, kind, wanted)


def read_some(path: str, numbers: Collection[int]) -> Iterator[tuple[int, Atoms]]:
    """Yield those structures of a file whose numbers are in ``numbers``, each with its number.

    Of an extended XYZ file the others are not parsed, which takes most of the time.

    Parameters
    ----------
    path
        The file.
    numbers
        The numbers, in any order; a set where there are many.

    Raises
    ------
    InvalidStructure
        As :func:`read_structures`.
    """
    last = max(numbers, default=-1)
    try:
        plain = os.path.isfile(path) and file_format(path) == "extxyz"
    except UnknownFileTypeError:
        plain = False  # _read says so
    if not plain:
        found = _read(path, None, range(last + 1)) if numbers else iter(())
        yield from ((number, atoms) for number, atoms in found if number in numbers)
        return
    number = -1
    try:
        with opened(path, errors="backslashreplace") as file:
            for number, lines in enumerate(islice(split_frames(file), last + 1)):
                if number in numbers:
                    yield from ((number, atoms) for atoms in structures_of(lines))
    except Exception as error:
        raise InvalidStructure(f"frame {max(number, 0)} cannot be read: {one_line(error)}") from error


def frames_wanted(path: str, index: slice, kind: str | None = None) -> range:
    """Return the numbers of the frames that a slice selects.

    The file is read only where the slice counts from its end.
    """
    parts = (index.start or 0, index.stop or 0, index.step or 1)
    if min(parts) >= 0 and index.stop is not None:
        return range(*index.indices(index.stop))
    if min(parts) >= 0:
        return range(*index.indices(sys.maxsize))
    number = count_structures(path, kind)
    if number is None:
        number = sum(1 for _ in _read(path, kind, None))
    return range(*index.indices(number))


def _read(path: str, kind: str | None, wanted: range | None) -> Iterator[tuple[int, Atoms]]:
    """Yield the frames of a file that are wanted, with their numbers; see :func:`read_structures`."""
    from_file = path != STANDARD_INPUT
    if from_file and not os.path.exists(path):
        raise InvalidStructure("there is no such file")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise InvalidStructure("the file is empty")
    last = -1
    with contextlib.closing(_frames(path, kind, wanted)) as frames:
        while True:
            try:
                with warnings.catch_warnings():
                    # ASE warns about dialects of a file that it can read: the user need not act.
                    warnings.simplefilter("ignore")
                    found = next(frames, None)
            except UnknownFileTypeError:
                raise InvalidStructure("ASE does not know the format of this file; convert it") from None
            except Exception as error:
                if os.path.isdir(path):
                    raise InvalidStructure("this is a folder; give a structure file") from None
                frame = f"frame {last + 1} " if last >= 0 else ""
                raise InvalidStructure(f"{frame}cannot be read: {one_line(error)}") from error
            if found is None:
                break
            yield found
            last = found[0]
    if last < 0:
        where = "the file" if from_file else "standard input"
        what = "no structure" if wanted is None else "no structure in this slice"
        raise InvalidStructure(f"{where} holds {what}")


def file_format(path: str, kind: str | None = None) -> str:
    """Return ASE's name of the format of a file; ``kind`` if that is given.

    Raises
    ------
    UnknownFileTypeError
        ASE does not know it.
    """
    if kind is None:
        kind = "extxyz" if path == STANDARD_INPUT else str(filetype(path))
    return kind


def _frames(path: str, kind: str | None, wanted: range | None) -> Generator[tuple[int, Atoms]]:
    """Yield the frames of a file as ASE reads them, with their numbers."""
    kind = file_format(path, kind)
    if kind == "extxyz":
        # ASE would scan the whole file before it yields the first frame.
        with opened(path) as file:
            for number, lines in pick(split_frames(file), wanted):
                # ASE would look for each of them, however many they are.
                if len(lines) < (natoms := int(lines[0])) + 2:
                    raise EOFError(f"the file ends after {max(len(lines) - 2, 0)} of {natoms} atoms")
                for atoms in structures_of(lines):
                    yield number, atoms
    elif kind == "traj" and wanted is not None:
        with Trajectory(path) as trajectory:
            for number in wanted:
                if number >= len(trajectory):
                    break
                yield number, trajectory[number]
    else:
        yield from pick(iread(path, index=":", format=kind, do_not_split_by_at_sign=True), wanted)


def count_structures(path: str | Path, kind: str | None = None) -> int | None:
    """Return the number of frames in a file, or None where only reading the whole file would tell.

    Parameters
    ----------
    path
        The file.
    kind
        ASE's name of its format; by default, what ASE recognises.
    """
    path = Path(path)
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return 0
    if not (path.is_file() or path.is_dir()):  # a pipe, which can be read once
        return None
    try:
        kind = file_format(str(path), kind)
        if kind == "extxyz":
            with opened(str(path)) as file:
                return sum(1 for _ in split_frames(file))
        if kind == "cif":
            with open_with_compression(str(path)) as file:
                return sum(1 for line in file if line.lower().lstrip().startswith(CIF_SITES))
        if kind == "traj":
            with Trajectory(path) as trajectory:
                length: int = len(trajectory)
            return length
        return 1 if ioformats[kind].single else None
    except Exception:  # read_structures reports what is wrong with the file
        return None
