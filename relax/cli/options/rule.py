"""The update rule and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relax.cli.options.calculator import calculator_names
from relax.cli.options.declaration import option
from relax.cli.options.rule_settings import RULE_NAMES, read_settings
from relax.engine.batch.of_ase.names import ASE_NAMES

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["RuleOptions"]


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """The update rule and its settings."""

    rule: str = option(
        RULE_NAMES[0],
        f"Update rule of the optimizer: {' '.join(RULE_NAMES)}; "
        f"or an optimizer of ASE: {' '.join(ASE_NAMES)}.",
        *("--rule", "-r"),
        metavar="RULE",
        words=lambda: (*RULE_NAMES, *ASE_NAMES),
        role="run",
    )
    set_words: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "Set a parameter of the rule; may be repeated. 'relax rules' lists the parameters.",
        *("--set", "-s"),
        metavar="NAME=VALUE",
        role="files",
    )
    metric: bool | None = option(
        None,
        "Precondition the rule with a model Hessian, as core is anyway; the default rule has its own.",
        "--metric/--no-metric",
    )

    prior: str | None = option(
        None,
        "A cheap calculator beside the one that counts: structures are first relaxed with it, and the rule "
        "kriging then learns what it misses. For calculators that take seconds or more a call.",
        metavar="NAME",
        words=calculator_names,
    )
    known: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "File of earlier calculations with the same calculator, such as a trajectory, from which the rule "
        "kriging then learns too; FILE@SLICE as in ASE. May be repeated.",
        metavar="FILE",
        role="run",
    )

    @property
    def followed(self) -> str:
        """The name of the rule that is followed."""
        from relax.rules import rule_beside

        return str(rule_beside(self.rule, self.prior, self.known))

    @cached_property
    def known_structures(self) -> list[Atoms]:
        """The earlier calculations that are given."""
        from relax.io.known import known_structures

        return known_structures(self.known or [])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The parameters of the rule that are set."""
        return read_settings(self.followed, self.set_words or [])

    @property
    def rule_text(self) -> str:
        """The rule and its settings, for the output file."""
        return " ".join([self.followed, *(f"{k}={v}" for k, v in self.settings.items())])
