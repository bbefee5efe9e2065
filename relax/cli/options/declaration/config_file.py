"""Options from a TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args, get_type_hints

from relax.cli.options.declaration.option import declarations, key_of
from relax.core.errors import UsageError

__all__ = ["read_config"]

TABLES = ("run", "compare", "campaign")
"""The commands that may have options in a file."""

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
"""The types of options as the user knows them."""


def read_config(file: str, table: str, options: type[Any]) -> dict[str, Any]:
    """Return the options in a table of a TOML file, by the names of the fields of ``options``.

    Raises
    ------
    UsageError
        The file cannot be read, a key is unknown, or a value is of a wrong type.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: this is no TOML: {error}") from None
    for name, value in content.items():
        if name not in TABLES or not isinstance(value, dict):
            where = _place(file, text, name)
            if not isinstance(value, dict):
                raise UsageError(f"{where}: {name!r} stands in no table; put [{table}] above it")
            raise UsageError(f"{where}: there is no table {name!r}{_nearest(name, TABLES)}")
    types = get_type_hints(options)
    fields = {
        key: each
        for each, declared in declarations(options)
        if (key := key_of(each.name, declared)) is not None
    }
    values = {}
    for key, value in content.get(table, {}).items():
        where = _place(file, text, key)
        if key not in fields:
            raise UsageError(f"{where}: there is no option {key!r}{_nearest(key, fields)}")
        try:
            values[fields[key].name] = _typed(value, types[fields[key].name])
        except TypeError as error:
            raise UsageError(f"{where}: {key} must be {error} (got {value!r})") from None
    return values


def _typed(value: Any, kind: Any) -> Any:
    """Return a value of TOML as one of the type ``kind``.

    Raises
    ------
    TypeError
        It is none; the message says what it should be.
    """
    (kind,) = (
        [each for each in get_args(kind) if each is not NoneType] if NoneType in get_args(kind) else [kind]
    )
    if kind == list[str]:
        if isinstance(value, dict):
            return [f"{name}={_word(each)}" for name, each in value.items()]
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        raise TypeError('a table such as {name = 1}, or a list such as ["name=1"]')
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(WORDS[kind])
    return value


def _word(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _place(file: str, text: str, name: str) -> str:
    """Return the file and the line of a key or a table, where it is easily found."""
    pattern = re.compile(rf"\s*(\[\s*)?[\"']?{re.escape(name)}[\"']?\s*[\]=.]")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)]
    return f"{file}, line {lines[0]}" if len(lines) == 1 else file


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, if there is one."""
    near = difflib.get_close_matches(name.replace("_", "-"), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
