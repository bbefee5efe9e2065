"""Trajectory files of a run: their names, and how they are written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from relax.core.errors import UsageError
from relax.io.named_files import is_among
from relax.io.outputs.patterns import is_pattern, named

__all__ = ["CALLS", "RADIUS", "Trajectories"]

CALLS = "relax_calls"
"""What the frames call the force calls so far, in ``atoms.info``."""

RADIUS = "relax_trust_radius"
"""What the frames call the trust radius (A) of the step that led there, of rules that have one."""


class Trajectories:
    """A trajectory file for each structure, which appears with its name when the structure has ended.

    Parameters
    ----------
    target
        A folder, which is made if it does not exist; a pattern, see :mod:`relax.io.outputs.patterns`; or a
        file for a run of one structure.
    files
        The inputs, which must not be overwritten.
    recursive
        Whether the inputs are also in the folders of a folder.
    """

    def __init__(self, target: str, files: Sequence[str], recursive: bool = False) -> None:
        self.target, self.files, self.recursive = target, files, recursive
        self._paths: dict[int, Path] = {}
        self._taken: set[Path] = set()

    def of_several(self) -> None:
        """Raise UsageError where the target is one file, now that there are several structures."""
        if not self._folder and not is_pattern(self.target):
            raise UsageError(f"--trajectory {self.target} is one file for several structures; name a folder")

    @property
    def _folder(self) -> bool:
        return not is_pattern(self.target) and (
            Path(self.target).suffix != ".traj" or Path(self.target).is_dir()
        )

    def begin(self, place: int, source: str, formula: str) -> None:
        """Choose the file of the structure ``place``.

        Raises
        ------
        UsageError
            Its folder cannot be made, or it would overwrite an input file.
        """
        target = str(Path(self.target) / "{name}.traj") if self._folder else self.target
        first = path = named(target, source, place, formula) if is_pattern(target) else Path(target)
        number = 1
        while path in self._taken:
            number += 1
            path = first.with_name(f"{first.stem}-{number}{first.suffix}")
        try:
            path.parent.mkdir(exist_ok=True, parents=is_pattern(self.target))
            self._part(path).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"--trajectory {self.target}: {error.strerror}") from None
        if path.exists() and is_among(str(path), self.files, self.recursive):
            raise UsageError(f"--trajectory {self.target}: {path} would overwrite an input file")
        self._taken.add(path)
        self._paths[place] = path

    def add(self, place: int, atoms: Atoms) -> None:
        """Add a frame to the trajectory of the structure ``place``.

        Raises
        ------
        UsageError
            It cannot be written.
        """
        from ase.io.trajectory import Trajectory

        try:
            # Opened for each frame: there may be more structures at a time than a process may open files.
            trajectory = Trajectory(self._part(self._paths[place]), "a")
            try:
                trajectory.write(atoms)
                trajectory.close()
            finally:
                with contextlib.suppress(OSError):  # ASE leaves it open where the end cannot be written
                    trajectory.backend.fd.close()
        except OSError as error:
            raise UsageError(f"--trajectory {self.target}: {error.strerror or error}") from error

    def end(self, place: int) -> None:
        """Give the trajectory of the structure ``place`` its name, if it has a frame that can be read.

        Raises
        ------
        UsageError
            It cannot be renamed.
        """
        from ase.io.trajectory import Trajectory

        path = self._paths.pop(place)
        part, frames = self._part(path), 0
        with contextlib.suppress(Exception), Trajectory(part) as written:
            frames = len(written)
        try:
            if frames:
                os.replace(part, path)
            else:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"--trajectory {path}: {error.strerror}") from error

    @staticmethod
    def _part(path: Path) -> Path:
        return path.with_name(f".{path.name}.part")
