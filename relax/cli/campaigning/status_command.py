"""The command ``relax campaign status``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from relax.cli.campaigning.campaign_options import FolderOption
from relax.cli.options.declaration import option, takes_options
from relax.cli.terminal import print_json, print_table

__all__ = ["status"]

EVERY = 5.0
"""Seconds between two looks of ``--watch``."""


@dataclass(frozen=True, kw_only=True)
class StatusOptions(FolderOption):
    """The options of ``relax campaign status``."""

    watch: bool = option(False, "Show it again every few seconds, until nothing waits.", "--watch")
    as_json: bool = option(False, "Print a line of JSON.", "--json")


@takes_options(StatusOptions)
def status(**values: Any) -> None:
    """Show how the structures have ended.

    From any machine that has the folder, and at any time.

    Exit code: 0, or 2 if the campaign cannot be read.
    """
    from relax.campaign.campaign import Campaign
    from relax.cli.campaigning.status_table import status_table

    options = StatusOptions(**values)
    with Campaign(options.folder) as campaign:
        if options.watch and not options.as_json:
            _watch(campaign, options.folder)
            return
        while True:
            totals = campaign.status()
            if options.as_json:
                print_json(vars(totals))
            else:
                print_table(lambda _: status_table(options.folder, totals))  # noqa: B023 - called at once
            if not options.watch or not totals.waiting:
                return
            time.sleep(EVERY)


def _watch(campaign: Any, folder: str) -> None:
    """Show the table in place until nothing waits, or Ctrl-C."""
    from rich.live import Live

    from relax.cli.campaigning.status_table import status_table

    with Live(auto_refresh=False) as live:
        while True:
            totals = campaign.status()
            live.update(status_table(folder, totals), refresh=True)
            if not totals.waiting:
                return
            time.sleep(EVERY)
