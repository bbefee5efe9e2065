"""LJ38, OptBench's minimization benchmark: force calls of an optimizer from 1000 random clusters.

    python -m benchmarks.lj38 --n 1000 --seed 38 --optimizers core,ase:FIRE --json OUT --table OUT.md

The generator, the stop and the cap are OptBench's.  Force calls are counted at the calculator, the
first included.  A run that has not converged, that raised an error, or whose cluster is no longer bound
(forces vanish at infinity) has failed and is scored at the cap.  :mod:`benchmarks.ase_runs` says when
other packages' optimizers stop, :mod:`benchmarks.lj38_results` what is in the JSON.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer

from benchmarks import clusters
from benchmarks.lj38_results import (
    CAP,
    STOP,
    Json,
    add_row,
    header,
    identity,
    read_results,
    row_of,
    same_benchmark,
)
from benchmarks.lj38_table import COLUMNS, as_markdown, table_rows
from benchmarks.lockstep import Ends
from benchmarks.optimizers import check_optimizer, is_foreign, known_optimizers, run_optimizer

PART, FOREIGN_PART = 200, 20
"""Clusters a process takes at a time: of our rules, which advance together, and of the others."""


def work(task: tuple[str, int, np.ndarray]) -> tuple[str, int, Ends, float]:
    """Run an optimizer on a part of the clusters, in a process of its own."""
    name, part, starts = task
    began = time.perf_counter()
    ends = run_optimizer(name, starts, STOP, CAP)
    return name, part, ends, time.perf_counter() - began


def parts_of(name: str, starts: np.ndarray) -> list[tuple[str, int, np.ndarray]]:
    size = FOREIGN_PART if is_foreign(name) else PART
    return [(name, i, starts[cut : cut + size]) for i, cut in enumerate(range(0, len(starts), size))]


def run_rows(names: list[str], starts: np.ndarray, jobs: int) -> Generator[Json | None]:
    """Yield the row of each optimizer when it is done, and None for every part done before that."""
    tasks = [task for name in names for task in parts_of(name, starts)]
    missing = Counter(name for name, _, _ in tasks)
    done: dict[str, dict[int, tuple[Ends, float]]] = {name: {} for name in names}
    # One thread each: results of linear algebra, and so paths, may depend on the number of threads.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # Interrupts are for the parent, which ends its children.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(jobs, signal.signal, ignore) as pool:
        for name, part, ends, seconds in pool.imap_unordered(work, tasks):
            done[name][part] = ends, seconds
            if len(done[name]) < missing[name]:
                yield None
                continue
            parts = [done[name][i] for i in range(missing[name])]
            whole = Ends(*(np.concatenate(columns) for columns in zip(*(e for e, _ in parts), strict=True)))
            yield row_of(name, whole, sum(seconds for _, seconds in parts))
            del done[name]


def read_starts(path: Path, n: int | None) -> np.ndarray:
    """Return the first ``n`` clusters of a file, all if None.  Raises ValueError where there are none."""
    try:
        starts = clusters.read_clusters(path)
    except Exception as error:  # ASE's readers raise whatever their formats make them
        raise ValueError(f"cannot read clusters from {path}: {str(error) or type(error).__name__}") from None
    if starts.ndim != 3 or starts.shape[2] != 3 or len(starts) == 0 or not np.isfinite(starts).all():
        raise ValueError(f"{path} has no clusters: an array of shape {starts.shape}, not (n, atoms, 3)")
    if n is not None and n > len(starts):
        raise ValueError(f"{path} has {len(starts)} clusters, and --n asks for {n}")
    return starts[:n]


def stop_with(message: object) -> NoReturn:
    print("lj38: " + " ".join(str(message).split()), file=sys.stderr)
    raise typer.Exit(2)


def show(results: Json) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"LJ38, force calls, {results['n']} clusters")
    shown = COLUMNS[: COLUMNS.index("published mean") + 1]
    for column in shown:
        table.add_column(column, justify="left" if column == "optimizer" else "right", overflow="fold")
    for cells in table_rows(results):
        table.add_row(*cells[: len(shown)])
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # in a file or a pipe the table is as wide as it must be
    console.print(table)


def follow(names: list[str], starts: np.ndarray, jobs: int) -> Iterator[Json]:
    """Yield the rows as they are done, saying so on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("LJ38", total=sum(len(parts_of(name, starts)) for name in names))
        with closing(run_rows(names, starts, jobs)) as rows:
            for row in rows:
                progress.advance(task)
                if row is not None:
                    text = f"{row['optimizer']}: mean {row['mean']:.1f}, failed {row['failed']}"
                    console.print(
                        f"{text}, {row['seconds']:.0f} s", markup=False, emoji=False, highlight=False
                    )
                    yield row


def main(
    n: Annotated[int | None, typer.Option(min=1, help="Clusters.  [default: 1000, or all of FILE]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 38,
    optimizers: Annotated[str, typer.Option(help="Names with commas between.  [default: all]")] = "",
    start: Annotated[Path | None, typer.Option(help="File of starts, in place of the generator.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="File of results, written row by row.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    render: Annotated[Path | None, typer.Option(help="Only show the table of this file of results.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    resume: Annotated[bool, typer.Option(help="Take over rows of --json that are up to date.")] = True,
) -> None:
    """Count the force calls that optimizers take to relax random clusters of 38 Lennard-Jones atoms."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if render is not None:
            results = read_results(render)
        else:
            results = run(n, seed, optimizers, start, out, jobs, resume)
        show(results)
        if table is not None:
            table.write_text(as_markdown(results))
    except (ValueError, OSError) as error:
        stop_with(error)


def run(
    n: int | None, seed: int, optimizers: str, start: Path | None, out: Path | None, jobs: int, resume: bool
) -> Json:
    """Run what is asked for and return all results.  Raises ValueError where it cannot be."""
    words = (name.strip() for name in optimizers.split(","))
    names = list(dict.fromkeys(name for name in words if name)) or known_optimizers()
    for name in names:
        check_optimizer(name)
    starts = clusters.random_clusters(n or 1000, seed) if start is None else read_starts(start, n)
    head, rows, kept = header(starts, seed, start), [], []
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and resume:
            found = read_results(out)
            if not same_benchmark(found, head):
                raise ValueError(
                    f"{out} holds results from other starts or another protocol; --no-resume replaces them"
                )
            kept = [
                row["optimizer"]
                for row in found["rows"]
                if row["optimizer"] in names and row | identity(row["optimizer"]) == row
            ]
    todo = [name for name in names if name not in kept]
    for row in follow(todo, starts, jobs) if todo else ():
        rows.append(row)
        if out is not None:
            add_row(out, head, row)
    return head | {"rows": rows} if out is None else read_results(out)


if __name__ == "__main__":
    typer.run(main)
