"""The relaxed structures of a run, in any format that ASE writes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from relax.core.errors import InvalidStructure, UsageError
from relax.io.outputs.growing import grows, results_path
from relax.io.outputs.results_file import ResultsFile
from relax.io.read import read_structures
from relax.io.write import write_structures

__all__ = ["RunOutput"]


class RunOutput:
    """The output file, and beside it the file that grows, if the format of the first cannot.

    Parameters
    ----------
    name
        The output file.
    rule, options, resume
        As in :class:`~relax.io.outputs.results_file.ResultsFile`.

    Raises
    ------
    UsageError
        As there.
    """

    def __init__(self, name: str, rule: str, options: str, resume: bool) -> None:
        self.name, self.grows = name, grows(name)
        self.results = ResultsFile(name, results_path(name), rule, options, resume)
        self._frames: dict[int, Atoms] = {}
        self._places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    @property
    def finished_before(self) -> Counter[str]:
        """How many structures ended with each status in the run that is continued."""
        return self.results.finished_before

    def already_done(self, place: int, source: str, digest: str) -> bool:
        """Return whether the structure ``place`` of the run is in the file that is continued.

        The other parameters and errors are those of the file that grows.
        """
        done = self.results.already_done(source, digest)
        if done and not self.grows:
            self._places[source, digest].append(place)
        return done

    def rehearse(self, frames: Sequence[Atoms]) -> None:
        """Find out whether the format can hold ``frames``, and write nothing.

        Raises
        ------
        UsageError
            It cannot.
        """
        if not self.grows:
            self._write(frames, rehearse=True)

    def open(self) -> None:
        """Open the file that grows; errors as in :class:`~relax.io.outputs.results_file.ResultsFile`."""
        self.results.open()

    def add(self, place: int, frame: Atoms) -> None:
        """Write the structure ``place`` of the run; errors as in the file that grows."""
        self.results.add(frame)
        if not self.grows:
            self._frames[place] = frame

    def close(self) -> None:
        """Close the file that grows, and gather its structures in the other one, if there is one."""
        self.results.close()
        self.gather()

    def gather(self) -> None:
        """Write the file in a format that cannot grow, in the order of the input, if it lacks structures.

        Raises
        ------
        UsageError
            The format cannot hold a structure, or the file cannot be written.  The file that grows has all.
        """
        if self.grows or not self._is_behind():
            return
        placed: list[tuple[float, Atoms]] = list(self._frames.items())
        if before := self.results.before:
            for key, frame in zip(before, read_structures(self.results.path), strict=False):
                places = self._places.get(key)
                # What is in the file and no input of this run comes last.
                placed.append((places.pop(0) if places else math.inf, frame))
        self._write([frame for _, frame in sorted(placed, key=lambda each: each[0])])

    def _is_behind(self) -> bool:
        """Whether the file that grows has structures that the other one has not, as after a kill."""
        if self._frames or not self.results.before:
            return bool(self._frames)
        path = Path(self.name)
        return not path.exists() or path.stat().st_mtime_ns < self.results.path.stat().st_mtime_ns

    def _write(self, frames: Sequence[Atoms], rehearse: bool = False) -> None:
        try:
            write_structures(self.name, frames, rehearse)
        except InvalidStructure as error:
            there = "" if rehearse else f"; the structures are in {results_path(self.name)}"
            raise UsageError(f"--output {self.name}: {error}{there}") from error
