"""A file or a folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from relax.core.errors import UsageError

__all__ = ["new_target"]


@contextlib.contextmanager
def new_target(path: Path, force: bool, endings: tuple[str, ...] = ()) -> Iterator[Path]:
    """Give a path beside ``path`` to write to within the block, and put it in its place at the end.

    Parameters
    ----------
    path
        The file, or the folder, that is to be there.
    force
        Whether what is there already is replaced.
    endings
        Those of the names of what is in a folder; one with anything else is not replaced.  None for a file.

    Raises
    ------
    UsageError
        There is something at ``path`` that is not to be replaced, or it cannot be written.
    """
    path = Path(os.path.realpath(path))
    _check_free(path, force, endings)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; create it first")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".relax-") as folder:
            part = Path(folder, path.name)
            yield part
            _check_free(path, force, endings)
            if path.is_dir():  # which no folder can be put in place of
                os.rename(path, Path(folder, "before"))
            os.replace(part, path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _check_free(path: Path, force: bool, endings: tuple[str, ...]) -> None:
    if path.is_dir() and not all(each.name.endswith(endings) for each in path.iterdir()):
        raise UsageError(f"{path} is a folder with other things in it; name another one")
    if path.is_dir() and not endings:
        raise UsageError(f"{path} is a folder; name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; name another one, or say that it is to be replaced")
