"""The options of ``relax run``, and those that other commands which relax have too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relax.cli.options.calculator import CalculatorOptions
from relax.cli.options.cell import CellOptions
from relax.cli.options.checks import check_output, check_relaxation
from relax.cli.options.declaration import check_values, declarations
from relax.cli.options.inputs import InputOptions
from relax.cli.options.output import BatchOptions, OutputOptions
from relax.cli.options.rule import RuleOptions
from relax.cli.options.starts import StartOptions
from relax.cli.options.stop import StopOptions

__all__ = ["RelaxationOptions", "RunOptions"]


@dataclass(frozen=True, kw_only=True)
class RelaxationOptions(
    BatchOptions, StopOptions, StartOptions, CellOptions, RuleOptions, CalculatorOptions, InputOptions
):
    """What is relaxed, and how.

    The help shows the options in the order of the classes, the last one first.
    """

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options, whatever the input files contain."""
        self.settings, self.calculator_settings  # noqa: B018 - reading them checks them
        check_values(self)
        check_relaxation(self)

    @property
    def options_text(self) -> str:
        """The options that decide the result, for the output file: those that are not the default."""
        always = ("calculator", "fmax")
        given = [
            (f.name, getattr(self, f.name), f.default)
            for f, declared in declarations(self)
            if declared.role == "result"
        ]
        words = [f"{name}={value}" for name, value, default in given if name in always or value != default]
        return " ".join([*words, *self.calculator_text.split()])

    def relaxation_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of :func:`relax.engine.api.relax_many`, but for the cell."""
        names = (
            *("rule", "fmax", "steps", "smax", "timeout", "budget", "batch_size", "draws", "on_bad"),
            *("symmetry", "symprec", "rattle", "seed", "check", "escape", "metric", "stress"),
            *("prior", "known"),
        )
        return {name: getattr(self, name) for name in names} | self.settings


@dataclass(frozen=True, kw_only=True)
class RunOptions(OutputOptions, RelaxationOptions):
    """The options of ``relax run``, with the names and units of the command line."""

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options, whatever the input files contain."""
        super().validate()
        check_output(self)

    def relaxation_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of :func:`relax.engine.api.relax_many`, but for the cell."""
        return super().relaxation_kwargs() | ({"known": self.known_structures} if self.known else {})
