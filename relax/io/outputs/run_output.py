"""The relaxed structures of a run, in any format that ASE writes."""

from __future__ import annotations

from collections import Counter
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
        self._resumes = resume
        self._frames: dict[int, Atoms] = {}

    @property
    def finished_before(self) -> Counter[str]:
        """How many structures ended with each status in the run that is continued."""
        return self.results.finished_before

    def already_done(self, source: str, digest: str) -> bool:
        """Return whether a structure is in the file that is continued; errors as there."""
        return self.results.already_done(source, digest)

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
        """Close the file that grows, and write the other one, in the order of the input.

        Raises
        ------
        UsageError
            The format cannot hold a structure, or the file cannot be written.  The file that grows has all.
        """
        self.results.close()
        if self.grows or not self._frames:
            return
        frames = {frame.info["relax_place"]: frame for frame in self._before()} | self._frames
        self._write([frames[place] for place in sorted(frames)])

    def _before(self) -> list[Atoms]:
        return list(read_structures(self.results.path)) if self._resumes else []

    def _write(self, frames: Sequence[Atoms], rehearse: bool = False) -> None:
        try:
            write_structures(self.name, frames, rehearse)
        except InvalidStructure as error:
            there = "" if rehearse else f"; the structures are in {Path(results_path(self.name))}"
            raise UsageError(f"--output {self.name}: {error}{there}") from error
