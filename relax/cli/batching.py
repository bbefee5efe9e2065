"""What ``relax run --batch`` does: read, check, relax together, write each structure as it ends.

Nothing is imported before it is needed, since the command line imports this to show its help.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from relax.cli.options import Plan
from relax.cli.running import (
    BAD_INPUT,
    OK,
    UNCONVERGED,
    Fault,
    Job,
    admitted,
    complain,
    fault,
    terminating,
    verdict,
)
from relax.cli.summary import Line, Tally
from relax.core.errors import UsageError

if TYPE_CHECKING:
    from ase import Atoms

    from relax.engine.entries import Relaxed
    from relax.io.progress import Bar
    from relax.io.results_file import Output

__all__ = ["relax_batch"]


def relax_batch(plan: Plan, tell: Callable[[Job], None] | None = None) -> tuple[Tally, int]:
    """Do what ``plan`` says; return the count of it and the exit code.

    Each structure is given to ``tell`` as it ends, after it has been written.

    Raises
    ------
    UsageError
        The output is not one to go on with, or the calculator cannot be had.
    """
    from relax.io.progress import progress

    run = Run(plan, tell)
    try:
        with terminating(), progress() as run.bar:
            code = run.through()
    except KeyboardInterrupt as stop:
        code = 128 + (stop.args[0] if stop.args else signal.SIGINT)
    run.tally.stop(given_up=len(run.underway))
    return run.tally, code


class Run:
    """A batch on its way: where its structures come from, and where they go.

    Parameters
    ----------
    plan
        What is asked for.
    tell
        What is told of each structure that has ended.
    """

    def __init__(self, plan: Plan, tell: Callable[[Job], None] | None) -> None:
        self.plan, self.tell = plan, tell
        self.tally, self.underway = Tally(), dict[int, Job]()
        self.bar: Bar
        self.output: Output | None = None
        self.total: int | None = None
        self.passed = 0  # structures that are relaxed, there already, or of no use

    def through(self) -> int:
        """Do all of it, and return the exit code.

        Raises
        ------
        UsageError
            The output is not one to go on with, or the calculator cannot be had.
        """
        plan, written = self.plan, True
        if plan.output:
            from relax.io.results_file import Output

            self.bar.say(f"reading {plan.output}")
            self.output = Output(plan.output, plan.rule_text, plan.options_text)
            self.tally.before = self.output.before
        if self.bar.shown:
            self.bar.say("counting structures")
            self.total = total(plan.files)
        self.bar.start(self.total)
        jobs = self.arrivals()
        first = next(jobs, None)
        if first is not None:  # a model is not loaded for nothing, nor a file made
            potential = self.potential()
            with self.output or contextlib.nullcontext():
                try:
                    self.relax(chain([first], jobs), potential)
                except UsageError as refusal:  # not the end: what is done is still to be told
                    complain(str(refusal))
                    written = False
        if self.tally.bad or not written:
            return BAD_INPUT
        return OK if self.tally.all_converged else UNCONVERGED

    def arrivals(self) -> Iterator[Job]:
        """Yield the structures that are sound and not in the output yet, as they are read.

        Those that are of no use have their line on standard error.
        """
        from relax.core.errors import InvalidStructure

        for file in self.plan.files:
            try:
                for source, frame, atoms in named(file):
                    if self.output and self.output.take(source):
                        self.advance()
                        continue
                    job = admitted(self.plan, file, frame, atoms, source)
                    if isinstance(job, Fault):
                        self.tally.bad += 1
                        self.advance()
                    else:
                        yield job
            except InvalidStructure as error:
                fault(file, None, file, str(error))
                self.tally.bad += 1

    def potential(self) -> Any:
        """Return what computes forces."""
        from relax.calculators import as_potential
        from relax.core.errors import CalculatorError

        plan = self.plan
        self.bar.say(f"loading {plan.calculator}")
        try:
            return as_potential(plan.calculator, plan.device, plan.dtype, plan.head)
        except CalculatorError as error:
            raise UsageError(str(error)) from error

    def relax(self, jobs: Iterable[Job], potential: Any) -> None:
        """Relax structures together, and write each as it ends.

        Raises
        ------
        UsageError
            The output cannot be written any more.
        """
        from relax.engine.api import relax_many

        plan = self.plan
        told = plan.of_optimizer(plan.cell)
        freedom = told.pop("cell")

        def given() -> Iterator[Atoms]:
            for place, job in enumerate(jobs):
                self.underway[place] = job
                self.show()
                yield job.atoms

        self.tally.start()
        for relaxed in relax_many(
            given(), potential, plan.rule,
            fmax=plan.fmax, steps=plan.steps, smax=plan.smax, timeout=plan.timeout, budget=plan.budget,
            cell=lambda atoms: freedom if atoms.pbc.any() else False,
            **told,
        ):  # fmt: skip
            self.end(self.underway[relaxed.index], relaxed)
            del self.underway[relaxed.index]
            self.advance()

    def end(self, job: Job, relaxed: Relaxed) -> None:
        """Write and count a structure that has ended."""
        from relax.core.errors import InvalidStructure
        from relax.io.structures import snapshot

        result = job.verdict = relaxed.result
        try:
            if result.status == "refused":
                raise InvalidStructure(result.reason)
            job.atoms = snapshot(relaxed.atoms, source=job.source, **verdict(self.plan, result))
            if self.output:
                self.output.add(job.atoms)
        except InvalidStructure as error:
            fault(job.file, job.frame, job.source, str(error))
            self.tally.bad += 1
            return
        self.tally.add(relaxed.index, Line(job.source, job.formula, job.natoms, result))
        if self.tell:
            self.tell(job)

    def advance(self) -> None:
        """Move the bar by one structure."""
        self.passed += 1
        self.bar.advance()
        self.show()

    def show(self) -> None:
        """Say beside the bar how it goes."""
        left = None if self.total is None else self.total - self.passed
        self.bar.pace(len(self.underway), self.tally.total, self.tally.rate, left)


def named(file: str) -> Iterator[tuple[str, int, Atoms]]:
    """Yield what each structure of a file is called, its frame, and itself.

    Raises
    ------
    InvalidStructure
        As :func:`relax.io.structures.stream`, after the structures before the fault.
    """
    from relax.core.errors import InvalidStructure
    from relax.io.structures import stream

    frames = stream(file)
    ahead = [next(frames)]
    broken = None
    try:
        ahead += [atoms for _, atoms in zip(range(1), frames, strict=False)]
    except InvalidStructure as error:
        broken = error
    for frame, atoms in enumerate(chain(ahead, frames)):
        yield f"{file}#{frame}" if len(ahead) > 1 else file, frame, atoms
    if broken:
        raise broken


def total(files: list[str]) -> int | None:
    """Return how many structures there are, where that can be told without reading them."""
    from relax.io.structures import count

    found = 0
    for file in files:
        frames = count(file)
        if frames is None:
            return None
        found += frames
    return found
