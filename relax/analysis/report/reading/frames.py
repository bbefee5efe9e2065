"""The frames of a path: what each step of one relaxation has computed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from relax.analysis.report.drawn import Unwrapped
from relax.core.errors import InvalidStructure, UsageError
from relax.io.named_files import missing, split_slice
from relax.io.outputs.trajectories import CALLS, RADIUS
from relax.io.overview.files import summaries
from relax.io.overview.summary import Summary
from relax.io.read import count_structures, file_format, read_numbered

__all__ = ["Frame", "frames", "is_path", "length", "optimizer"]


@dataclass(frozen=True)
class Frame:
    """One frame of a path.

    Parameters
    ----------
    number
        Its number in the file.
    atoms
        The structure, with energy and forces.
    positions
        Its positions (N, 3), A, without jumps to the other side of the cell.
    calls
        Force calls so far; where the file does not say, each frame counts as one.
    counted
        Whether the file says so.
    energy, fmax
        Energy, eV, and longest force on an atom, eV/A.
    smax
        Largest component of the stress, GPa; NaN where there is none.
    step
        How far an atom has gone since the frame before, at most, A; NaN for the first.
    radius
        Trust radius of the step that led here, A; NaN where the file does not say.
    """

    number: int
    atoms: Atoms
    positions: np.ndarray
    calls: int
    counted: bool
    energy: float
    fmax: float
    smax: float
    step: float
    radius: float


def frames(name: str) -> Iterator[Frame]:
    """Yield the frames of a path, in their order.

    Parameters
    ----------
    name
        A file that ASE reads, or ``FILE@SLICE``.

    Raises
    ------
    UsageError
        There is no such file, it cannot be read or is empty, a frame has no energy or no forces, or has
        other atoms than the first.
    """
    try:
        if reason := missing(name):
            raise InvalidStructure(reason)
        yield from _checked(read_numbered(name))
    except InvalidStructure as error:
        raise UsageError(f"{name}: {error}") from None


def _checked(found: Iterable[tuple[int, Atoms]]) -> Iterator[Frame]:
    unwrapped, numbers, before, calls = Unwrapped(), None, None, 0
    for place, (number, atoms) in enumerate(found):
        if numbers is None:
            numbers, counted = atoms.numbers, CALLS in atoms.info
        if not np.array_equal(atoms.numbers, numbers):
            raise InvalidStructure(
                f"frame {number} has other atoms than the first: these are not the steps of one run"
            )
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            raise InvalidStructure(f"frame {number} has a position that is no finite number")
        results = _results(number, atoms)
        positions = unwrapped.positions(atoms)
        calls = int(atoms.info.get(CALLS, calls + 1)) if counted else place + 1
        forces = np.linalg.norm(atoms.get_forces(), axis=1)
        way = np.nan if before is None else np.linalg.norm(positions - before, axis=1).max(initial=0.0)
        stress = results.get("stress")
        smax = math.nan if stress is None else float(np.abs(stress).max() / GPa)
        fmax = float(forces.max(initial=0.0))
        energy, radius = float(results["energy"]), float(atoms.info.get(RADIUS, np.nan))
        yield Frame(number, atoms, positions, calls, counted, energy, fmax, smax, float(way), radius)
        before = positions


def _results(number: int, atoms: Atoms) -> dict[str, Any]:
    """Return what a frame says was computed.  Raises InvalidStructure without an energy or forces."""
    results: dict[str, Any] = atoms.calc.results if atoms.calc else {}
    for name in ("energy", "forces"):
        if results.get(name) is None:
            has = "energy" if name == "energy" else "forces"
            raise InvalidStructure(
                f"frame {number} has no {has}; give a trajectory of a relaxation, with energies and forces"
            )
    return results


def is_path(name: str) -> bool:
    """Return whether a file has the steps of one run, and not the results of several.

    Structures that ``relax run`` has written have a status.  The steps of a run may have one too, that of
    their input: they all are of the same.

    Raises
    ------
    UsageError
        The file cannot be read.
    """
    first: list[Summary] = []
    fault = InvalidStructure("there is no structure in it")
    with contextlib.closing(_found(name)) as found:
        for each in found:
            if isinstance(each, Summary):
                first.append(each)
            elif not first:
                fault = each
            if len(first) == 2:
                break
    if not first:
        raise UsageError(f"{name}: {fault}")
    if CALLS in first[0].info or not any(each.status for each in first):
        return True
    one, other = first[0], first[-1]
    same = len(first) == 2 and one.formula == other.formula
    return same and all(one.text(key) == other.text(key) for key in ("source", "relax_input", "relax_place"))


def _found(name: str) -> Generator[Summary | InvalidStructure]:
    yield from summaries(name)


def length(name: str) -> int | None:
    """Return the number of frames in a file, or None where only reading it would tell."""
    path, index = split_slice(name)
    number = count_structures(path)
    return number if number is None or index is None else len(range(number)[index])


def optimizer(name: str) -> str:
    """Return the optimizer that has written a trajectory of ASE's; empty where it does not say."""
    path, _ = split_slice(name)
    with contextlib.suppress(Exception):
        if file_format(path) == "traj":
            from ase.io import Trajectory

            with Trajectory(path) as trajectory:
                return str(trajectory.description.get("optimizer", ""))
    return ""
