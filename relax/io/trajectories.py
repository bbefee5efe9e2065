"""Trajectory files of a run: their names, and how they are written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from relax.core.errors import UsageError

__all__ = ["trajectory_file", "trajectory_paths"]


def trajectory_paths(target: str | None, sources: Sequence[str], files: Sequence[str]) -> list[Path | None]:
    """Return the trajectory file of each structure; the folder is made if it does not exist.

    Parameters
    ----------
    target
        A folder, or a ``.traj`` file for one structure; None for no trajectories.
    sources
        The names of the structures.
    files
        The input files, which must not be overwritten.

    Raises
    ------
    UsageError
        There is one file for several structures, the folder cannot be made, or an input file would be
        overwritten.
    """
    if target is None:
        return [None] * len(sources)
    folder = Path(target)
    if folder.suffix == ".traj" and not folder.is_dir():
        if len(sources) > 1:
            raise UsageError(
                f"--trajectory {folder} is one file for {len(sources)} structures; name a folder"
            )
        return [folder]
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"--trajectory {folder}: {error.strerror}") from None
    inputs = {os.path.realpath(file) for file in files}
    paths: list[Path | None] = []
    for source in sources:
        stem = Path(source).name.replace("#", "-")
        path, n = folder / f"{stem}.traj", 1
        while path in paths:
            n += 1
            path = folder / f"{stem}-{n}.traj"
        if os.path.realpath(path) in inputs:
            raise UsageError(f"--trajectory {folder}: {path} would overwrite an input file")
        paths.append(path)
    return paths


@contextlib.contextmanager
def trajectory_file(path: Path | None) -> Iterator[Path | None]:
    """Yield the name of a temporary file, which is renamed to ``path`` at the end if it holds a frame.

    Raises
    ------
    UsageError
        It cannot be renamed.
    """
    if path is None:
        yield None
        return
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
    finally:
        from ase.io.trajectory import Trajectory

        frames = 0
        with contextlib.suppress(Exception), Trajectory(part) as written:
            frames = len(written)
        try:
            if frames:
                os.replace(part, path)
            else:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"--trajectory {path}: {error.strerror}") from error
