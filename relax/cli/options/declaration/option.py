"""How options are declared: one field of a dataclass has the default, the help text and the checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import typer
from typer.models import ParameterInfo

from relax.core.errors import UsageError

__all__ = [
    "Option",
    "argument",
    "check_values",
    "completes",
    "declarations",
    "finite",
    "flag_of",
    "key_of",
    "not_negative",
    "one_of",
    "option",
    "positive",
    "quiet_option",
]

Check = Callable[[str, Any], None]
"""Raises UsageError, naming the flag, for a value that is not allowed."""

Role = Literal["result", "run", "files"]


@dataclass(frozen=True)
class Option:
    """The declaration of one option.

    Parameters
    ----------
    parameter
        The flags, the metavar and the help text, for typer.
    key
        The name of the option in a file, which is its long flag without the hyphens; empty where that is the
        name of the field, and None for input files.
    check
        Raises UsageError for a value that is not allowed; it is not called with None.
    needs
        The option without which this one has no effect, as it is typed.
    role
        ``"result"``: the option decides the result, so it is written with each structure, and a run that
        resumes must have the same; ``"run"``: it is reported in the JSON only; ``"files"``: in neither.
    """

    parameter: ParameterInfo
    key: str | None = ""
    check: Check | None = None
    needs: str = ""
    role: Role = "result"


def option(
    default: Any,
    help: str,
    *flags: str,
    metavar: str | None = None,
    check: Check | None = None,
    needs: str = "",
    role: Role = "result",
    count: bool = False,
    words: Callable[[], Iterable[str]] | None = None,
) -> Any:
    """Declare an option; without ``flags``, its flag is the name of the field.

    Parameters
    ----------
    default, help, flags, metavar, check, needs, role
        As in :class:`Option`.
    count
        Whether the value is how often the flag is given.
    words
        Returns the values that a shell completes.
    """
    complete = None if words is None else completes(words)
    parameter = typer.Option(
        *flags, metavar=metavar, help=help, count=count, show_default=not count, autocompletion=complete
    )
    long = next((flag for flag in flags if flag.startswith("--")), "")
    key = long.partition("/")[0].removeprefix("--")
    return field(default=default, metadata={"option": Option(parameter, key, check, needs, role)})


def quiet_option() -> Any:
    """Declare the option with which a command shows neither tables nor progress."""
    words = "Print no table, and show no progress: only messages, and what --json asks for."
    return option(False, words, *("--quiet", "-q"), role="files")


def completes(words: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what completes a word in a shell, or the last one of a list with commas, from ``words()``."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{word}" for word in words() if word.startswith(last)]

    return complete


def argument(help: str, metavar: str) -> Any:
    """Declare the input files."""
    parameter = typer.Argument(metavar=metavar, help=help)
    return field(metadata={"option": Option(parameter, key=None, role="files")})


def declarations(options: Any) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """Yield the fields of a dataclass of options, each with its declaration."""
    for each in dataclasses.fields(options):
        yield each, each.metadata["option"]


def check_values(options: Any) -> None:
    """Raise UsageError for a value that is not allowed, or an option without the one that it needs."""
    for each, declared in declarations(options):
        value = getattr(options, each.name)
        if declared.check and value is not None:
            declared.check(flag_of(each.name), value)
    for each, declared in declarations(options):
        needed = declared.needs.partition(" ")[0].removeprefix("--")
        if needed and getattr(options, each.name) != each.default and not getattr(options, needed):
            raise UsageError(f"{flag_of(each.name)} needs {declared.needs}; add it")


def flag_of(name: str) -> str:
    """Return the flag of a field that does not declare another one."""
    return f"--{name.replace('_', '-')}"


def key_of(name: str, declared: Option) -> str | None:
    """Return what the option of a field is called in a file; None for the input files."""
    return flag_of(name).removeprefix("--") if declared.key == "" else declared.key


def positive(flag: str, value: float) -> None:
    """Allow finite numbers above 0."""
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{flag} must be greater than 0 (got {value:g})")


def not_negative(flag: str, value: float) -> None:
    """Allow finite numbers of 0 or more."""
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{flag} must be 0 or more (got {value:g})")


def finite(flag: str, value: float) -> None:
    """Allow finite numbers."""
    if not math.isfinite(value):
        raise UsageError(f"{flag} must be a finite number (got {value:g})")


def one_of(*words: str) -> Check:
    """Allow ``words``."""

    def check(flag: str, value: str) -> None:
        if value not in words:
            raise UsageError(f"{flag} must be {' or '.join(words)} (got {value!r})")

    return check
