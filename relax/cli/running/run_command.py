"""The command ``relax run``."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.options import RunOptions
from relax.cli.options.declaration import takes_options
from relax.cli.running.runner import run_structures
from relax.cli.terminal import messages_shown, print_json, print_table, warn

if TYPE_CHECKING:
    from relax.cli.inputs import Record

__all__ = ["run"]


@takes_options(RunOptions, config="run")
def run(**values: Any) -> None:
    """Relax structures and print the result of each.

    Structures are read when there is room for them. The relaxed ones are written only with --output: all
    of them, converged or not, each as soon as it is finished, with energy, forces and status. If a run stops
    early, however that is, repeat the command with --resume to continue it. The table is left out above 50
    structures.

    Exit code: 0 if all structures converged, 1 if some did not, 2 for wrong options, invalid structures
    (the others are relaxed) or an output that cannot be written, 128 and its number after a signal, so 130
    after Ctrl-C. What is finished then is written, and what it interrupts too.
    """
    options = RunOptions(**values)
    options.validate()
    if options.output is None and sys.stderr.isatty():
        warn("the relaxed structures will not be written; add --output to write them")
    with messages_shown(options.verbose):
        summary, code = run_structures(options, JsonLines(options) if options.as_json else None)
    if options.as_json:
        warn(", ".join(summary.lines(options.output)))
    elif summary.finished or summary.before:
        from relax.cli.running.tables import run_table

        energy = "enthalpy" if options.pressure else "energy"
        print_table(lambda width: run_table(summary, options.output, width, energy))
    raise typer.Exit(code)


class JsonLines:
    """Prints a line of JSON for each structure.

    Parameters
    ----------
    options
        The options of the run.
    """

    def __init__(self, options: RunOptions) -> None:
        self.options = options

    def finished(self, record: Record) -> None:
        """Print the result of a structure, and what tells it apart in a table of several runs."""
        from relax import __version__

        result = dataclasses.asdict(record.result)
        del result["mode"]
        for draw in result["draws"]:
            del draw["atoms"]
        print_json({
            "source": record.source, "file": record.file, "frame": record.frame, "formula": record.formula,
            "atoms": len(record.atoms), "cell": record.with_cell, **result,
            "rule": self.options.followed, "settings": self.options.settings,
            "calculator": self.options.calculator, "options": self.options.options_text,
            "relax": __version__,
        })  # fmt: skip

    def invalid(self, file: str, frame: int | None, source: str, reason: str) -> None:
        """Print why a structure cannot be relaxed."""
        print_json({"source": source, "file": file, "frame": frame, "status": "invalid", "reason": reason})
