"""The table of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relax.cli.inputs import Record
from relax.cli.running.summary import RunSummary
from relax.core.result import Result

__all__ = ["run_table"]

COLOURS = {"converged": "green"} | dict.fromkeys(
    ("saddle", "max_steps", "stalled", "timeout", "interrupted"), "yellow"
)

WIDE = 100
"""Columns of a terminal that are enough for all columns of the table."""


def run_table(summary: RunSummary, output: str | None, width: int, energy: str = "energy") -> RenderableType:
    """Return the table of a run, with the reasons, the changed space groups and the summary below it.

    Parameters
    ----------
    summary
        The run; without a table if it is a large batch.
    output
        The output file, if there is one.
    width
        Number of columns of the terminal.
    energy
        The heading of the energies.
    """
    records = summary.records
    parts: list[RenderableType] = [_table(records, width, energy), Text()] if records else []
    parts += _reasons([summary.unconverged[place] for place in sorted(summary.unconverged)])
    more = summary.finished - summary.statuses["converged"] - len(summary.unconverged)
    if more:
        parts.append(Text(f"and {more} more that did not converge"))
    parts += _escapes(records) + _draws(records) + _space_groups(records)
    parts += [Text(line, "bold") for line in summary.lines(output)]
    return Group(*parts)


def _table(records: Sequence[Record], width: int, energy: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("file", overflow="fold", min_width=8)
    table.add_column("formula", no_wrap=True)
    table.add_column("status", no_wrap=True)
    checked = any(not math.isnan(record.result.curvature) for record in records)
    for name in _numbers(records[0], width, energy, checked):
        table.add_column(name, justify="right", no_wrap=True)
    for record in records:
        numbers = _numbers(record, width, energy, checked).values()
        table.add_row(Text(record.source), record.formula, _status(record.result), *numbers)
    return table


def _status(result: Result) -> Text:
    return Text(result.status, COLOURS.get(result.status, "red"))


def _reasons(records: Sequence[Record]) -> list[Text]:
    """Return why structures did not converge, one line each."""
    return [
        Text.assemble(f"{record.source}: ", _status(record.result), f": {record.result.reason}")
        for record in records
        if not record.result.converged
    ]


def _escapes(records: Sequence[Record]) -> list[Text]:
    """Return how many saddle points structures moved away from."""
    escapes = [(record.source, record.result.escapes) for record in records if record.result.escapes]
    return [Text(f"{source}: left {n} saddle point{'s' if n > 1 else ''}") for source, n in escapes]


def _draws(records: Sequence[Record]) -> list[Text]:
    """Return how many minima the draws of structures have found, and how far the others are above."""
    lines = []
    for record in records:
        draws, lowest = record.result.draws, record.result.energy_last
        above = sorted(
            ((draw.energy - lowest) / len(record.atoms), draw.spacegroup)
            for draw in draws
            if draw.status == "converged"
        )[1:]
        if draws:
            others = ", ".join(f"{1e3 * rise:.1f} meV/atom above {group}".rstrip() for rise, group in above)
            more = f"; other minima: {others}" if above else ""
            lines.append(Text(f"{record.source}: {len(draws)} draws{more}"))
    return lines


def _space_groups(records: Sequence[Record]) -> list[Text]:
    """Return the space groups that changed."""
    pairs = [
        (record.source, record.result.spacegroup_first, record.result.spacegroup_last) for record in records
    ]
    return [
        Text(f"{source}: space group {before or 'none'} -> {after or 'none'}")
        for source, before, after in pairs
        if before != after
    ]


def _numbers(record: Record, width: int, energy: str, checked: bool) -> dict[str, str]:
    """Return the numbers of a structure by their headings; with the curvature if it was ``checked``."""
    result = record.result
    columns = {
        "atoms": str(len(record.atoms)),
        "force\ncalls": str(result.force_calls),
        f"{energy}\neV": _number(result.energy_last, ".4f"),
        f"{energy}\neV/atom": _number(result.energy_last / len(record.atoms), ".4f"),
        "fmax\neV/A": _number(result.fmax, ".4f" if result.fmax < 1000 else ".2e"),
        "stress\nGPa": _number(result.smax, ".3f" if result.smax < 1000 else ".2e"),
        **({"curv.\neV/A^2": _number(result.curvature, ".3f")} if checked else {}),
        "time\ns": _number(result.wall_time, ".1f"),
    }
    left_out = [] if width >= WIDE + 10 * checked else ["atoms", f"{energy}\neV", *["time\ns"] * checked]
    return {name: number for name, number in columns.items() if name not in left_out}


def _number(value: float, style: str) -> str:
    return format(value, style) if math.isfinite(value) else "-"
