"""The commands ``relax report`` and ``relax campaign report``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relax.cli.campaigning.campaign_options import FolderOption
from relax.cli.options.declaration import argument, check_values, option, quiet_option, takes_options
from relax.cli.terminal import warn
from relax.core.errors import UsageError

__all__ = ["campaign_report", "report"]


def at_least_two(flag: str, value: int) -> None:
    """Allow whole numbers from 2."""
    if value < 2:
        raise UsageError(f"{flag} must be 2 or more (got {value})")


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """The page that is written."""

    output: str = option("report.html", "The page.", *("--output", "-o"), metavar="FILE.html")
    force: bool = option(False, "Replace --output if it exists.", "--force")
    title: str = option("", "Title of the page; the name of the input if not given.", metavar="TEXT")
    limit: int = option(
        5000,
        "Structures up to which each has a row in the table. Of more, those that failed and a sample of the "
        "others have one; counts and histograms are always of all.",
        metavar="N",
        check=at_least_two,
    )
    quiet: bool = quiet_option()


@dataclass(frozen=True, kw_only=True)
class ReportOptions(PageOptions):
    """The options of ``relax report``."""

    source: str = argument(
        "A trajectory of one run, a file that relax run has written, or the folder of a campaign.",
        metavar="FILE|DIR",
    )


@dataclass(frozen=True, kw_only=True)
class CampaignReportOptions(PageOptions, FolderOption):
    """The options of ``relax campaign report``."""


@takes_options(ReportOptions)
def report(**values: Any) -> None:
    """Write a page that shows a run, or many: one HTML file that opens offline.

    Of one run it shows the path in three dimensions, energy and forces against force calls, and what has
    changed. Of many it shows how they ended, a table, and each structure before and after.

    Exit code: 0, or 2 if something cannot be read or written.
    """
    options = ReportOptions(**values)
    check_values(options)
    _write(options, options.source)


@takes_options(CampaignReportOptions)
def campaign_report(**values: Any) -> None:
    """Write a page that shows the structures and how they have ended: one HTML file that opens offline."""
    from contextlib import closing

    from relax.campaign.campaign import Campaign

    options = CampaignReportOptions(**values)
    check_values(options)
    with closing(Campaign(options.folder)) as campaign:
        _write(options, campaign)


def _write(options: PageOptions, source: Any) -> None:
    """Write the page, and say what is in it."""
    import os

    from relax.analysis.report.api import report as write_report

    if os.path.lexists(options.output) and not options.force:
        raise UsageError(f"--output {options.output} exists; add --force to replace it, or give another name")
    written = write_report(
        source, options.output, force=options.force, limit=options.limit, title=options.title, progress=True
    )
    if not options.quiet:
        print(f"{options.output}: {written.words}; {written.size / 1e6:.2f} MB")
    for note in written.notes:
        warn(note)
