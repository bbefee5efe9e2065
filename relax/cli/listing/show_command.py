"""The command ``relax show``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.listing.show_options import ShowOptions
from relax.cli.options.declaration import takes_options
from relax.cli.terminal import BAD_INPUT, OK, print_json, warn
from relax.core.errors import InvalidStructure

if TYPE_CHECKING:
    from relax.io.overview.summary import Summary
    from relax.io.overview.totals import Totals

__all__ = ["show"]


@takes_options(ShowOptions)
def show(**values: Any) -> None:
    """Show what is in files, and how the run of each structure ended.

    Of structures that relax run has written, there are status, force calls, energy, longest force and, if
    the run did not converge, the reason. Of others there is what the file says.

    Above 50 structures there are plain lines instead of a table, however many. What is damaged is left out
    and reported at the end.

    Exit code: 0, or 2 if something cannot be read.
    """
    from relax.io.overview.totals import Totals

    options = ShowOptions(**values)
    options.validate()
    totals, faults = Totals(), Faults()
    chosen = _chosen(options, totals, faults)
    if options.as_json:
        for summary in chosen:
            print_json(_fields(summary))
    else:
        from rich.console import Console

        from relax.cli.listing.show_table import print_summaries

        # A pipe has no width, and a table that is cut at 80 columns would lose its numbers.
        console = Console(width=None if sys.stdout.isatty() else 1000, highlight=False)
        print_summaries(chosen, console)
        console.print(totals.line(), style="bold", markup=False)
    for line in faults.lines():
        warn(line)
    raise typer.Exit(BAD_INPUT if faults else OK)


class Faults:
    """What cannot be read, by files: the first fault of each, and how many there are."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._number: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._first)

    def add(self, file: str, fault: InvalidStructure) -> None:
        """Take one more fault of a file."""
        self._first.setdefault(file, str(fault))
        self._number[file] = self._number.get(file, 0) + 1

    def lines(self) -> Iterator[str]:
        """Yield one line for each file."""
        for file, first in self._first.items():
            more = self._number[file] - 1
            yield f"{file}: {first}" + (f" (and {more} more fault{'s' if more > 1 else ''})" if more else "")


def _chosen(options: ShowOptions, totals: Totals, faults: Faults) -> Iterator[Summary]:
    """Yield the structures that are asked for; count all, and what cannot be read."""
    from relax.io.named_files import expanded
    from relax.io.overview.files import summaries

    for file in expanded(options.files, options.recursive):
        for found in summaries(file, options.format):
            if isinstance(found, InvalidStructure):
                faults.add(file, found)
                continue
            totals.add(found)
            if options.wants(found.status) and totals.shown < (options.limit or sys.maxsize):
                totals.shown += 1
                yield found


def _fields(summary: Summary) -> dict[str, Any]:
    """Return the JSON fields of a structure, by the names that ``relax run --json`` gives them."""
    calls, escapes = summary.number("relax_force_calls"), summary.number("relax_escapes")
    rule, _, settings = summary.text("relax_rule").partition(" ")
    options = dict(_words(summary.text("relax_options")))
    return {
        "source": summary.source, "file": summary.file, "frame": summary.frame,
        "formula": summary.formula, "atoms": summary.natoms,
        "status": summary.status or None, "reason": summary.text("relax_reason") or None,
        "force_calls": None if calls != calls else int(calls),
        "energy_last": summary.energy, "fmax": summary.fmax,
        **{name: summary.number(f"relax_{name}") for name in ("smax", "volume_ratio")},
        "spacegroup_first": summary.text("relax_spacegroup_first"),
        "spacegroup_last": summary.text("relax_spacegroup_last"),
        **{name: summary.number(f"relax_{name}") for name in ("curvature", "frequency")},
        "escapes": None if escapes != escapes else int(escapes),
        "rule": rule or None, "settings": _words(settings),
        "calculator": options.pop("calculator", None), "options": options,
    }  # fmt: skip


@lru_cache
def _words(text: str) -> dict[str, Any]:
    """Return the ``NAME=VALUE`` words of a text as names with values of their types."""
    found = {}
    for word in text.split():
        name, _, value = word.partition("=")
        try:
            found[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[name] = value
    return found
