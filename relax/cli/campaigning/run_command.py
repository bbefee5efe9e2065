"""The command ``relax campaign run``."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.campaigning.campaign_options import FolderOption
from relax.cli.options.declaration import check_values, option, positive, quiet_option, takes_options
from relax.cli.terminal import OK, UNCONVERGED, messages_shown, print_table, warn
from relax.core.errors import UsageError

if TYPE_CHECKING:
    from relax.campaign.store.index import Totals
    from relax.io.progress import Bar

__all__ = ["CampaignRunOptions", "run"]

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds by the letter behind a time."""

TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")
"""A time as SLURM writes it: hours, minutes and maybe seconds, with days before them."""

STOPPED = 3
"""Exit code of a run whose time was up."""


def seconds(flag: str, text: str) -> float:
    """Return a time in seconds, such as ``90``, ``30m``, ``4h``, ``4:30:00`` or ``1-12:00:00``.

    Raises
    ------
    UsageError
        It is none.
    """
    if found := TIME.fullmatch(text):
        value = float(found[1]) * UNITS[found[2]]
        if value > 0:
            return value
    elif found := CLOCK.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        return float(86400 * days + 3600 * hours + 60 * minutes + rest)
    raise UsageError(f"{flag} {text}: write a time such as 30m, 4h or 1-12:00:00")


@dataclass(frozen=True, kw_only=True)
class CampaignRunOptions(FolderOption):
    """The options of ``relax campaign run``."""

    workers: int | None = option(
        None,
        "Number of processes that relax; as many as there are cores, or as the engine has, if not given.",
        *("--workers", "-n"),
        metavar="N",
        check=positive,
    )
    threads: int = option(1, "Threads of each process.", metavar="N", check=positive)
    engine: str | None = option(
        None,
        "Where the processes are: on this machine if not given; or dask:ADDRESS, parsl:FILE, "
        "executorlib:local, executorlib:slurm, executorlib:flux.",
        metavar="NAME",
    )
    shard: str | None = option(
        None,
        "Do part I, from 0, of N parts, for machines that share the folder and nothing else; each part has a "
        "run of its own.",
        metavar="I/N",
    )
    time_limit: str | None = option(
        None,
        "End in this time, such as 30m, 4h or 1-12:00:00; what would not be done by then is not begun.",
        metavar="TIME",
    )
    grace: str = option(
        "30s", "Time in which processes give back what they do, when the run must end.", metavar="TIME"
    )
    call_limit: str = option(
        "1h",
        "A force call that takes longer is taken for one that never ends, and its process is ended.",
        metavar="TIME",
    )
    verbose: int = option(0, "Print messages on standard error.", *("--verbose", "-v"), count=True)
    quiet: bool = quiet_option()

    @cached_property
    def part(self) -> tuple[int, int]:
        """The part of the campaign, from 0, and the number of parts."""
        if self.shard is None:
            return 0, 1
        found = re.fullmatch(r"(\d+)/(\d+)", self.shard)
        if not (found and int(found[1]) < int(found[2])):
            raise UsageError(f"--shard {self.shard}: write I/N with I from 0 to N-1, such as 0/4")
        return int(found[1]), int(found[2])

    def run_kwargs(self) -> dict[str, Any]:
        """Return the arguments of :meth:`.Campaign.run`; UsageError if one is wrong."""
        check_values(self)
        limit = math.inf if self.time_limit is None else seconds("--time-limit", self.time_limit)
        return {
            "workers": self.workers, "executor": self.engine, "shard": self.part, "time_limit": limit,
            "grace": seconds("--grace", self.grace), "call_limit": seconds("--call-limit", self.call_limit),
            "threads": self.threads,
        }  # fmt: skip


@takes_options(CampaignRunOptions)
def run(**values: Any) -> None:
    """Relax the structures of a campaign that wait.

    It may be stopped at any moment, by Ctrl-C, by the end of its job or by kill -9, and started again: what
    is done is kept. Structures that end their process twice are set aside as worker_lost.

    Exit code: 0 if all structures of the campaign have converged, or with --shard all that have ended, 1 if
    some have not, 2 for wrong options or
    if it cannot go on, 3 if the time was up, 128 and its number after a signal.
    """
    from relax.campaign.campaign import Campaign
    from relax.cli.campaigning.status_table import status_table
    from relax.io.progress import progress

    options = CampaignRunOptions(**values)
    given = options.run_kwargs()
    with Campaign(options.folder) as campaign:
        with messages_shown(options.verbose), progress() as bar:
            bar.status("reading the campaign")
            shown = _Shown(bar) if bar.visible else None
            ended = campaign.run(**given, told=shown)
        totals = campaign.status()
    print_table(lambda _: status_table(options.folder, totals))
    if ended is not None:
        warn(f"stopped; relax campaign run {options.folder} goes on")
        raise typer.Exit(128 + ended if ended else STOPPED)
    others = totals.waiting if options.shard else 0  # those of other parts
    raise typer.Exit(OK if totals.statuses["converged"] == totals.structures - others else UNCONVERGED)


class _Shown:
    """Shows how a campaign goes on beside a progress bar."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.first: tuple[float, int] | None = None

    def __call__(self, totals: Totals) -> None:
        done, now = totals.structures - totals.waiting, time.monotonic()
        self.bar.start(totals.structures)
        self.bar.complete(done)
        first = self.first = self.first or (now, done)
        if done > first[1]:
            rate = (done - first[1]) / (now - first[0])
            self.bar.update(None, done, rate, totals.waiting)
        else:
            self.bar.status(f"{totals.waiting} wait")
