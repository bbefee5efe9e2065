"""The command ``relax run``."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.options import RunOptions
from relax.cli.options.declaration import takes_options
from relax.cli.runner import run_structures
from relax.cli.terminal import messages_shown, print_json, print_table, warn

if TYPE_CHECKING:
    from relax.cli.inputs import Record
    from relax.cli.summary import RunSummary

__all__ = ["run"]


@takes_options(RunOptions, config="run")
def run(**values: Any) -> None:
    """Relax structures and print the result of each.

    The relaxed structures are written only with --output: all of them, converged or not, in the order of
    the input, with energy, forces and status. The file is written at the end of the run.

    With --batch, structures are read when there is room for them, and each is written to --output, a file
    in .extxyz or .xyz, when it is finished. If such a run stops early, repeat the command with --resume to
    continue it. The table is left out above 50 structures. --json prints one line per structure, with its
    name as "source".

    Exit code: 0 if all structures converged, 1 if some did not, 2 for wrong options, invalid structures
    (the others are relaxed) or an output that cannot be written, 128 and its number after a signal, so 130
    after Ctrl-C. What is finished then is written.
    """
    options = RunOptions(**values)
    options.validate()
    if options.output is None and sys.stderr.isatty():
        warn("the relaxed structures will not be written; add --output to write them")
    by_line = options.batch and options.as_json
    with messages_shown(options.verbose):
        summary, code = run_structures(options, partial(_print_line, options) if by_line else None)
    if by_line:
        warn(", ".join(summary.lines(options.output)))
    elif options.as_json:
        _print_object(options, summary)
    elif options.batch or summary.finished:
        from relax.cli.tables import run_table

        energy = "enthalpy" if options.pressure else "energy"
        print_table(lambda width: run_table(summary, options.output, width, energy))
    raise typer.Exit(code)


def _print_line(options: RunOptions, record: Record) -> None:
    """Print the result of a structure as one line of JSON."""
    print_json({"source": record.source} | _fields(options, record))


def _print_object(options: RunOptions, summary: RunSummary) -> None:
    """Print the results of a run as one JSON object."""
    from relax import __version__

    run = {
        "relax": __version__,
        "options": options.json_options(),
        "results": [_fields(options, record) for record in summary.records],
        "bad_input": [dataclasses.asdict(invalid) for invalid in summary.invalid],
    }
    print_json(run, indent=1)


def _fields(options: RunOptions, record: Record) -> dict[str, Any]:
    """Return the JSON fields of a structure.

    They include what tells the rows apart in a table that is made of several runs.
    """
    from relax import __version__

    result = dataclasses.asdict(record.result)
    del result["mode"]
    for draw in result["draws"]:
        del draw["atoms"]
    return {
        "file": record.file, "frame": record.frame, "formula": record.formula, "atoms": len(record.atoms),
        "cell": record.with_cell, **result,
        "rule": options.rule, "settings": options.settings, "calculator": options.calculator,
        "relax": __version__,
    }  # fmt: skip
