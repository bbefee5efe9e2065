"""Structures to files: whole files or none."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write as ase_write
from ase.io.extxyz import write_xyz
from ase.io.formats import UnknownFileTypeError, filetype
from ase.stress import voigt_6_to_full_3x3_stress

from relax.core.errors import InvalidStructure, one_line

__all__ = ["extxyz_text", "snapshot", "snapshot_text", "write_database", "write_structures"]

STALE = (
    *("energy", "free_energy", "forces", "stress", "magmoms", "relax_mode"),
    *("spacegroup", "spacegroup_kinds", "unit_cell", "occupancy"),
)
"""Names of what an input file says about the unrelaxed structure."""


def snapshot(atoms: Atoms, **info: Any) -> Atoms:
    """Return a copy of ``atoms`` with ``info`` and with the results that its calculator has for it.

    The calculator is not called.  What the input file says about the unrelaxed structure, such as the
    space group in a CIF, is left out.
    """
    copy: Atoms = atoms.copy()
    known = {} if atoms.calc is None or atoms.calc.check_state(atoms) else atoms.calc.results
    results = _described(copy, known, info)
    copy.calc = SinglePointCalculator(copy, **results) if results else None
    return copy


def _described(atoms: Atoms, known: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """Replace what ``atoms`` say of themselves, and return those of the results that are written."""
    results: dict[str, Any] = {}
    for name in ("energy", "forces", "stress"):
        if (value := known.get(name)) is not None:
            results[name] = float(value) if name == "energy" else np.array(value, dtype=float)
    for name in STALE:
        atoms.info.pop(name, None)
        atoms.arrays.pop(name, None)
    for name, value in atoms.info.items():
        if isinstance(value, str):  # a line break would end the comment line of a frame
            atoms.info[name] = " ".join(value.splitlines())
    atoms.info.update(info)
    return results


def write_structures(path: str | Path, frames: Sequence[Atoms], rehearse: bool = False) -> None:
    """Write ``frames`` to ``path`` in the format of its name.  The file appears complete or not at all.

    Parameters
    ----------
    path
        The file.
    frames
        The structures.
    rehearse
        Do everything but put the file in its place, to find errors before a long run.

    Raises
    ------
    InvalidStructure
        The folder does not exist or is not writable, ``path`` is no plain file, or the format cannot hold
        the frames.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise InvalidStructure("this is not a plain file; give another name")
    if not path.parent.is_dir():
        raise InvalidStructure(f"there is no folder {path.parent}; create it first")
    try:
        file_format = filetype(path.name, read=False)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".relax-") as folder, _drop_unwritable():
            part = Path(folder, path.name)
            if file_format in ("db", "json"):
                write_database(part, file_format, frames)
            else:
                ase_write(part, list(frames), format=file_format)
            if not rehearse:
                os.replace(part, path)
    except UnknownFileTypeError:
        raise InvalidStructure("ASE does not know this format; give a name ending in .extxyz") from None
    except Exception as error:
        raise InvalidStructure(f"cannot be written: {one_line(error)}") from error


def write_database(path: Path, kind: str, frames: Iterable[Atoms], timeless: bool = False) -> None:
    """Write a database of ASE, whose rows have the ``info`` of the structures as keys where they allow it.

    Parameters
    ----------
    path
        The file.
    kind
        ``db`` or ``json``, as in :func:`ase.db.connect`.
    frames
        The structures as :func:`snapshot` returns them, which are taken one after the other.
    timeless
        Write a ``db`` whose bytes depend on the structures alone: without times and the name of the user, and
        with identities of rows that follow from their place.
    """
    from ase.db import connect
    from ase.db.core import check

    with connect(path, type=kind, append=False, use_lock_file=False) as database:
        for number, frame in enumerate(frames, 1):
            keys: dict[str, Any] = {}
            others: dict[str, Any] = {}
            for name, value in frame.info.items():
                try:
                    check({name: value})
                    keys[name] = value
                except (ValueError, TypeError):
                    others[name] = value
            row = _timeless_row(frame, number) if timeless else frame
            database.write(row, key_value_pairs=keys, data=others)
        if timeless:
            database.count()  # which makes the tables where no row has
    if timeless:
        _forget_times(path)


def _timeless_row(frame: Atoms, number: int) -> Any:
    """Return a row with an identity that is its number, and without a time and a user."""
    from ase.db.row import AtomsRow, atoms2dict

    fixed: dict[str, Any] = {"unique_id": f"{number:032x}", "ctime": 0.0, "user": ""}
    if frame.calc is not None:  # ASE would compare the atoms with those of the calculator for each result
        fixed |= {"calculator": frame.calc.name, "calculator_parameters": {}, **frame.calc.results}
    return AtomsRow(atoms2dict(frame.copy()) | fixed)


def _forget_times(path: Path) -> None:
    """Set the time of the last change of all rows, which ASE takes from the clock, to that of their birth."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("UPDATE systems SET mtime = ctime")
        database.execute("VACUUM")  # or what was there before would stay in parts of the file


def extxyz_text(frame: Atoms) -> str:
    """Return ``frame`` in extended XYZ.

    Raises
    ------
    InvalidStructure
        The format cannot hold it.
    """
    return _text(frame)


def snapshot_text(atoms: Atoms, results: Mapping[str, Any], **info: Any) -> str:
    """Return the :func:`snapshot` of ``atoms`` with these results in extended XYZ.

    It takes a third of the time of the two, since it changes ``atoms`` and makes no other ones.

    Raises
    ------
    InvalidStructure
        The format cannot hold it.
    """
    if np.isnan(atoms.positions).any() or np.isnan(atoms.cell.array).any():
        results = {}  # ASE takes them for results of other positions
    found = _described(atoms, results, info)
    if "forces" in found:
        atoms.arrays["forces"] = found.pop("forces")
    if "stress" in found and found["stress"].shape == (6,):
        found["stress"] = voigt_6_to_full_3x3_stress(found["stress"])
    atoms.info.update(found)
    return _text(atoms, write_results=False)


def _text(frame: Atoms, **options: Any) -> str:
    file = io.StringIO()
    try:
        with _drop_unwritable():
            write_xyz(file, [frame], **options)
    except Exception as error:
        raise InvalidStructure(f"cannot be written: {one_line(error)}") from error
    return file.getvalue()


@contextlib.contextmanager
def _drop_unwritable() -> Iterator[None]:
    """Let ASE leave out metadata that a format cannot hold, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping unhashable information", UserWarning)
        yield
