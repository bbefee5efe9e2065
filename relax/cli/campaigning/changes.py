"""The commands ``relax campaign retry`` and ``relax campaign merge``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relax.cli.campaigning.campaign_options import FolderOption
from relax.cli.options.checks import known_statuses, read_statuses
from relax.cli.options.declaration import argument, check_values, option, takes_options
from relax.cli.terminal import warn
from relax.core.errors import UsageError

__all__ = ["merge", "retry"]


@dataclass(frozen=True, kw_only=True)
class RetryOptions(FolderOption):
    """The options of ``relax campaign retry``."""

    status: str = option(
        "", "Structures that ended with one of these statuses.", metavar="STATUS,...", words=known_statuses
    )
    set_words: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "What is other than in the campaign: fmax, steps, timeout, on_bad, rule or a parameter of the rule; "
        "may be repeated.",
        *("--set", "-s"),
        metavar="NAME=VALUE",
    )


@takes_options(RetryOptions)
def retry(**values: Any) -> None:
    """Relax structures again, with other settings.

    Those that ended with one of the statuses wait then, until relax campaign run has new results; the
    ones before stay in the folder.
    """
    from relax.calculators.named.settings import read_settings
    from relax.campaign.campaign import Campaign
    from relax.core.errors import CalculatorError

    options = RetryOptions(**values)
    statuses = read_statuses(options.status, "waiting")
    if not statuses:
        raise UsageError(f"--status names no status (there are: {' '.join(known_statuses())})")
    try:
        changes = read_settings(options.set_words or [], "--set")
    except CalculatorError as error:
        raise UsageError(str(error)) from None
    with Campaign(options.folder) as campaign:
        number = campaign.retry(statuses, **changes)
    again = f"; relax campaign run {options.folder} relaxes them again" if number else ""
    warn(f"{number} structures ended with {' or '.join(statuses)}{again}")


@dataclass(frozen=True, kw_only=True)
class MergeOptions(FolderOption):
    """The options of ``relax campaign merge``."""

    others: list[str] = argument(  # noqa: RUF009 - it returns a field
        "Folders of campaigns with the same settings.", metavar="OTHER"
    )


@takes_options(MergeOptions)
def merge(**values: Any) -> None:
    """Add other campaigns to one.

    A structure that both have is taken once, with the result of whichever has one.
    """
    from relax.campaign.campaign import Campaign

    options = MergeOptions(**values)
    check_values(options)
    with Campaign(options.folder) as campaign:
        for other in options.others:
            with Campaign(other) as added:
                structures, results = campaign.merge(added)
            warn(f"{options.folder} got {structures} structures and {results} results of {other}")
