"""Relaxing large crystals of copper: force calls, seconds and memory of each optimizer.

    python -m benchmarks.metals --atoms 10000 --atoms 100000 --json OUT --table OUT.md

A cube of fcc copper with one vacancy, every atom displaced at random by ``--rattle`` (A, standard
deviation of each component), is relaxed with ASE's EMT, its cell held, until no force is above
``--fmax`` or ``--cap`` force calls are made.  Each run has a process of its own with one thread, and its
row is in the file as soon as it has ended.  With 100,000 atoms a force call takes tens of seconds.

``ase:PreconLBFGS`` solves with pyamg where that is installed, as its authors advise, and takes minutes for
what is then seconds where it is not; its row says which.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from benchmarks.metal_results import Json, MetalBook, header, read_results, row_of
from benchmarks.metal_runs import Task, run_apart
from benchmarks.metal_table import COLUMNS, WORDS, as_markdown, failures, notes, tables, title
from benchmarks.position_optimizers import PRECON, chosen
from benchmarks.screen import print_lines, print_table, screen

DEFAULTS = ("pair-lbfgs", "lbfgs", "fire", "ase:LBFGS", PRECON, "ase:FIRE")
SIZES = (10_000, 100_000)


def stop_with(message: object) -> NoReturn:
    print("metals: " + " ".join(str(message).split()), file=sys.stderr)
    raise typer.Exit(2)


def show(results: Json) -> None:
    """Print the tables."""
    console = screen(200)
    for atoms, rows in tables(results).items():
        plain = [[cell.strip("`") for cell in cells] for cells in rows]
        print_table(console, title(results, atoms), COLUMNS, plain, WORDS)
    print_lines(console, (f"failed: {line}" for line in failures(results)))
    print_lines(console, [notes(results)])


def main(
    atoms: Annotated[
        list[int] | None,
        typer.Option(min=32, help="About so many atoms; a table each.  [default: 10000 and 100000]"),
    ] = None,
    optimizers: Annotated[
        list[str] | None,
        typer.Option(help="Names with commas between, settings after a colon: core:s_0=0.1,ase:FIRE."),
    ] = None,
    rattle: Annotated[float, typer.Option(min=0, help="Displace the atoms by this, A.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --rattle.")] = 1,
    fmax: Annotated[float, typer.Option(min=0, help="Largest force that counts as converged, eV/A.")] = 0.05,
    cap: Annotated[int, typer.Option(min=1, help="Most force calls of a run.")] = 200,
    timeout: Annotated[float, typer.Option(min=1, help="Most seconds of a run, by the clock.")] = 14_400,
    out: Annotated[Path | None, typer.Option("--json", help="File of results, written row by row.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    render: Annotated[Path | None, typer.Option(help="Only show the tables of this file of results.")] = None,
    resume: Annotated[bool, typer.Option(help="Take over rows of --json that are up to date.")] = True,
) -> None:
    """Measure force calls, seconds and memory of optimizers on large crystals of copper."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if render is not None:
            results = read_results(render)
        else:
            names = chosen(optimizers or [], DEFAULTS)
            book = MetalBook(out, header(rattle, seed, fmax, cap), resume)
            if book.stale:
                print(f"not taken over, for it has changed since: {', '.join(book.stale)}", file=sys.stderr)
            sizes = list(dict.fromkeys(atoms or SIZES))
            tasks = [Task(name, size, rattle, seed, fmax, cap) for size in sizes for name in names]
            results = measure([t for t in tasks if (t.atoms, t.optimizer) not in book.rows], book, timeout)
        show(results)
        if table is not None:
            table.write_text(as_markdown(results))
    except (ValueError, OSError) as error:
        stop_with(error)


def measure(tasks: list[Task], book: MetalBook, timeout: float) -> Json:
    """Make the runs that are not there yet, saying so on stderr, and return all results."""
    for task in tasks:
        end = run_apart(task, timeout)
        book.add(row_of(task, end))
        words = f"{end.status}, {end.calls} force calls, {end.seconds or timeout:.0f} s"
        print(f"{task.optimizer}, {task.atoms:,} atoms: {words}", file=sys.stderr)
    return book.save()


if __name__ == "__main__":
    typer.run(main)
