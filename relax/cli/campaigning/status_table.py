"""The table of a campaign: how its structures have ended."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relax.campaign.store.index import Totals
from relax.cli.running.tables import COLOURS

__all__ = ["status_table"]


def status_table(folder: str, totals: Totals) -> RenderableType:
    """Return the numbers of structures by status, and a line on what it took and what is left.

    Parameters
    ----------
    folder
        The folder of the campaign.
    totals
        The numbers.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("status")
    table.add_column("structures", justify="right")
    table.add_column("%", justify="right")
    shown = [*totals.statuses.most_common(), *([("waiting", totals.waiting)] if totals.waiting else [])]
    for status, number in shown:
        share = f"{100 * number / max(totals.structures, 1):.1f}"
        table.add_row(Text(status, _colour(status)), f"{number:,}", share)
    done = totals.structures - totals.waiting
    line = (
        f"{folder}: {done:,} of {totals.structures:,} structures done, {totals.calls:,} force calls, "
        f"{duration(totals.seconds)} of relaxation"
    )
    return Group(table, Text(), Text(line, "bold"), *[Text(words) for words in _left(totals)])


def _left(totals: Totals) -> list[str]:
    """Return what is known of what is left."""
    if not totals.waiting or not totals.cost_done:
        return []
    expected = totals.seconds / totals.cost_done * (totals.cost - totals.cost_done)
    return [f"about {duration(expected)} of relaxation left, which the processes share"]


def duration(seconds: float) -> str:
    """Return a time in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"


def _colour(status: str) -> str:
    return "dim" if status == "waiting" else COLOURS.get(status, "red")
