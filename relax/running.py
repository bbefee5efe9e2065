"""What ``relax run`` does: read, check, relax one by one, write.

Nothing is imported before it is needed, since the command line imports this to show its help.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

    from relax.result import Result
    from relax.screens import Bar

__all__ = ["BAD_INPUT", "OK", "UNCONVERGED", "Fault", "Job", "Plan", "Refusal", "complain", "relax_all"]

OK, UNCONVERGED, BAD_INPUT = 0, 1, 2
"""Exit codes."""


class Refusal(Exception):
    """The command cannot go on; the message is the one line that says why."""


def complain(message: str) -> None:
    """Say one line on standard error."""
    print(f"relax: {message}", file=sys.stderr)


@dataclass
class Plan:
    """What a ``relax run`` was asked for."""

    files: list[str]
    calculator: str
    rule: str
    settings: dict[str, Any]
    cell: bool
    fmax: float
    steps: int
    output: str | None
    trajectory: str | None
    logfile: str | None

    @property
    def rule_text(self) -> str:
        """The rule and its settings, as on the command line."""
        return " ".join([self.rule, *(f"{k}={v}" for k, v in self.settings.items())])

    def check(self) -> None:
        """Raise Refusal for what is wrong whatever the files hold."""
        from relax.calculators import CalculatorError, check_name

        if not (math.isfinite(self.fmax) and self.fmax > 0):
            raise Refusal(f"--fmax is to be a number above 0, not {self.fmax:g}")
        if self.steps < 0:
            raise Refusal(f"--steps is to be 0 or more, not {self.steps}")
        try:
            check_name(self.calculator)
        except CalculatorError as error:
            raise Refusal(str(error)) from None
        inputs = {os.path.realpath(file): file for file in self.files}
        taken: dict[str, str] = {}
        for option, path in self.written():
            real = os.path.realpath(path)
            if real in inputs:
                raise Refusal(f"{option} {path} would overwrite an input file")
            if real in taken:
                raise Refusal(f"{taken[real]} and {option} are the same file, {path}")
            taken[real] = option
            folder = Path(real).parent
            if not folder.is_dir():
                raise Refusal(f"{option} {path}: there is no folder {folder}")
            if not os.access(folder, os.W_OK):
                raise Refusal(f"{option} {path}: {folder} is closed for writing")

    def written(self) -> Iterator[tuple[str, str]]:
        """Yield the options that name something to write, and what they name."""
        options = (("--output", self.output), ("--trajectory", self.trajectory), ("--logfile", self.logfile))
        yield from ((option, path) for option, path in options if path is not None)


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
    from relax.structures import StructureError, check, read

    jobs, faults = [], []
    for file in plan.files:
        try:
            frames = read(file)
        except StructureError as error:
            faults.append(fault(file, None, file, str(error)))
            continue
        for frame, atoms in enumerate(frames):
            source = f"{file}#{frame}" if len(frames) > 1 else file
            try:
                check(atoms)
            except StructureError as error:
                faults.append(fault(file, frame, source, str(error)))
                continue
            with_cell = plan.cell and bool(atoms.pbc.all()) and bool(atoms.cell.rank == 3)
            if plan.cell and not with_cell:
                complain(f"{source}: not periodic in three directions, its cell is kept")
            jobs.append(Job(file, frame, atoms, source, with_cell))
    return jobs, faults


def fault(file: str, frame: int | None, source: str, reason: str) -> Fault:
    """Complain of a structure, and return what to remember."""
    complain(f"{source}: {reason}")
    return Fault(file, frame, reason)


def relax_all(plan: Plan) -> tuple[list[Job], list[Fault], int]:
    """Do what ``plan`` says; return what was relaxed, what could not be, and the exit code."""
    from relax.calculators import CalculatorError, load, unsupported
    from relax.screens import progress
    from relax.structures import StructureError, write

    jobs, faults = gather(plan)
    if not jobs:
        return [], faults, BAD_INPUT
    paths = trajectories(plan, jobs)
    if plan.output:
        try:
            write(plan.output, [job.atoms for job in jobs], rehearse=True)
        except StructureError as error:
            raise Refusal(f"--output {plan.output}: {error}") from error

    done: list[Job] = []
    stopped = 0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(terminating())
            log = stack.enter_context(opened(plan.logfile)) if plan.logfile else None
            bar = stack.enter_context(progress())
            bar.say(f"loading {plan.calculator}")
            try:
                calculator = load(plan.calculator)
            except CalculatorError as error:
                raise Refusal(str(error)) from error
            bar.start(len(jobs))
            for job, path in zip(jobs, paths, strict=True):
                if why := unsupported(calculator, job.atoms):
                    faults.append(fault(job.file, job.frame, job.source, why))
                else:
                    relax_one(plan, job, calculator, path, log, bar, done)
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
    from relax.structures import StructureError, write

    if plan.output and done:
        try:
            write(plan.output, [job.atoms for job in done])
        except StructureError as error:  # not the end: the table is still to be printed
            complain(f"--output {plan.output}: {error}")
            return False
    return True


def opened(path: str) -> IO[str]:
    """Open a log file for writing, line by line."""
    try:
        return open(path, "w", buffering=1)
    except OSError as error:
        raise Refusal(f"--logfile {path}: {error.strerror}") from None


def relax_one(
    plan: Plan, job: Job, calculator: Any, path: Path | None, log: Any, bar: Bar, done: list[Job]
) -> None:
    """Relax one structure, and add it to ``done`` however it ends; its atoms become the relaxed ones."""
    from ase.filters import FrechetCellFilter

    from relax.optimizers import OPTIMIZERS
    from relax.structures import snapshot

    atoms = job.atoms
    # An equal structure relaxed before would otherwise leave its answers, and no call be counted.
    if hasattr(calculator, "reset"):
        calculator.reset()
    atoms.calc = calculator
    if log:
        log.write(f"# {job.source}\n")
    with recording(path) as part:
        optimizer = OPTIMIZERS[plan.rule](
            FrechetCellFilter(atoms) if job.with_cell else atoms,
            logfile=log,
            trajectory=None if part is None else str(part),
            **plan.settings,
        )

        def show() -> None:
            now = optimizer.result
            bar.say(f"{job.formula}  step {now.steps}  calls {now.force_calls}  fmax {now.fmax:.3g}")

        bar.say(job.formula)
        optimizer.attach(show)  # type: ignore[no-untyped-call]
        try:
            optimizer.run(plan.fmax, plan.steps)
        finally:
            job.verdict = optimizer.result
            job.atoms = snapshot(
                atoms,
                source=job.source,
                relax_rule=plan.rule_text,
                relax_status=job.verdict.status,
                relax_force_calls=job.verdict.force_calls,
            )
            done.append(job)
            optimizer.close()  # type: ignore[no-untyped-call]


def trajectories(plan: Plan, jobs: list[Job]) -> list[Path | None]:
    """Return where the trajectory of each structure goes, making the folder where one is asked for."""
    if plan.trajectory is None:
        return [None] * len(jobs)
    target = Path(plan.trajectory)
    if target.suffix == ".traj" and not target.is_dir():
        if len(jobs) > 1:
            raise Refusal(f"--trajectory {target}: there are {len(jobs)} structures, name a folder for them")
        return [target]
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise Refusal(f"--trajectory {target}: {error.strerror}") from None
    inputs = {os.path.realpath(file) for file in plan.files}
    paths: list[Path | None] = []
    for job in jobs:
        stem = Path(job.source).name.replace("#", "-")
        path, n = target / f"{stem}.traj", 1
        while path in paths:
            n += 1
            path = target / f"{stem}-{n}.traj"
        if os.path.realpath(path) in inputs:
            raise Refusal(f"--trajectory {target}: {path} would overwrite an input file")
        paths.append(path)
    return paths


@contextlib.contextmanager
def recording(path: Path | None) -> Iterator[Path | None]:
    """Lend a file beside ``path`` to write a trajectory to, and move it there at the end."""
    if path is None:
        yield None
        return
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
    finally:
        from ase.io.trajectory import Trajectory

        frames = 0
        with contextlib.suppress(Exception), Trajectory(part) as written:
            frames = len(written)
        if frames:
            os.replace(part, path)
        else:
            part.unlink(missing_ok=True)


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
