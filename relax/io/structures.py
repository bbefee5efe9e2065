"""Structures from files and back: reading, checking, and writing whole files or none."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from ase.io import Trajectory, iread
from ase.io import write as ase_write
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

from relax.core.errors import InvalidStructure, one_line
from relax.geometry.neighbors import pairs, vectors
from relax.io.extxyz import cut

__all__ = ["check", "count", "read", "snapshot", "stream", "text", "write"]

CLOSEST = 0.1
"""Atoms nearer than this (A) are on one spot."""

REACH = 1.5
"""Distance (A) within which pairs are looked for: lists of pairs are slow for much less."""

CIF_SITES = ("_atom_site_fract_x", "_atom_site_cartn_x")
"""One of these heads the sites of a structure in a CIF."""

RESULTS = ("energy", "free_energy", "forces", "stress", "magmoms")


def read(path: str | Path) -> list[Atoms]:
    """Return every frame of the file ``path``, in any format that ASE reads.

    Raises
    ------
    InvalidStructure
        There is no such file, it is empty, ASE cannot read it, or it holds no structure.
    """
    return list(stream(path))


def stream(path: str | Path) -> Iterator[Atoms]:
    """Yield the frames of the file ``path`` as they are read, in any format that ASE reads.

    Raises
    ------
    InvalidStructure
        As for :func:`read`, after the frames that are before the fault.
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
                    # What ASE has to say of a file it did read (CIF dialects, mostly) asks for no action.
                    warnings.simplefilter("ignore")
                    atoms = next(frames, None)
            except UnknownFileTypeError:
                raise InvalidStructure("ASE does not know the format of this file") from None
            except Exception as error:
                if path.is_dir():
                    raise InvalidStructure("is a folder, not a structure file") from None
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
        # ASE goes through the whole file before it hands out the first frame.
        with open_with_compression(str(path)) as file:
            for lines in cut(file):
                yield from iread(io.StringIO("".join(lines)), index=":", format="extxyz")
    else:
        yield from iread(path, index=":", do_not_split_by_at_sign=True)


def count(path: str | Path) -> int | None:
    """Return how many frames the file ``path`` holds; None where that cannot be told without reading it."""
    path = Path(path)
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return 0
    try:
        kind = filetype(str(path))
        if kind == "extxyz":
            with open_with_compression(str(path)) as file:
                return sum(1 for _ in cut(file))
        if kind == "cif":
            with open_with_compression(str(path)) as file:
                return sum(1 for line in file if line.lower().lstrip().startswith(CIF_SITES))
        if kind == "traj":
            with Trajectory(path) as trajectory:
                length: int = len(trajectory)
            return length
        return 1 if ioformats[kind].single else None
    except Exception:  # which reading the file will tell
        return None


def check(atoms: Atoms) -> None:
    """Raise InvalidStructure where no relaxation of ``atoms`` makes sense.

    That is where there are no atoms; a position or the cell is not finite; the cell is flat along a
    periodic direction; a site is partly occupied; two atoms, or an atom and its own image, are
    nearer than :data:`CLOSEST`; or no atom is free to move.
    """
    if len(atoms) == 0:
        raise InvalidStructure("there are no atoms")
    if not np.isfinite(atoms.positions).all():
        i = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise InvalidStructure(f"the position of atom {i} ({atoms.symbols[i]}) is {atoms.positions[i]}")
    if not np.isfinite(atoms.cell.array).all():
        raise InvalidStructure("the cell is not finite")
    periodic = atoms.cell.array[atoms.pbc]
    if len(periodic) and np.linalg.matrix_rank(periodic) < len(periodic):
        raise InvalidStructure("the structure is periodic along a direction in which its cell is flat")
    _check_occupancy(atoms)
    _check_distances(atoms)
    if _all_fixed(atoms):
        raise InvalidStructure("all atoms are fixed, there is nothing to relax")


def _check_distances(atoms: Atoms) -> None:
    try:
        ends, others, shifts = pairs(atoms.positions, atoms.cell.array, atoms.pbc, REACH)
    except ValueError as error:
        raise InvalidStructure(str(error)) from error
    distances = np.linalg.norm(vectors(atoms.positions, ends, others, shifts, atoms.cell.array), axis=1)
    near = np.flatnonzero(distances < CLOSEST)
    if len(near):
        i, j = ends[near[0]], others[near[0]]
        pair = f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]})"
        if i == j:
            pair = f"atom {i} ({atoms.symbols[i]}) and its periodic image"
        raise InvalidStructure(f"{pair} are on one spot, {distances[near[0]]:.3f} A apart")


def _check_occupancy(atoms: Atoms) -> None:
    for site, shares in (atoms.info.get("occupancy") or {}).items():
        if len(shares) > 1 or sum(shares.values()) < 0.999:
            who = ", ".join(f"{symbol} {share:g}" for symbol, share in shares.items())
            raise InvalidStructure(f"site {site} is partly occupied ({who}); an ordered structure is needed")


def _all_fixed(atoms: Atoms) -> bool:
    forces = np.ones((len(atoms), 3)) * [1.0, 2**0.5, 3**0.5]  # along no line or plane of a crystal
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms | FixCartesian | FixScaled | FixedLine | FixedPlane):
            constraint.adjust_forces(atoms, forces)
    return not forces.any()


def snapshot(atoms: Atoms, **info: Any) -> Atoms:
    """Return a copy of ``atoms`` with ``info`` and the results its calculator has for it, if any.

    The calculator is not asked to calculate.  What the file said of the structure it started as,
    such as the space group of a CIF, does not come along.
    """
    copy: Atoms = atoms.copy()
    results = {}
    for name in ("energy", "forces", "stress"):
        try:
            value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        except Exception:  # calculators say in many ways that they have no such thing
            value = None
        if value is not None:
            results[name] = float(value) if name == "energy" else np.array(value, dtype=float)
    for name in (*RESULTS, "spacegroup", "spacegroup_kinds", "unit_cell", "occupancy"):
        copy.info.pop(name, None)
        copy.arrays.pop(name, None)
    copy.info.update(info)
    copy.calc = SinglePointCalculator(copy, **results) if results else None
    return copy


def write(path: str | Path, frames: Sequence[Atoms], rehearse: bool = False) -> None:
    """Write ``frames`` to ``path`` in the format its name asks for, whole or not at all.

    With ``rehearse`` everything is done but the last move, so that what would go wrong does so before
    hours have gone into the structures.

    Raises
    ------
    InvalidStructure
        The folder is missing or closed to us, ``path`` is no plain file, or the format cannot hold
        the frames.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise InvalidStructure("is not a plain file")
    if not path.parent.is_dir():
        raise InvalidStructure(f"there is no folder {path.parent}")
    try:
        file_format = filetype(path.name, read=False)
    except UnknownFileTypeError:
        raise InvalidStructure("ASE does not know this format; try a name in .extxyz") from None
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".relax-") as folder, _unhashable():
            part = Path(folder, path.name)
            ase_write(part, list(frames), format=file_format)
            if not rehearse:
                os.replace(part, path)
    except Exception as error:
        raise InvalidStructure(f"cannot be written: {one_line(error)}") from error


def text(frame: Atoms) -> str:
    """Return ``frame`` in extended XYZ.

    Raises
    ------
    InvalidStructure
        The format cannot hold it.
    """
    file = io.StringIO()
    try:
        with _unhashable():
            ase_write(file, frame, format="extxyz")
    except Exception as error:
        raise InvalidStructure(f"cannot be written: {one_line(error)}") from error
    return file.getvalue()


@contextlib.contextmanager
def _unhashable() -> Iterator[None]:
    """Let go what a format has no room for: notes of other programs are no loss to a structure."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping unhashable information", UserWarning)
        yield
