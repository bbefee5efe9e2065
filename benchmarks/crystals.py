"""Relaxing crystals, atoms and cell, by the protocol of Matbench Discovery: what each optimizer needs.

    python -m benchmarks.crystals --wbm-like 100 --seed 1 --calculator chgnet --json OUT --jobs 2

A run ends when no row of forces and cell gradient is above ``--fmax``, or at ``--cap`` force calls.  All
optimizers start from the same structures: as they are, and with every atom displaced at random by
``--rattle`` (A, standard deviation of each component), for many starts are symmetric and no minimum, so
that the first table shows who leaves a saddle point and the second who is fast.
:mod:`benchmarks.crystal_runs` says when a run has failed, :mod:`benchmarks.crystal_statistics` what is
made of the runs, :mod:`benchmarks.crystal_results` what is in the files.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from ase import Atoms

from benchmarks import processes
from benchmarks.crystal_optimizers import DEFAULTS, check_optimizer, split_names
from benchmarks.crystal_results import Journal, Json, Key, Protocol, header, read_results
from benchmarks.crystal_runs import End, Group, group_of, run
from benchmarks.crystal_starts import Source, bare, check, known_elements, rattled
from benchmarks.crystal_table import as_markdown, failures, notes, tables, title
from benchmarks.profiles import draw
from benchmarks.screen import print_lines, print_table, screen
from benchmarks.wbm import CORRECTED, read_references
from relax.calculators.registry import load

RATTLES = (0.0, 0.05)


class Task(NamedTuple):
    """One run, to be made in a process of its own."""

    key: Key
    start: Atoms
    before: Group
    fmax: float
    cap: int


CALCULATOR: list[Any] = []
"""The calculator of this process."""


def begin(calculator: str) -> None:
    """Make a process ready to run tasks."""
    processes.leave_interrupts()
    CALCULATOR[:] = [load(calculator)]
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def work(task: Task) -> tuple[Key, End]:
    """Run a task."""
    return task.key, run(task.key.optimizer, task.start, task.before, CALCULATOR[0], task.fmax, task.cap)


def in_processes(tasks: list[Task], calculator: str, jobs: int) -> Iterator[tuple[Key, End]]:
    """Yield the end of each run when it is there."""
    return processes.in_processes(work, tasks, jobs, begin, (calculator,))


def follow(tasks: list[Task], calculator: str, jobs: int) -> Iterator[tuple[Key, End]]:
    """Yield the ends of the runs, saying on stderr how far they are."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("crystals", total=len(tasks))
        for done, (key, end) in enumerate(in_processes(tasks, calculator, jobs), 1):
            progress.advance(bar)
            if not console.is_terminal and (done % max(len(tasks) // 20, 1) == 0 or done == len(tasks)):
                print(f"{done} of {len(tasks)} runs", file=sys.stderr)
            yield key, end


def stop_with(message: object) -> NoReturn:
    print("crystals: " + " ".join(str(message).split()), file=sys.stderr)
    raise typer.Exit(2)


def show(results: Json) -> None:
    """Print the tables."""
    console = screen()
    for rattle, (titles, rows) in tables(results).items():
        print_table(console, title(results, rattle), titles, rows)
        print_lines(console, (f"failed: {line}" for line in failures(results, rattle)))
    print_lines(console, [notes(results)])


def main(
    structures: Annotated[Path | None, typer.Option(help="File of crystals, any that ASE reads.")] = None,
    wbm_like_n: Annotated[
        int | None, typer.Option("--wbm-like", min=1, help="Make so many crystals like WBM's.")
    ] = None,
    wbm: Annotated[Path | None, typer.Option(help="wbm-initial-atoms.extxyz.zip.")] = None,
    ids: Annotated[str, typer.Option(help="Materials of --wbm: a file, or a list with commas.")] = "",
    summary: Annotated[Path | None, typer.Option(help="wbm-summary.csv.gz, for reference energies.")] = None,
    largest: Annotated[int, typer.Option(min=1, help="Most atoms of --wbm-like.")] = 8,
    smallest: Annotated[int, typer.Option(min=1, help="Fewest atoms of --wbm-like.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --wbm-like and --rattle.")] = 1,
    rattle: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Displace the atoms by this, A; a table each.  [default: 0 and 0.05]"),
    ] = None,
    calculator: Annotated[str, typer.Option(help="As for relax run.")] = "chgnet",
    optimizers: Annotated[
        list[str] | None,
        typer.Option(help="Names with commas between, settings after a colon: core:s_0=0.1,ase:FIRE."),
    ] = None,
    fmax: Annotated[float, typer.Option(min=0, help="Largest row that counts as converged, eV/A.")] = 0.05,
    cap: Annotated[int, typer.Option(min=1, help="Most force calls of a run.")] = 500,
    out: Annotated[Path | None, typer.Option("--json", help="File of results.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write performance profiles to this, .png and .svg.  [default: by --json]"),
    ] = None,
    render: Annotated[Path | None, typer.Option(help="Only show the tables of this file of results.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    take: Annotated[
        list[Path] | None, typer.Option(help="Take over the runs of this file of results too; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Take over runs of --json that are up to date.")] = True,
) -> None:
    """Count the force calls that optimizers take to relax crystals, and look at where they end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if render is not None:
            results = read_results(render)
        else:
            names = split_names(optimizers or []) or list(DEFAULTS)
            for name in names:
                check_optimizer(name)
            source = Source(structures, wbm_like_n, wbm, ids, largest, smallest)
            crystals, elements = prepare(source, seed, calculator)
            kind = "corrected" if calculator in CORRECTED else "uncorrected"
            reference = (
                read_references(summary, [c.info["name"] for c in crystals], kind == "corrected")
                if summary
                else []
            )
            protocol = Protocol(source.words, calculator, fmax, cap, seed, elements, reference, kind)
            rattles = rattle or ((0.0,) if wbm is not None else RATTLES)
            journal = Journal(out, header(crystals, protocol), resume, take or ())
            results = measure(crystals, protocol, names, rattles, journal, jobs)
        show(results)
        if table is not None:
            table.write_text(as_markdown(results))
        if plot is not None or out is not None:
            draw(results, plot or out.with_suffix(""))
    except (ValueError, OSError, BrokenProcessPool) as error:
        stop_with(error)


def prepare(source: Source, seed: int, calculator: str) -> tuple[list[Atoms], list[str]]:
    """Return the crystals, and the elements they had to be of where the calculator does not know all."""
    loaded = load(calculator)
    elements = known_elements(loaded) if source.wbm_like is not None else []
    crystals = bare(source.read(seed, elements))
    check(crystals, loaded)
    if elements:
        print(f"crystals of what {calculator} knows: {', '.join(elements)}", file=sys.stderr)
    return crystals, elements


def measure(
    crystals: list[Atoms],
    protocol: Protocol,
    names: list[str],
    rattles: Sequence[float],
    journal: Journal,
    jobs: int,
) -> Json:
    """Make the runs that are not there yet, and return all results."""
    if journal.stale:
        print(f"not taken over, for it has changed since: {', '.join(journal.stale)}", file=sys.stderr)
    groups = [group_of(atoms) for atoms in crystals]
    tasks = [
        Task(key, rattled(atoms, rattle, protocol.seed, i), groups[i], protocol.fmax, protocol.cap)
        for rattle in rattles
        for i, atoms in enumerate(crystals)
        for name in names
        if (key := Key(rattle, name, atoms.info["name"])) not in journal.runs
    ]
    if tasks:
        with closing(follow(tasks, protocol.calculator, jobs)) as ends:
            for key, end in ends:
                journal.add(key, end)
    return journal.save()


if __name__ == "__main__":
    typer.run(main)
