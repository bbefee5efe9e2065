"""Which words in the name of a calculator are the path of a model, and which the name of one."""

from __future__ import annotations

import os
from pathlib import Path

from relax.core.errors import CalculatorError

__all__ = ["check_file", "path_of"]

SUFFIXES = (".ckpt", ".model", ".pt", ".pth")


def path_of(model: str) -> Path | None:
    """Return the path of a model, or None if ``model`` is a name.

    A word with a path separator, or with a suffix from :data:`SUFFIXES`, is a path.  Any other word is a
    name, and is never taken for a file.
    """
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if model.endswith(SUFFIXES) or any(separator in model for separator in separators):
        return Path(model).expanduser()
    return None


def check_file(kind: str, model: str, folder: bool = False) -> None:
    """Raise CalculatorError if ``model`` is the path of what is no file, or no folder; imports nothing."""
    path, what = path_of(model), "folder" if folder else "file"
    if path is not None and not path.exists():
        raise CalculatorError(f"{kind}:{model}: there is no such {what}")
    if path is not None and not (path.is_dir() if folder else path.is_file()):
        raise CalculatorError(f"{kind}:{model} is not a {what}")
