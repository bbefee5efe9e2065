"""How options are declared: one field of a dataclass has the default, the help text and the checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer
from typer.models import ParameterInfo

from relax.core.errors import UsageError

__all__ = [
    "Option",
    "argument",
    "check_values",
    "declarations",
    "finite",
    "not_negative",
    "one_of",
    "option",
    "positive",
    "takes_options",
]

Check = Callable[[str, Any], None]
"""Raises UsageError, naming the flag, for a value that is not allowed."""

Role = Literal["result", "run", "files"]
Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True)
class Option:
    """The declaration of one option.

    Parameters
    ----------
    parameter
        The flags, the metavar and the help text, for typer.
    check
        Raises UsageError for a value that is not allowed; it is not called with None.
    needs
        The option without which this one has no effect, as it is typed.
    role
        ``"result"``: the option decides the result, so it is written with each structure, and a run that
        resumes must have the same; ``"run"``: it is reported in the JSON only; ``"files"``: in neither.
    """

    parameter: ParameterInfo
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
) -> Any:
    """Declare an option; without ``flags``, its flag is the name of the field."""
    parameter = typer.Option(*flags, metavar=metavar, help=help)
    return field(default=default, metadata={"option": Option(parameter, check, needs, role)})


def argument(help: str, metavar: str) -> Any:
    """Declare the input files."""
    return field(metadata={"option": Option(typer.Argument(metavar=metavar, help=help), role="files")})


def declarations(options: Any) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """Yield the fields of a dataclass of options, each with its declaration."""
    for each in dataclasses.fields(options):
        yield each, each.metadata["option"]


def check_values(options: Any) -> None:
    """Raise UsageError for a value that is not allowed, or an option without the one that it needs."""
    for each, declared in declarations(options):
        value = getattr(options, each.name)
        if declared.check and value is not None:
            declared.check(_flag(each.name), value)
    for each, declared in declarations(options):
        needed = declared.needs.partition(" ")[0].removeprefix("--")
        if needed and getattr(options, each.name) != each.default and not getattr(options, needed):
            raise UsageError(f"{_flag(each.name)} needs {declared.needs}; add it")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def takes_options(options: type[Any]) -> Callable[[Command], Command]:
    """Return a decorator for ``command(**values)`` that declares the fields of ``options`` to typer."""

    def with_signature(command: Command) -> Command:
        types = get_type_hints(options)
        parameters = [
            Parameter(
                each.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if each.default is dataclasses.MISSING else each.default,
                annotation=Annotated[types[each.name], declared.parameter],
            )
            for each, declared in declarations(options)
        ]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return with_signature


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
