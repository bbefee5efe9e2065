"""Commands whose parameters are the fields of a dataclass, and that may have them in a file too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from relax.cli.options.declaration.config_file import read_config
from relax.cli.options.declaration.config_text import config_text
from relax.cli.options.declaration.option import check_values, declarations, key_of
from relax.cli.terminal import warn
from relax.core.errors import UsageError
from relax.core.process import QUIET

__all__ = ["takes_options"]

CONFIG_FILE = "relax.toml"
"""The file of options that is read where no other one is named."""

CONFIG = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"Read options from this TOML file; from {CONFIG_FILE} if not given and there is one. "
        "An option on the command line replaces that of the file.",
    ),
]
PRINT_CONFIG = Annotated[
    bool, typer.Option("--print-config", help="Print all options as such a file, and do nothing else.")
]


def takes_options(
    options: type[Any], config: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for ``command(**values)`` that declares the fields of ``options`` to typer.

    Parameters
    ----------
    options
        The dataclass of the options.
    config
        The table of a TOML file that may have the options; the command then has ``--config`` and
        ``--print-config``.  None is none.
    """

    def with_signature(command: Callable[..., None]) -> Callable[..., None]:
        command, types = _quietable(command), get_type_hints(options)
        required: Any = Parameter.empty if config is None else []  # --print-config needs no input files
        parameters = [
            Parameter(
                each.name,
                Parameter.KEYWORD_ONLY,
                default=required if each.default is dataclasses.MISSING else each.default,
                annotation=Annotated[types[each.name], declared.parameter],
            )
            for each, declared in declarations(options)
        ]
        if config is not None:
            command = _configurable(command, options, config)
            parameters += [
                Parameter("config", Parameter.KEYWORD_ONLY, default=None, annotation=CONFIG),
                Parameter("print_config", Parameter.KEYWORD_ONLY, default=False, annotation=PRINT_CONFIG),
                Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
            ]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return with_signature


def _quietable(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that shows neither tables nor progress where it has the option ``quiet``."""

    def maybe_quiet(**values: Any) -> None:
        before = QUIET.set(bool(values.get("quiet")))
        try:
            command(**values)
        finally:
            QUIET.reset(before)

    maybe_quiet.__doc__, maybe_quiet.__name__ = command.__doc__, command.__name__
    return maybe_quiet


def _configurable(command: Callable[..., None], options: type[Any], table: str) -> Callable[..., None]:
    """Return a command that takes what is not on the command line from a file."""

    def configured(*, context: typer.Context, config: str | None, print_config: bool, **values: Any) -> None:
        for name, value in _from_file(config, table, options).items():
            source = context.get_parameter_source(name)
            if source is None or source.name != "COMMANDLINE":
                values[name] = value
        if print_config:
            check_values(options(**values))
            print(config_text(options, values, table), end="")
            return
        for each, declared in declarations(options):
            if key_of(each.name, declared) is None and not values[each.name]:
                raise UsageError(f"no {declared.parameter.metavar} is given (see relax {table} --help)")
        command(**values)

    configured.__doc__, configured.__name__ = command.__doc__, command.__name__
    return configured


def _from_file(config: str | None, table: str, options: type[Any]) -> dict[str, Any]:
    """Return the options in the file that is named, or in the one of this folder, if any."""
    if config is not None:
        return read_config(config, table, options)
    if not Path(CONFIG_FILE).exists():
        return {}
    values = read_config(CONFIG_FILE, table, options)
    if values:
        warn(f"options are read from {CONFIG_FILE}")
    return values
