"""Options as the text of a TOML file."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from relax.cli.options.declaration.option import declarations, key_of

__all__ = ["config_text"]


def config_text(options: type[Any], values: dict[str, Any], table: str) -> str:
    """Return all options but the input files as a table of a TOML file.

    Each has its help text as a comment above; those without a value are comments.

    Parameters
    ----------
    options
        The dataclass of the options.
    values
        Their values, by the names of the fields.
    table
        The name of the table.
    """
    lines = [f"# The options of relax {table}; those that stand behind a # are not set.", f"[{table}]"]
    for each, declared in declarations(options):
        if (key := key_of(each.name, declared)) is None:
            continue
        comment = textwrap.fill(declared.parameter.help or "", 98, break_on_hyphens=False)
        lines += ["", textwrap.indent(comment, "# ")]
        value = values[each.name]
        unset = value is None or value == []
        lines.append(
            f"# {key} = {declared.parameter.metavar or 'true|false'}" if unset else f"{key} = {_toml(value)}"
        )
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
