"""What a tutorial does before its first visible cell: data at hand, and commands that print all at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from IPython.core.magic import register_cell_magic

import relax


def begin() -> None:
    """Put the data of the repository into the present folder, and have ``%%sh`` print all at once.

    The ``%%sh`` of IPython prints every hundred bytes, which a page shows as lines of their own.
    """
    Path("data").symlink_to(Path(relax.__file__).parents[1] / "data")
    os.environ["COLUMNS"] = "100"
    os.environ.pop("FORCE_COLOR", None)  # set for notebooks; a page is no terminal

    def sh(line: str, cell: str) -> None:
        done = subprocess.run(cell, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(done.stdout, end="")
        done.check_returncode()

    register_cell_magic(sh)
