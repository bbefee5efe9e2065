"""What ``relax run`` does: read, check, relax, write and count structures.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from relax.cli.inputs import Record, checked_record, count_inputs, input_files, named_structures
from relax.cli.options import RunOptions
from relax.cli.options.checks import check_unwritten
from relax.cli.running.summary import RunSummary
from relax.cli.terminal import BAD_INPUT, OK, UNCONVERGED, warn
from relax.core.errors import InvalidStructure, UsageError
from relax.core.process import Interrupts

if TYPE_CHECKING:
    from relax.cli.running.following import Following
    from relax.core.result import Result
    from relax.io.outputs.run_output import RunOutput
    from relax.io.progress import Bar

__all__ = ["Listener", "Runner", "run_structures"]

MOST_READ_AGAIN = 10_000
"""Number of structures of a run above which it does not say which of them were not begun."""


class Listener(Protocol):
    """What is told of each structure as soon as it has been written."""

    def finished(self, record: Record) -> None:
        """Take note of a structure that has a result."""

    def invalid(self, file: str, frame: int | None, source: str, reason: str) -> None:
        """Take note of a structure or a file that cannot be relaxed."""


def run_structures(options: RunOptions, listener: Listener | None = None) -> tuple[RunSummary, int]:
    """Relax the structures of a run; return their summary and the exit code.

    Parameters
    ----------
    options
        What is asked for.
    listener
        What is told of each structure.

    Raises
    ------
    UsageError
        The output file is not one to resume from or another process writes it, an output cannot be written,
        or the calculator is not available.
    """
    from relax.io.outputs.lock import output_locked
    from relax.io.progress import progress

    runner = Runner(options, listener)
    try:
        with runner.interrupts.handled(), output_locked(options.output), progress() as runner.bar:
            code = runner.run()
    except KeyboardInterrupt as stop:
        code = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        runner.summary.not_begun = runner.not_begun()
    runner.summary.stop(dropped=len(runner.active))
    return runner.summary, code


class Runner:
    """A run in progress; see :func:`run_structures`.

    Attributes
    ----------
    active
        The structures that are being relaxed, by the order in which they began.
    waiting
        The names of those that have been read and not begun, by their places.
    n_read, n_done
        Number of structures that have been read, and that are relaxed, were so before, or are invalid.
    """

    def __init__(self, options: RunOptions, listener: Listener | None = None) -> None:
        self.options, self.listener = options, listener
        self.summary, self.interrupts = RunSummary(), Interrupts()
        self.active: dict[int, Record] = {}
        self.waiting: dict[int, str] = {}
        self.bar: Bar
        self.output: RunOutput | None = None
        self.following: Following
        self.total: int | None = None
        self.n_read = self.n_done = 0
        self.write_failed = False

    def run(self) -> int:
        """Do all of it, and return the exit code."""
        options = self.options
        check_unwritten(options)
        if options.output:
            from relax.io.outputs.run_output import RunOutput

            if options.resume:
                self.bar.status(f"reading {options.output}")
            self.output = RunOutput(options.output, options.rule_text, options.options_text, options.resume)
            self.summary.before = self.output.finished_before
        records = self.read()
        if self.bar.visible:
            self.bar.status("counting structures")
            self.total = count_inputs(input_files(options), options.format)
        self.bar.start(self.total)
        first = list(islice(records, 2))
        if first:  # otherwise no model is loaded
            self.relax(first, records)
        elif self.output:
            with self.write_errors_reported():
                self.output.gather()
        if self.summary.n_invalid or self.write_failed:
            return BAD_INPUT
        return OK if self.summary.all_converged else UNCONVERGED

    def read(self) -> Iterator[Record]:
        """Yield the structures that are to be relaxed, as they are read; report those that are invalid."""
        for file in input_files(self.options):
            try:
                for source, frame, atoms in named_structures(file, self.options.format):
                    with self.interrupts.held():  # what is read waits, was relaxed before, or is invalid
                        record = self.taken(Record(file, frame, source, atoms, place=self.n_read))
                    if record:
                        yield record
            except InvalidStructure as error:
                self.report_invalid(file, None, file, error)

    def taken(self, record: Record) -> Record | None:
        """Return a structure that has been read, which waits then, if it is valid and not relaxed before."""
        from relax.io.check import digest

        self.n_read += 1
        try:
            if self.output:
                record.digest = digest(record.atoms)
                if self.output.already_done(record.place, record.source, record.digest):
                    self.advance()
                    return None
            checked = checked_record(record, self.options)
        except InvalidStructure as error:
            self.report_invalid(record.file, record.frame, record.source, error)
            self.advance()
            return None
        self.waiting[record.place] = record.source
        return checked

    def relax(self, first: list[Record], others: Iterator[Record]) -> None:
        """Relax the first one or two structures, on which outputs depend, and the others; write each."""
        from relax.calculators.models.confined import load_confined
        from relax.cli.running.following import Following
        from relax.engine.api import relax_many

        if self.output:
            self.output.rehearse([record.atoms for record in first])
        self.bar.status(f"loading {self.options.calculator}")
        potential = load_confined(**self.options.calculator_kwargs())
        self.following = Following(self.options, self.interrupts, self.bar, self.active)
        with contextlib.closing(self.following):
            if len(first) > 1:
                self.following.of_several()
            if self.output:
                self.output.open()
            freedom = self.options.freedom() if self.options.cell else False
            relaxations = relax_many(
                (record.atoms for record in self.started(chain(first, others))),
                potential,
                cell=lambda atoms: freedom if atoms.pbc.any() else False,
                monitor=self.following,
                **self.options.relaxation_kwargs(),
            )
            self.summary.start()
            try:
                with self.write_errors_reported(), self.interrupts.held():
                    for relaxed in relaxations:
                        self.finish(relaxed.index, relaxed.atoms, relaxed.result)
            finally:
                if self.output:
                    with self.interrupts.held(), self.write_errors_reported():
                        self.output.close()

    def started(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield ``records``, each of which is active from then on."""
        for number, record in enumerate(records):
            self.interrupts.hold()  # what is active is to reach the batch, which yields it
            self.following.begin(number, record)
            self.active[number] = record
            del self.waiting[record.place]
            self.show_progress()
            yield record

    def finish(self, number: int, atoms: Any, result: Result) -> None:
        """Write and count a structure that is no longer active."""
        from relax.io.write import snapshot

        record = self.active[number]
        try:
            record.result = result
            self.following.end(number, record)
            if result.status == "refused":
                raise InvalidStructure(result.reason)
            record.atoms = snapshot(atoms, **record.output_info(self.options))
            if result.mode is not None:
                record.atoms.set_array("relax_mode", result.mode[: len(atoms)], float, (3,))
            if self.output:
                self.output.add(record.place, record.atoms)
        except InvalidStructure as error:
            self.report_invalid(record.file, record.frame, record.source, error)
        else:
            self.summary.add(record)
            if self.listener:
                self.listener.finished(record)
        del self.active[number]
        self.advance()

    def report_invalid(self, file: str, frame: int | None, source: str, error: InvalidStructure) -> None:
        """Warn of a structure or a file that cannot be relaxed, and count it."""
        warn(f"{source}: {error}")
        self.summary.add_invalid()
        if self.listener:
            self.listener.invalid(file, frame, source, str(error))

    def not_begun(self) -> list[str]:
        """Return the names of structures that were not begun, where there are not too many to read."""
        total = count_inputs(input_files(self.options), self.options.format)
        if total is None or total > MOST_READ_AGAIN or "-" in self.options.files:
            return []
        names = []
        for file in input_files(self.options):
            with contextlib.suppress(InvalidStructure):
                names += [source for source, _, _ in named_structures(file, self.options.format)]
        return [*self.waiting.values(), *names[self.n_read :]]

    @contextlib.contextmanager
    def write_errors_reported(self) -> Iterator[None]:
        """Warn of an output that cannot be written; the summary of the run is still to come."""
        try:
            yield
        except UsageError as error:
            warn(str(error))
            self.write_failed = True

    def advance(self) -> None:
        """Move the progress bar by one structure."""
        self.n_done += 1
        self.bar.advance()
        self.show_progress()

    def show_progress(self) -> None:
        """Show the speed and the time left beside the progress bar."""
        left = None if self.total is None else self.total - self.n_done
        self.bar.update(len(self.active), self.summary.finished, self.summary.rate, left)
