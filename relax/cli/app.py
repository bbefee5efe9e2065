"""The command ``relax``.

Numpy, rich, ASE and torch are imported where they are used, so that the command starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from relax.cli.campaigning.campaign_command import campaign
from relax.cli.comparing.compare_command import compare
from relax.cli.listing.rules_command import rules
from relax.cli.listing.show_command import show
from relax.cli.running.run_command import run
from relax.cli.terminal import BAD_INPUT, OK, warn
from relax.cli.viewing.landscape_command import landscape
from relax.cli.viewing.plot_command import plot
from relax.cli.viewing.report_command import report
from relax.core.errors import UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Relax atomistic structures with preconditioned L-BFGS, CoRe, Frankenstein and other rules.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(run)
app.command()(show)
app.command()(report)
app.command()(plot)
app.command()(compare)
app.command()(landscape)
app.command()(rules)
app.add_typer(campaign, name="campaign")


def main(args: list[str] | None = None) -> None:
    """Run the command and exit the process.

    Parameters
    ----------
    args
        The words after ``relax``; by default, those of the process.
    """
    try:
        code = app(args, prog_name="relax", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough, as in: relax show FILE | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        code = 128 + signal.SIGPIPE
    except typer.Abort:
        code = 128 + signal.SIGINT
    except Exception as error:
        if isinstance(error, UsageError):
            warn(str(error))
        elif hasattr(error, "format_message"):  # a usage error of click, or of the copy inside typer
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "relax"
            message = " ".join(error.format_message().split())
            warn(f"{message.rstrip('.')} (see {command} --help)")
        else:
            raise
        code = BAD_INPUT
    sys.exit(code or OK)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from relax import __version__

        print(f"relax {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version.")
    ] = False,
) -> None:
    """Show the help if there is no command."""
    if context.invoked_subcommand is None:
        print(context.get_help())
