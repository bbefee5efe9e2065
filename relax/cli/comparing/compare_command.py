"""The command ``relax compare``.

Modules are imported where they are used, so that the help is shown at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.comparing.compare_options import CompareOptions
from relax.cli.inputs import input_files, named_structures
from relax.cli.options.declaration import takes_options
from relax.cli.terminal import BAD_INPUT, OK, print_table, warn
from relax.core.errors import CalculatorError, InvalidStructure, UsageError
from relax.core.process import Interrupts

if TYPE_CHECKING:
    from ase import Atoms

    from relax.analysis.comparison.comparison import Comparison
    from relax.analysis.comparison.files.results_file import Json

__all__ = ["compare"]


@takes_options(CompareOptions, config="compare")
def compare(**values: Any) -> None:
    """Compare minimizers by force calls, on your structures and with your calculator.

    Each minimizer relaxes each structure, as it is and with its atoms displaced at random. Force calls are
    counted at the calculator, a run that fails counts as --cap calls, and the end of each run is compared
    with the lowest that any run of that structure has found.

    With --json each run is written as it ends. If the command stops early, the same command continues.

    The name core means the rule without the preconditioner; core:metric=true has it, as in relax run.

    Exit code: 0 if all structures were compared, 2 for wrong options, invalid structures (the others are
    compared) or an output that cannot be written, 128 and its number after a signal.
    """
    from relax.core.process import ONE_THREAD

    os.environ.update(ONE_THREAD)  # before numpy is loaded, which reads it then
    options = CompareOptions(**values)
    options.validate()
    from relax.io.outputs.lock import output_locked

    with _errors_in_one_line(), output_locked(options.json, "--json"):
        raise typer.Exit(_compare(options))


def _compare(options: CompareOptions) -> int:
    """Make and show a comparison, and return the exit code."""
    from relax.analysis.comparison.comparison import CalculatorChoice, Comparison, checked_names

    names = checked_names(options.rules, options.cell)
    choice = CalculatorChoice(
        options.calculator, options.device, options.dtype, options.head, options.calculator_settings
    )
    reader = _Reader(options, choice.load())
    structures = list(reader.structures())
    if not structures:
        return BAD_INPUT
    comparison = Comparison(
        structures,
        choice,
        names,
        cell=options.cell,
        path=None if options.json is None else Path(options.json),
        resume=options.resume,
        rattles=options.rattles,
        draws=options.draws,
        seed=options.seed,
        fmax=options.fmax,
        cap=options.cap,
        first_call=options.stop == "calculator",
    )
    results, code = _measure(comparison, options, reader.calculator)
    _show(results, options)
    return code or (BAD_INPUT if reader.invalid else OK)


class _Reader:
    """Reads structures, and counts those that are invalid; each of them is a line of warning."""

    def __init__(self, options: CompareOptions, calculator: Any) -> None:
        self.options, self.calculator, self.invalid = options, calculator, 0

    def structures(self) -> Iterator[Atoms]:
        """Yield the structures that can be compared, with their names."""
        for file in input_files(self.options):
            try:
                for name, _, atoms in named_structures(file, self.options.format):
                    try:
                        yield self.checked(name, atoms)
                    except InvalidStructure as error:
                        self.report(name, error)
            except InvalidStructure as error:
                self.report(file, error)

    def checked(self, name: str, atoms: Atoms) -> Atoms:
        """Return a structure with its name.  Raises InvalidStructure if it cannot be relaxed."""
        from relax.calculators.registry import unsupported
        from relax.engine.batch.of_ase.cell_filter import has_cell
        from relax.io.check import check_structure

        check_structure(atoms)
        if why := unsupported(self.calculator, atoms):
            raise InvalidStructure(why)
        if self.options.cell and not atoms.pbc.any():
            warn(f"{name}: not periodic, so its cell is kept")
        elif self.options.cell and not has_cell(atoms):
            warn(f"{name}: its vacuum is not along x, y or z, so its cell is kept")
        atoms.info["name"] = name
        return atoms

    def report(self, name: str, error: InvalidStructure) -> None:
        """Warn of a structure or a file."""
        warn(f"{name}: {error}")
        self.invalid += 1


def _measure(comparison: Comparison, options: CompareOptions, calculator: Any) -> tuple[Json, int]:
    """Make the runs that are missing; return all results, and the exit code after a signal, else 0."""
    from relax.io.progress import tracked

    if outdated := comparison.journal.file.outdated:
        warn(f"{options.json}: out of date, and made again: {', '.join(outdated)}")
    tasks, done = comparison.tasks(), 0
    jobs, interrupts, code = min(options.jobs, len(tasks)), Interrupts(), OK
    try:
        with interrupts.handled():
            try:
                with contextlib.closing(comparison.measure(tasks, jobs, calculator)) as runs:
                    for _ in tracked(runs, len(tasks), lambda: jobs, "runs"):
                        done += 1
            finally:
                with interrupts.held():
                    results = comparison.save()
    except KeyboardInterrupt as stop:
        again = "; the same command continues" if options.json else ""
        warn(f"stopped after {done} of {len(tasks)} runs{again}")
        code = 128 + (stop.args[0] if stop.args else signal.SIGINT)
    return results, code


def _show(results: Json, options: CompareOptions) -> None:
    """Write the files that are asked for, and print the tables of what is complete."""
    from relax.analysis.comparison.pages import draw, page
    from relax.cli.comparing.compare_table import compare_table

    if not results["tables"]:
        return
    print_table(lambda width: compare_table(results, width))
    if options.table is not None:
        Path(options.table).write_text(page(results).markdown())
    if options.plot is not None:
        draw(results, Path(options.plot))


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn what is wrong with names, files, the calculator or a process into UsageError."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        raise UsageError("a process was killed, perhaps for its memory; give fewer --jobs") from error
    except OSError as error:
        raise UsageError(f"{error.filename or 'output'}: {error.strerror or error}") from error
    except (CalculatorError, ValueError) as error:
        raise UsageError(str(error)) from error
