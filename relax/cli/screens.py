"""What the command line shows: a progress bar, the table of a run, the pages about the rules."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from relax.cli.summary import Tally
from relax.core.parameters import Param, parameters
from relax.core.result import Result
from relax.core.rule import Rule

__all__ = ["About", "about", "batch_table", "rule_page", "run_table", "settings_table"]

COLOURS = {"converged": "green"} | dict.fromkeys(
    ("saddle", "max_steps", "stalled", "timeout", "interrupted"), "yellow"
)

WIDE = 100
"""RaggedArrays of a screen from which the table of a run has all of its own."""


class Row(Protocol):
    """What the table of a run asks of a structure."""

    @property
    def source(self) -> str:
        """The file, and the frame where it has several."""

    @property
    def formula(self) -> str:
        """The chemical formula."""

    @property
    def natoms(self) -> int:
        """The number of atoms."""

    @property
    def result(self) -> Result:
        """The verdict."""


def run_table(rows: Sequence[Row], width: int, energy: str = "energy") -> RenderableType:
    """Return the table of a run for a screen of ``width`` columns, with what is to be noted below it.

    That is why a run did not converge, and which space groups changed.  ``energy`` is what the energies
    are called.
    """
    calls = sum(row.result.force_calls for row in rows)
    seconds = sum(row.result.wall_time for row in rows)
    done = sum(row.result.converged for row in rows)
    summary = Text(f"{done} of {len(rows)} converged, {calls} force calls, {seconds:.1f} s", "bold")
    table = _table(rows, width, energy)
    return Group(table, Text(), *_reasons(rows), *_escapes(rows), *_groups(rows), summary)


def batch_table(tally: Tally, output: str | None, width: int, energy: str = "energy") -> RenderableType:
    """Return what there is to show of a batch: the table of a run if it was a small one, and a summary."""
    parts: list[RenderableType] = [_table(tally.rows, width, energy), Text()] if tally.rows else []
    parts += _reasons([tally.unconverged[place] for place in sorted(tally.unconverged)])
    more = tally.total - tally.ended["converged"] - len(tally.unconverged)
    if more:
        parts.append(Text(f"and {more} more that did not converge"))
    parts += _escapes(tally.rows) + _groups(tally.rows)
    parts += [Text(line, "bold") for line in tally.summary(output)]
    return Group(*parts)


def _table(rows: Sequence[Row], width: int, energy: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("file", overflow="fold", min_width=8)
    table.add_column("formula", no_wrap=True)
    table.add_column("status", no_wrap=True)
    checked = any(not math.isnan(row.result.curvature) for row in rows)
    for name in _numbers(rows[0], width, energy, checked):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = _numbers(row, width, energy, checked).values()
        table.add_row(Text(row.source), row.formula, _status(row.result), *numbers)
    return table


def _status(result: Result) -> Text:
    return Text(result.status, COLOURS.get(result.status, "red"))


def _reasons(rows: Sequence[Row]) -> list[Text]:
    """Return why structures did not converge."""
    return [
        Text.assemble(f"{row.source}: ", _status(row.result), f": {row.result.reason}")
        for row in rows
        if not row.result.converged
    ]


def _escapes(rows: Sequence[Row]) -> list[Text]:
    """Return how many saddles structures have left."""
    left = [(row.source, row.result.escapes) for row in rows if row.result.escapes]
    return [Text(f"{source}: left {n} saddle{'s' if n > 1 else ''}") for source, n in left]


def _groups(rows: Sequence[Row]) -> list[Text]:
    """Return which space groups changed."""
    pairs = [(row.source, row.result.spacegroup_first, row.result.spacegroup_last) for row in rows]
    return [
        Text(f"{source}: space group {before or 'none'} -> {after or 'none'}")
        for source, before, after in pairs
        if before != after
    ]


def _numbers(row: Row, width: int, energy: str, checked: bool) -> dict[str, str]:
    """Return the columns of numbers for one structure, by their heads; curvatures if some were looked for."""
    result = row.result
    columns = {
        "atoms": str(row.natoms),
        "force\ncalls": str(result.force_calls),
        f"{energy}\neV": _number(result.energy_last, ".4f"),
        f"{energy}\neV/atom": _number(result.energy_last / row.natoms, ".4f"),
        "fmax\neV/A": _number(result.fmax, ".4f" if result.fmax < 1000 else ".2e"),
        "stress\nGPa": _number(result.smax, ".3f" if result.smax < 1000 else ".2e"),
        **({"curv.\neV/A^2": _number(result.curvature, ".3f")} if checked else {}),
        "time\ns": _number(result.wall_time, ".1f"),
    }
    left_out = [] if width >= WIDE + 10 * checked else ["atoms", f"{energy}\neV", *["time\ns"] * checked]
    return {name: number for name, number in columns.items() if name not in left_out}


def _number(value: float, style: str) -> str:
    return format(value, style) if math.isfinite(value) else "-"


class About(NamedTuple):
    """What the docstring of a rule says."""

    summary: str
    source: str
    recurrence: str  # the literal blocks
    text: str  # all of it but the summary


def about(rule: type[Rule]) -> About:
    """Return what the docstring of ``rule`` says of it."""
    doc = inspect.cleandoc(rule.__doc__ or "")
    summary, _, text = doc.partition("\n\n")
    # Sentences end in two spaces, or at the end of a line or of a paragraph.
    found = re.search(r"Source:\s+(.+?)\.(?=  |\n|$)", text, re.DOTALL)
    source = " ".join(found[1].split()) if found else ""
    blocks = re.findall(r"(?:^|\n)::\n\n((?: {4}.*\n|\n)+)", text + "\n")
    recurrence = inspect.cleandoc("\n".join(blocks))
    return About(" ".join(summary.split()), source.replace("``", ""), recurrence, text)


def flowing(text: str) -> str:
    """Return the text of a docstring without markup, each paragraph on one line for the screen to break.

    Literal blocks lose their indent, so that they fit 80 columns.
    """
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
    parts = []
    for part in text.split("\n\n"):
        if part.startswith("    "):
            parts.append(inspect.cleandoc("\n" + part))
        elif part.strip() != "::":
            # A line goes on in the next one, unless that begins an item of a list.
            parts.append(re.sub(r" *\n\s*(?!\s*- )", " ", part))
    return "\n\n".join(parts)


def shown(value: Any) -> str:
    """Return a default as one types it on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_table(settings: Mapping[str, Param], defaults: Mapping[str, str] | None = None) -> Table:
    """Return the table of declared parameters; ``defaults`` has words for those that are no value."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", no_wrap=True, style="cyan")
    for column in ("default", "allowed", "unit"):
        table.add_column(column, overflow="fold")
    table.add_column("meaning")
    for name, declared in settings.items():
        default = (defaults or {}).get(name, shown(declared.default))
        table.add_row(name, *(Text(t) for t in (default, declared.allowed, declared.unit, declared.doc)))
    return table


def rule_page(name: str, rule: type[Rule], full: bool) -> RenderableType:
    """Return all about a rule: names, source, parameters, and in ``full`` the text of its docstring."""
    told, (radius, norm) = about(rule), rule.default_maxstep
    worn = [f"maxstep={radius:g} A", f"maxstep_norm={norm}"]
    worn += [f"clip={rule.default_clip:g} eV/A"] if rule.default_clip is not None else []
    worn += [f"force_floor={rule.default_force_floor:g} eV/A"] if rule.default_force_floor else []
    head = Text.assemble((name, "bold green"), f"  (in Python {rule.__name__}Relax)")
    parts: list[RenderableType] = [head, Text(told.summary)]
    if not full:  # the text names the source itself
        parts.append(Text(f"Source: {told.source}."))
    parts.append(Text(f"Unless set: {', '.join(worn)}."))
    if full:
        parts += [Text(), Text(flowing(told.text))]
    table = Padding(settings_table(parameters(rule)), (0, 0, 0, 2), expand=False)
    return Group(*parts, Text(), table, Text())
