"""Summaries of the frames of an extended XYZ file, from their text."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from relax.core.errors import InvalidStructure, one_line
from relax.io.extxyz import PLAIN_COLUMNS, comment_fields, complete, opened, split_frames, structures_of
from relax.io.overview.summary import Summary, formula_of, number, summary_of_atoms

__all__ = ["summaries_of_extxyz"]


def summaries_of_extxyz(path: str, wanted: range | None = None) -> Iterator[Summary | InvalidStructure]:
    """Yield the summaries of the frames that are wanted; after a fault, go on with the next whole frame.

    Parameters
    ----------
    path
        The file, or ``-`` for standard input.
    wanted
        The numbers of the frames, ascending; None is all.
    """
    frame, faults = -1, 0
    with opened(path, errors="backslashreplace") as file:
        lines = _Lines(file)
        while lines.left:
            try:
                for found in split_frames(lines):
                    frame += 1
                    if wanted is not None and frame not in wanted:
                        if not wanted or frame > wanted[-1]:
                            return
                        continue
                    try:
                        yield _of_lines(path, frame, found)
                    except ValueError as error:
                        faults += 1
                        yield InvalidStructure(f"frame {frame}: {error}")
                        lines.seek_frame(found[1:])
                        break
            except ValueError as error:
                faults += 1
                yield InvalidStructure(f"after frame {frame}: {error}" if frame >= 0 else str(error))
                lines.seek_frame([])
    if frame < 0 and not faults:
        yield InvalidStructure("there is no structure in it")


class _Lines:
    """The lines of a file, in which one can go back to where a frame begins.

    Attributes
    ----------
    left
        Whether there may be lines left.
    """

    def __init__(self, file: Iterable[str]) -> None:
        self.left = True
        self._file = iter(file)
        self._again: deque[str] = deque()
        self._last = ""

    def __iter__(self) -> Iterator[str]:
        while self._again:
            self._last = self._again.popleft()
            yield self._last
        for line in self._file:
            self._last = line
            yield line
        self.left = False

    def seek_frame(self, lines: list[str]) -> None:
        """Go to the next beginning of a frame in ``lines``, the line read last and those after it."""
        self._again.extendleft(reversed([*lines, self._last]))
        head = ""
        for line in self:
            if head.strip().isdecimal() and "Properties=" in line:
                self._again.extendleft([line, head])
                break
            head = line


def _of_lines(path: str, frame: int, lines: list[str]) -> Summary:
    """Return the summary of a frame of an extended XYZ file.

    Raises
    ------
    ValueError
        The frame is not whole, or damaged.
    """
    natoms = int(lines[0])
    if len(lines) < natoms + 2:
        raise ValueError("the file ends before its last atom")
    info = comment_fields(lines)
    if "relax_status" in info and not complete(lines):
        raise ValueError("the file ends before its last atom")
    rows = lines[2 : natoms + 2]
    columns = _columns(info.get("Properties", PLAIN_COLUMNS))
    if rows and len(rows[-1].split()) < columns["all"]:  # a run was killed here, and another one went on
        raise ValueError("its last atom is cut off")
    try:
        symbols = _symbols(rows, columns.get("species", 0))
        formula = formula_of(frozenset(symbols.items()))
        fmax = number(info.get("relax_fmax", ""))
        if math.isnan(fmax) and "forces" in columns:
            fmax = _longest(rows, columns)
    except (IndexError, ValueError):
        return _by_ase(path, frame, lines)
    return Summary(path, frame, formula, natoms, number(info.get("energy", "")), fmax, info)


def _symbols(rows: list[str], place: int) -> Counter[str]:
    """Count the elements in a column of the rows of atoms."""
    if place == 0:
        # As ASE writes them: a symbol of one or two letters and a space, of which there are few.
        starts = Counter([row[:3] for row in rows])
        symbols: Counter[str] = Counter()
        for start, n in starts.items():
            if start[:1].isspace() or not start[-1:].isspace():
                break
            symbols[start.strip()] += n
        else:
            return symbols
    return Counter([row.split(None, place + 1)[place] for row in rows])


def _by_ase(path: str, frame: int, lines: list[str]) -> Summary:
    """Return the summary of a frame that is written in another way than ASE does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (atoms,) = structures_of(lines)
    except Exception as error:
        raise ValueError(one_line(error)) from None
    return summary_of_atoms(path, frame, atoms, atoms.info)


def _longest(rows: list[str], columns: Mapping[str, int]) -> float:
    """Return the longest force on an atom, those that are fixed left aside."""
    first, mask = columns["forces"], columns.get("move_mask")
    longest = 0.0
    for row in rows:
        words = row.split()
        force = [float(word) for word in words[first : first + 3]]
        if mask is not None:
            free = words[mask : mask + columns["move_mask_width"]] * 3
            force = [f if may_move == "T" else 0.0 for f, may_move in zip(force, free, strict=False)]
        longest = max(longest, math.hypot(*force))
    return longest


@lru_cache
def _columns(properties: str) -> dict[str, int]:
    """Return the first column of each property, the number of all and of those of the mask of free atoms."""
    places, place = {}, 0
    for name, _, width in re.findall(r"([^:]+):([^:]+):(\d+)", properties):
        places[name] = place
        place += int(width)
        if name == "move_mask":
            places["move_mask_width"] = int(width)
    places["all"] = place
    return places
