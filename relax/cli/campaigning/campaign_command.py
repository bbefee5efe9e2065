"""The commands ``relax campaign``."""

from __future__ import annotations

import typer

from relax.cli.campaigning.changes import merge, retry
from relax.cli.campaigning.export_command import duplicates, export, sbatch
from relax.cli.campaigning.init_command import add, init
from relax.cli.campaigning.run_command import run
from relax.cli.campaigning.status_command import status
from relax.cli.viewing.report_command import campaign_report

__all__ = ["campaign"]

campaign = typer.Typer(
    help="Relax many structures by many processes, on this machine or on others, killed at any moment.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
for command in (init, run, status, export, retry, add, merge, duplicates, sbatch):
    campaign.command()(command)
campaign.command("report")(campaign_report)
