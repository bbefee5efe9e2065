"""Relaxing the molecules of the G2 set, each free and alone: what each optimizer needs.

    python -m benchmarks.molecules --calculator xtb --json OUT --table OUT.md

All optimizers start from the same structures: every atom displaced at random by ``--rattle`` (A, standard
deviation of each component).  A run ends when no force is above ``--fmax``, a table each, or at ``--cap``
force calls.  ``xtb`` is GFN2-xTB (``pip install "relax[xtb]"``), with as many unpaired electrons as the
set says; ``emt`` is there to try things out.  :mod:`benchmarks.molecule_starts` says which molecules are
left out, :mod:`benchmarks.molecule_runs` when a run has failed, :mod:`benchmarks.crystal_statistics` what
is made of the runs.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer
from ase import Atoms

from benchmarks import processes
from benchmarks.crystal_statistics import scored
from benchmarks.molecule_results import Json, MoleculeBook, header, read_results, row_of
from benchmarks.molecule_runs import End, run
from benchmarks.molecule_starts import BONDED, load, molecules
from benchmarks.molecule_table import as_markdown, notes, sheets, title, why_failed
from benchmarks.position_optimizers import PRECON, TUNED, chosen
from benchmarks.screen import print_lines, print_table, screen

DEFAULTS = (
    "pair-lbfgs", "lbfgs", "frankenstein", "core", "fire",
    "ase:BFGS", "ase:GoodOldQuasiNewton", "ase:BFGSLineSearch", "ase:LBFGS", "ase:FIRE", PRECON, TUNED,
)  # fmt: skip
FMAXES = (0.05, 0.01)


class Task(NamedTuple):
    """All runs of one optimizer, to be made in a process."""

    optimizer: str
    fmax: float
    calculator: str
    cap: int
    starts: list[Atoms]
    geometries: list[Atoms]


class Done(NamedTuple):
    """How they ended, and the seconds they took."""

    task: Task
    ends: list[End]
    seconds: float


def work(task: Task) -> Done:
    """Make the runs of one optimizer."""
    began, calculator = time.perf_counter(), load(task.calculator)
    ends = [
        run(task.optimizer, start, geometry, calculator, task.fmax, task.cap, BONDED[task.calculator])
        for start, geometry in zip(task.starts, task.geometries, strict=True)
    ]
    return Done(task, ends, time.perf_counter() - began)


def in_processes(tasks: list[Task], jobs: int) -> Generator[Done]:
    """Yield what is done when it is."""
    return processes.in_processes(work, tasks, jobs)


def stop_with(message: object) -> NoReturn:
    print("molecules: " + " ".join(str(message).split()), file=sys.stderr)
    raise typer.Exit(2)


def show(results: Json) -> None:
    """Print the tables."""
    console = screen()
    for fmax, (titles, rows) in sheets(results).items():
        print_table(console, title(results, fmax), titles, rows)
        print_lines(console, (f"failed: {line}" for line in why_failed(results, fmax)))
    print_lines(console, [notes(results)])


def main(
    calculator: Annotated[str, typer.Option(help="xtb or emt.")] = "xtb",
    only: Annotated[str, typer.Option(help="Molecules of the set, with commas.  [default: all]")] = "",
    rattle: Annotated[float, typer.Option(min=0, help="Displace the atoms by this, A.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --rattle.")] = 1,
    fmax: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Largest force that counts as converged, eV/A.  [default: 0.05 and 0.01]"),
    ] = None,
    cap: Annotated[int, typer.Option(min=1, help="Most force calls of a run.")] = 500,
    optimizers: Annotated[
        list[str] | None,
        typer.Option(help="Names with commas between, settings after a colon: core:s_0=0.1,ase:FIRE."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="File of results, written row by row.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    render: Annotated[Path | None, typer.Option(help="Only show the tables of this file of results.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[bool, typer.Option(help="Take over rows of --json that are up to date.")] = True,
) -> None:
    """Count the force calls that optimizers take to relax molecules, and look at where they end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if render is not None:
            results = read_results(render)
        else:
            names = chosen(optimizers or [], DEFAULTS)
            wanted = [word for word in (word.strip() for word in only.split(",")) if word]
            found = molecules(load(calculator), rattle, seed, wanted)
            book = MoleculeBook(out, header(found, calculator, rattle, seed, cap, ",".join(wanted)), resume)
            if book.stale:
                print(f"not taken over, for it has changed since: {', '.join(book.stale)}", file=sys.stderr)
            tasks = [
                Task(name, largest, calculator, cap, found.starts, found.geometries)
                for largest in fmax or FMAXES
                for name in names
                if (largest, name) not in book.rows
            ]
            results = measure(tasks, book, jobs)
        show(results)
        if table is not None:
            table.write_text(as_markdown(results))
    except (ValueError, OSError, BrokenProcessPool) as error:
        stop_with(error)


def measure(tasks: list[Task], book: MoleculeBook, jobs: int) -> Json:
    """Make the runs that are not there yet, saying so on stderr, and return all results."""
    if tasks:
        with closing(in_processes(tasks, jobs)) as done:
            for task, ends, seconds in done:
                row = row_of(book.head, task.optimizer, task.fmax, ends)
                book.add(row)
                words = f"mean {scored(row, task.cap).mean():.1f}, {seconds:.0f} s"
                print(f"{task.optimizer}, fmax {task.fmax:g}: {words}", file=sys.stderr)
    return book.save()


if __name__ == "__main__":
    typer.run(main)
