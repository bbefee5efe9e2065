"""What ``relax run`` does: read, check, relax one by one, write.

Nothing is imported before it is needed, since the command line imports this to show its help.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from relax.cli.options import Plan
from relax.core.errors import UsageError
from relax.io.trajectories import recording, trajectories

if TYPE_CHECKING:
    from ase import Atoms

    from relax.core.result import Result
    from relax.io.progress import Bar

__all__ = ["BAD_INPUT", "OK", "UNCONVERGED", "Fault", "Job", "complain", "relax_all"]

OK, UNCONVERGED, BAD_INPUT = 0, 1, 2
"""Exit codes."""


def complain(message: str) -> None:
    """Say one line on standard error."""
    print(f"relax: {message}", file=sys.stderr)


@dataclass
class Job:
    """One structure on its way."""

    file: str
    frame: int
    atoms: Atoms
    source: str  # the file, and the frame where it has several
    with_cell: bool = False
    verdict: Result | None = None

    @property
    def formula(self) -> str:
        """The chemical formula."""
        return str(self.atoms.get_chemical_formula("metal"))

    @property
    def natoms(self) -> int:
        """The number of atoms."""
        return len(self.atoms)

    @property
    def result(self) -> Result:
        """The verdict."""
        assert self.verdict is not None, "this structure has not been relaxed"
        return self.verdict


@dataclass
class Fault:
    """Why a file or a structure of it is not relaxed."""

    file: str
    frame: int | None
    reason: str


def gather(plan: Plan) -> tuple[list[Job], list[Fault]]:
    """Read and check every structure, with a line on standard error for each that is of no use."""
    from relax.core.errors import InvalidStructure
    from relax.io.structures import read

    jobs, faults = [], []
    for file in plan.files:
        try:
            frames = read(file)
        except InvalidStructure as error:
            faults.append(fault(file, None, file, str(error)))
            continue
        for frame, atoms in enumerate(frames):
            source = f"{file}#{frame}" if len(frames) > 1 else file
            job = admitted(plan, file, frame, atoms, source)
            if isinstance(job, Fault):
                faults.append(job)
            else:
                jobs.append(job)
    return jobs, faults


def admitted(plan: Plan, file: str, frame: int, atoms: Atoms, source: str) -> Job | Fault:
    """Return the job that a structure is, or with a line on standard error why it is none."""
    from relax.core.errors import InvalidStructure
    from relax.io.structures import check

    try:
        check(atoms)
        with_cell = plan.cell and free(plan, atoms, source)
    except InvalidStructure as error:
        return fault(file, frame, source, str(error))
    return Job(file, frame, atoms, source, with_cell)


def free(plan: Plan, atoms: Atoms, source: str) -> bool:
    """Return whether the cell relaxes, with a line on standard error where it does so in part or not at all.

    Raises
    ------
    InvalidStructure
        The pressure that was asked for would push on a vacuum.
    """
    from relax.core.errors import InvalidStructure

    if not atoms.pbc.any():
        complain(f"{source}: not periodic, its cell is kept")
        return False
    if not atoms.pbc.all():
        if plan.pressure:
            raise InvalidStructure("a pressure needs a structure that is periodic in three directions")
        axes = " and ".join(axis for axis, periodic in zip("abc", atoms.pbc, strict=True) if periodic)
        complain(f"{source}: periodic along {axes} only, its cell relaxes there and is kept elsewhere")
    return True


def fault(file: str, frame: int | None, source: str, reason: str) -> Fault:
    """Complain of a structure, and return what to remember."""
    complain(f"{source}: {reason}")
    return Fault(file, frame, reason)


def relax_all(plan: Plan) -> tuple[list[Job], list[Fault], int]:
    """Do what ``plan`` says; return what was relaxed, what could not be, and the exit code."""
    from relax.calculators.registry import load
    from relax.core.errors import CalculatorError, InvalidStructure
    from relax.io.progress import progress
    from relax.io.structures import write

    jobs, faults = gather(plan)
    if not jobs:
        return [], faults, BAD_INPUT
    paths = trajectories(plan.trajectory, [job.source for job in jobs], plan.files)
    if plan.output:
        try:
            write(plan.output, [job.atoms for job in jobs], rehearse=True)
        except InvalidStructure as error:
            raise UsageError(f"--output {plan.output}: {error}") from error

    done: list[Job] = []
    stopped = 0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(terminating())
            log = stack.enter_context(opened(plan.logfile)) if plan.logfile else None
            bar = stack.enter_context(progress())
            bar.say(f"loading {plan.calculator}")
            try:
                calculator = load(plan.calculator, plan.device, plan.dtype, plan.head)
            except CalculatorError as error:
                raise UsageError(str(error)) from error
            bar.start(len(jobs))
            for job, path in zip(jobs, paths, strict=True):
                try:
                    relax_one(plan, job, calculator, path, log, bar, done)
                except InvalidStructure as error:
                    faults.append(fault(job.file, job.frame, job.source, str(error)))
                bar.advance()
        except KeyboardInterrupt as stop:
            stopped = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        finally:
            written = keep(plan, done)
    if stopped:
        code = stopped
    elif faults or not written:
        code = BAD_INPUT
    else:
        code = OK if all(job.result.converged for job in done) else UNCONVERGED
    return done, faults, code


def keep(plan: Plan, done: list[Job]) -> bool:
    """Write what was relaxed, if that was asked for, and return whether nothing went wrong."""
    from relax.core.errors import InvalidStructure
    from relax.io.structures import write

    if plan.output and done:
        try:
            write(plan.output, [job.atoms for job in done])
        except InvalidStructure as error:  # not the end: the table is still to be printed
            complain(f"--output {plan.output}: {error}")
            return False
    return True


def opened(path: str) -> IO[str]:
    """Open a log file for writing, line by line."""
    try:
        return open(path, "w", buffering=1)
    except OSError as error:
        raise UsageError(f"--logfile {path}: {error.strerror}") from None


def relax_one(
    plan: Plan, job: Job, calculator: Any, path: Path | None, log: Any, bar: Bar, done: list[Job]
) -> None:
    """Relax one structure, and add it to ``done`` however it ends; its atoms become the relaxed ones.

    Raises
    ------
    InvalidStructure
        The calculator does not know it, or the cell or the symmetry that is to relax or to be kept is not
        there.
    """
    from relax.calculators.registry import unsupported
    from relax.core.errors import InvalidStructure
    from relax.io.structures import snapshot
    from relax.optimizers.named import OPTIMIZERS

    atoms = job.atoms
    if why := unsupported(calculator, atoms):
        raise InvalidStructure(why)
    # An equal structure relaxed before would otherwise leave its answers, and no call be counted.
    if hasattr(calculator, "reset"):
        calculator.reset()
    atoms.calc = calculator
    if log:
        log.write(f"# {job.source}\n")
    with recording(path) as part:
        try:
            optimizer = OPTIMIZERS[plan.rule](
                atoms, logfile=log, trajectory=part and str(part), **plan.of_optimizer(job.with_cell)
            )
        except ValueError as error:
            raise InvalidStructure(" ".join(str(error).split())) from error
        watch = optimizer.optimizable

        def show() -> None:
            stress = f"  stress {watch.smax:.3g} GPa" if job.with_cell else ""
            calls = f"step {optimizer.nsteps}  calls {watch.force_calls}"
            bar.say(f"{job.formula}  {calls}  fmax {watch.fmax:.3g} eV/A{stress}")

        bar.say(job.formula)
        optimizer.attach(show)  # type: ignore[no-untyped-call]
        try:
            optimizer.run(plan.fmax, plan.steps, smax=plan.smax, timeout=plan.timeout)
        finally:
            job.verdict = optimizer.result
            job.atoms = snapshot(atoms, source=job.source, **verdict(plan, job.verdict))
            done.append(job)
            optimizer.close()  # type: ignore[no-untyped-call]


def verdict(plan: Plan, result: Result) -> dict[str, Any]:
    """Return what a relaxed structure says of itself in the file; nothing of what was not measured."""
    measured = {
        "relax_rule": plan.rule_text,
        "relax_options": plan.options_text,
        "relax_status": result.status,
        "relax_force_calls": result.force_calls,
        "relax_smax": result.smax,
        "relax_volume_ratio": result.volume_ratio,
        "relax_spacegroup_first": result.spacegroup_first,
        "relax_spacegroup_last": result.spacegroup_last,
    }
    if plan.check:
        measured |= {"relax_curvature": result.curvature, "relax_escapes": result.escapes}
    return {k: v for k, v in measured.items() if v != "" and not (isinstance(v, float) and math.isnan(v))}


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Make the end of a batch job (SIGTERM) like Ctrl-C, so that what is done is written."""

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
