"""The folder of the indices on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from relax.core.errors import UsageError

__all__ = ["index_folder"]

VARIABLE = "RELAX_INDEX_DIR"
"""Environment variable with the folder of the indices, which should be on a disk of this machine."""


def index_folder() -> Path:
    """Return the folder of the indices on this machine, which only this user may read."""
    if given := os.environ.get(VARIABLE):
        folder = Path(given)
    else:
        folder = Path(tempfile.gettempdir()) / f"relax-index-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise UsageError(f"{folder} belongs to another user; name another folder in {VARIABLE}")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; name another folder in {VARIABLE}") from error
    return folder
