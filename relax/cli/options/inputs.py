"""The structures that a command is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relax.cli.options.declaration import argument, option

__all__ = ["InputOptions"]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The structures that a command is about."""

    files: list[str] = argument(  # noqa: RUF009 - it returns a field
        "Structure files in any format that ASE reads, FILE@SLICE as in ASE, folders, patterns in quotes "
        "such as 'runs/**/*.cif', or - for standard input.",
        metavar="FILE",
    )
    recursive: bool = option(
        False, "Take the files in the folders of a folder too.", "--recursive", role="files"
    )
    format: str | None = option(
        None,
        "Format of all files, by ASE's name of it; recognised if not given, and extxyz for -.",
        metavar="NAME",
        role="files",
    )

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each file or folder that the command writes."""
        return iter(())
