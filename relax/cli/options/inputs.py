"""The structures that a command is about."""

from __future__ import annotations

from dataclasses import dataclass

from relax.cli.options.declaration import argument

__all__ = ["InputOptions"]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The structures that a command is about."""

    files: list[str] = argument(  # noqa: RUF009 - it returns a field
        "Structure files in any format that ASE reads.", metavar="FILE"
    )
