"""Summaries of the structures in any file that ASE reads."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

from relax.core.errors import InvalidStructure, one_line
from relax.io.named_files import STANDARD_INPUT, missing, pick, split_slice
from relax.io.overview.extxyz_frames import summaries_of_extxyz
from relax.io.overview.summary import Summary, summary_of_atoms

__all__ = ["summaries"]


def summaries(name: str, kind: str | None = None) -> Iterator[Summary | InvalidStructure]:
    """Yield a summary of each structure in a file, and what is wrong with those that cannot be read.

    Parameters
    ----------
    name
        A file, ``FILE@SLICE``, or ``-`` for standard input.  They come in the order of the file.
    kind
        ASE's name of the format; by default, what ASE recognises, and extended XYZ for standard input.
    """
    found = _summaries(name, kind)
    first = list(islice(found, 2))
    if len(first) == 1 and isinstance(first[0], Summary) and split_slice(name)[1] is None:
        first = [replace(first[0], alone=True)]
    yield from chain(first, found)


def _summaries(name: str, kind: str | None) -> Iterator[Summary | InvalidStructure]:
    try:
        if reason := missing(name):
            raise InvalidStructure(reason)
        path, index = split_slice(name)
        named_xyz = os.path.splitext(path)[1] in (".extxyz", ".xyz") or path == STANDARD_INPUT
        if index is None and kind in (None, "extxyz") and named_xyz:  # without ase.io, which takes a second
            yield from summaries_of_extxyz(path)
            return
        from ase.io.formats import UnknownFileTypeError

        from relax.io.read import file_format, frames_wanted, read_numbered

        with contextlib.suppress(UnknownFileTypeError):  # read_numbered says so
            found = file_format(path, kind)
            if found in ("extxyz", "db", "json"):
                wanted = frames_wanted(path, index, found) if index else None
                if wanted is not None and wanted.step < 0:
                    wanted = wanted[::-1]
                yield from (summaries_of_extxyz if found == "extxyz" else _of_database)(path, wanted)
                return
        for number, atoms in read_numbered(name, kind):
            yield summary_of_atoms(path, number, atoms, atoms.info)
    except InvalidStructure as error:
        yield error
    except Exception as error:
        yield InvalidStructure(f"cannot be read: {one_line(error)}")


def _of_database(path: str, wanted: range | None) -> Iterator[Summary]:
    import ase.db

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, row in pick(ase.db.connect(path).select(), wanted):
            yield summary_of_atoms(path, number, row.toatoms(), row.key_value_pairs)
