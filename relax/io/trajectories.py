"""Trajectory files of a run: where each one goes, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from relax.core.errors import UsageError

__all__ = ["recording", "trajectories"]


def trajectories(asked: str | None, sources: Sequence[str], files: Sequence[str]) -> list[Path | None]:
    """Return where the trajectory of each structure goes, making the folder where one is asked for.

    Parameters
    ----------
    asked
        A folder, or a file in ``.traj`` for one structure; None for no trajectories.
    sources
        What the structures are called.
    files
        The files they are from, none of which is to be overwritten.

    Raises
    ------
    UsageError
        That cannot be.
    """
    if asked is None:
        return [None] * len(sources)
    target = Path(asked)
    if target.suffix == ".traj" and not target.is_dir():
        if len(sources) > 1:
            raise UsageError(
                f"--trajectory {target}: there are {len(sources)} structures, name a folder for them"
            )
        return [target]
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"--trajectory {target}: {error.strerror}") from None
    inputs = {os.path.realpath(file) for file in files}
    paths: list[Path | None] = []
    for source in sources:
        stem = Path(source).name.replace("#", "-")
        path, n = target / f"{stem}.traj", 1
        while path in paths:
            n += 1
            path = target / f"{stem}-{n}.traj"
        if os.path.realpath(path) in inputs:
            raise UsageError(f"--trajectory {target}: {path} would overwrite an input file")
        paths.append(path)
    return paths


@contextlib.contextmanager
def recording(path: Path | None) -> Iterator[Path | None]:
    """Lend a file beside ``path`` to write a trajectory to, and move it there at the end."""
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
        if frames:
            os.replace(part, path)
        else:
            part.unlink(missing_ok=True)
