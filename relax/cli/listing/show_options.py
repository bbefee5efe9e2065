"""The options of ``relax show``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from relax.cli.options.checks import check_format, known_statuses, read_statuses
from relax.cli.options.declaration import check_values, option, positive
from relax.cli.options.inputs import InputOptions
from relax.core.errors import UsageError

__all__ = ["ShowOptions"]


@dataclass(frozen=True, kw_only=True)
class ShowOptions(InputOptions):
    """The options of ``relax show``."""

    failed: bool = option(False, "Show only structures whose run did not converge.", "--failed")
    status: str | None = option(
        None, "Show only structures with one of these statuses.", metavar="STATUS,...", words=known_statuses
    )
    limit: int | None = option(
        None, "Show at most so many structures; all are counted.", metavar="N", check=positive
    )
    as_json: bool = option(False, "Print a line of JSON for each structure.", "--json")

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options."""
        check_values(self)
        check_format(self.format)
        if self.failed and self.status:
            raise UsageError("--failed and --status both choose what is shown; give one of them")
        self.statuses  # noqa: B018 - reading them checks them

    @cached_property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are asked for; none for all."""
        return tuple(read_statuses(self.status or ""))

    def wants(self, status: str) -> bool:
        """Return whether a structure with this status is shown; it is empty where a file says none."""
        if self.failed:
            return status not in ("", "converged")
        return status in self.statuses if self.statuses else True
