"""The page of the commands and their options, made from the command when the pages are built."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from reference import write
from sphinx.application import Sphinx

from relax.cli.app import app as command


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each command with the words that call it."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{path} {name}")
        else:
            yield f"{path} {name}", one


def escaped(text: str) -> str:
    """Return a text with its signs as they are, and not as marks."""
    return re.sub(r"([<>*_|\[\]])", r"\\\1", text)


def option_text(one: Any) -> str:
    """Return the entry of an argument or option in a list of definitions."""
    if one.param_type_name == "argument":
        title = f"`{one.metavar or one.name.upper()}`"
    else:
        word = "" if one.is_flag or one.count else f" {one.metavar or one.type.name.upper()}"
        title = ", ".join(f"`{flag}{word}`" for flag in [*sorted(one.opts, key=len), *one.secondary_opts])
    default = ""
    if one.param_type_name == "option" and not one.is_flag and one.default not in (None, ()):
        default = f" Default: `{one.default}`."
    return f"{title}\n: {escaped(one.help or '')}{default}\n"


def make(app: Sphinx) -> None:
    """Write the page of all commands."""
    parts = ["# Commands", "What `--help` prints, for every command. `relax` itself has `--version`."]
    for path, one in commands(typer.main.get_command(command), "relax"):
        arguments = " ".join(
            p.metavar or p.name.upper() for p in one.params if p.param_type_name == "argument"
        )
        parts += [f"## `{path}`", f"```text\n{path} [OPTIONS] {arguments}".rstrip() + "\n```"]
        parts.append(escaped(inspect.cleandoc(one.help or "")))
        parts += [option_text(p) for p in one.params if not getattr(p, "hidden", False)]
    page = Path(app.srcdir) / "generated" / "commands" / "commands.md"
    write(page, "\n\n".join(parts) + "\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Have the page written before others are read."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
