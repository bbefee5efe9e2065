"""What ``relax run`` does: read, check, relax, write and count structures, one by one or together.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from relax.cli.inputs import InvalidInput, Record, checked_record, count_inputs, named_structures
from relax.cli.options import RunOptions
from relax.cli.relaxations import Outcome, relax_one_by_one, relax_together
from relax.cli.summary import RunSummary
from relax.cli.terminal import BAD_INPUT, OK, UNCONVERGED, warn
from relax.core.errors import CalculatorError, InvalidStructure, UsageError
from relax.core.signals import terminable, undisturbed

if TYPE_CHECKING:
    from relax.core.result import Result
    from relax.io.progress import Bar
    from relax.io.results_file import ResultsFile, WholeFile

__all__ = ["Runner", "run_structures"]


def run_structures(
    options: RunOptions, on_result: Callable[[Record], None] | None = None
) -> tuple[RunSummary, int]:
    """Relax the structures of a run; return their summary and the exit code.

    Parameters
    ----------
    options
        What is asked for.
    on_result
        Called with each structure that has a result, after it has been handed to the output file.

    Raises
    ------
    UsageError
        The output file is not one to resume from or another process writes it, an output cannot be written,
        or the calculator is not available.
    """
    from relax.io.lock import output_locked
    from relax.io.progress import progress

    runner = Runner(options, on_result)
    try:
        with terminable(), output_locked(options.output), progress() as runner.bar:
            code = runner.run()
    except KeyboardInterrupt as stop:
        code = 128 + (stop.args[0] if stop.args else signal.SIGINT)
    runner.summary.stop(dropped=len(runner.active))
    return runner.summary, code


class Runner:
    """A run in progress; see :func:`run_structures`.

    Attributes
    ----------
    active
        The structures that are being relaxed, by their place.
    n_done
        Number of structures that are relaxed, were so before, or are invalid.
    """

    def __init__(self, options: RunOptions, on_result: Callable[[Record], None] | None = None) -> None:
        self.options, self.on_result = options, on_result
        self.summary = RunSummary(options.batch)
        self.active: dict[int, Record] = {}
        self.bar: Bar
        self.total: int | None = None
        self.n_done = 0
        self.resumed: ResultsFile | None = None
        self.write_failed = False

    def run(self) -> int:
        """Do all of it, and return the exit code."""
        options = self.options
        if options.batch and options.output:
            from relax.io.results_file import ResultsFile

            self.bar.status(f"reading {options.output}")
            self.resumed = ResultsFile(options.output, options.rule_text, options.options_text)
            self.summary.before = self.resumed.finished_before
        records = self.read()
        if not options.batch:
            everything = list(records)
            records, self.total = iter(everything), self.n_done + len(everything)
        elif self.bar.visible:
            self.bar.status("counting structures")
            self.total = count_inputs(options.files)
        self.bar.start(self.total)
        first = next(records, None)
        if first is not None:  # otherwise no model is loaded, and no file is made
            self.relax(chain([first], records))
        if self.summary.n_invalid or self.write_failed:
            return BAD_INPUT
        return OK if self.summary.all_converged else UNCONVERGED

    def read(self) -> Iterator[Record]:
        """Yield the structures that are to be relaxed, as they are read; report those that are invalid."""
        for file in self.options.files:
            try:
                found = named_structures(file)
                for source, frame, atoms in found if self.options.batch else list(found):
                    if self.resumed and self.resumed.already_done(source):
                        self.advance()
                        continue
                    try:
                        yield checked_record(self.options, file, frame, source, atoms)
                    except InvalidStructure as error:
                        self.report_invalid(file, frame, source, error)
                        self.advance()
            except InvalidStructure as error:
                self.report_invalid(file, None, file, error)

    def relax(self, records: Iterator[Record]) -> None:
        """Relax structures, and write and count each that is finished."""
        output, outcomes = self.together(records) if self.options.batch else self.one_by_one(records)
        self.summary.start()
        try:
            with self.write_errors_reported():
                for record, result in outcomes:
                    self.finish(record, result, output)
        finally:
            if output:
                with undisturbed(), self.write_errors_reported():
                    output.close()

    def together(self, records: Iterator[Record]) -> tuple[ResultsFile | None, Iterator[Outcome]]:
        """Return the output file and the results of structures that are relaxed in a batch."""
        from relax.calculators import as_potential

        potential = self.load(as_potential)
        if self.resumed:
            self.resumed.open()
        return self.resumed, relax_together(self.options, self.started(records), self.active, potential)

    def one_by_one(self, records: Iterator[Record]) -> tuple[WholeFile | None, Iterator[Outcome]]:
        """Return the output file and the results of structures that are relaxed one after another."""
        from relax.calculators.registry import load
        from relax.io.log import Log
        from relax.io.results_file import WholeFile
        from relax.io.trajectories import trajectory_paths

        options, everything, output = self.options, list(records), None
        if options.output:
            output = WholeFile(options.output)
            output.rehearse([record.atoms for record in everything])
        paths = trajectory_paths(options.trajectory, [record.source for record in everything], options.files)
        calculator = self.load(load)
        log = Log(options.logfile) if options.logfile else None
        started = zip(self.started(iter(everything)), paths, strict=True)
        return output, relax_one_by_one(options, started, calculator, log, self.bar)

    def load(self, loader: Callable[..., Any]) -> Any:
        """Return what ``loader`` makes of the calculator that is asked for."""
        options = self.options
        self.bar.status(f"loading {options.calculator}")
        try:
            return loader(options.calculator, options.device, options.dtype, options.head)
        except CalculatorError as error:
            raise UsageError(str(error)) from error

    def started(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield ``records``, each of which is active from then on."""
        for place, record in enumerate(records):
            record.place = place
            self.active[place] = record
            self.show_progress()
            yield record

    def finish(
        self, record: Record, result: Result | InvalidStructure, output: ResultsFile | WholeFile | None
    ) -> None:
        """Write and count a structure that is no longer active."""
        from relax.io.write import snapshot

        try:
            if isinstance(result, InvalidStructure):
                raise result
            record.result = result
            record.atoms = snapshot(record.atoms, **record.output_info(self.options))
            if output:
                output.add(record.atoms)
        except InvalidStructure as error:
            self.report_invalid(record.file, record.frame, record.source, error)
        else:
            self.summary.add(record)
            if self.on_result:
                self.on_result(record)
        del self.active[record.place]
        self.advance()

    def report_invalid(self, file: str, frame: int | None, source: str, error: InvalidStructure) -> None:
        """Warn of a structure or a file that cannot be relaxed, and count it."""
        warn(f"{source}: {error}")
        self.summary.add_invalid(InvalidInput(file, frame, str(error)))

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
