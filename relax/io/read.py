"""Structures from files, one frame at a time."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path

from ase import Atoms
from ase.io import Trajectory, iread
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

from relax.core.errors import InvalidStructure, one_line
from relax.io.extxyz import split_frames

__all__ = ["count_structures", "read_structures"]

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
    path = Path(path)
    if not path.exists():
        raise InvalidStructure("there is no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise InvalidStructure("the file is empty")
    number = 0
    with contextlib.closing(_frames(path)) as frames:
        while True:
            try:
                with warnings.catch_warnings():
                    # ASE warns about dialects of a file that it can read: the user need not act.
                    warnings.simplefilter("ignore")
                    atoms = next(frames, None)
            except UnknownFileTypeError:
                raise InvalidStructure("ASE does not know the format of this file; convert it") from None
            except Exception as error:
                if path.is_dir():
                    raise InvalidStructure("this is a folder; give a structure file") from None
                frame = f"frame {number} " if number else ""
                raise InvalidStructure(f"{frame}cannot be read: {one_line(error)}") from error
            if atoms is None:
                break
            yield atoms
            number += 1
    if not number:
        raise InvalidStructure("the file holds no structure")


def _frames(path: Path) -> Generator[Atoms]:
    """Yield the frames of a file as ASE reads them."""
    if filetype(str(path)) == "extxyz":
        # ASE would scan the whole file before it yields the first frame.
        with open_with_compression(str(path)) as file:
            for lines in split_frames(file):
                yield from iread(io.StringIO("".join(lines)), index=":", format="extxyz")
    else:
        yield from iread(path, index=":", do_not_split_by_at_sign=True)


def count_structures(path: str | Path) -> int | None:
    """Return the number of frames in a file, or None where only reading the whole file would tell."""
    path = Path(path)
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return 0
    try:
        kind = filetype(str(path))
        if kind == "extxyz":
            with open_with_compression(str(path)) as file:
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
