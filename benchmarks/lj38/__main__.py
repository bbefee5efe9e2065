"""LJ38, the minimization benchmark of OptBench: force calls from 1000 random clusters.

    python -m benchmarks.lj38 --n 1000 --seed 38 --optimizers core,ase:FIRE --json OUT --table OUT.md

The starts, the criterion and the cap are those of OptBench.  Force calls are counted at the energy, the
first one included.  A run that has not converged, that raised an exception, or whose cluster is not bound
any more (forces vanish at infinity) has failed and is counted at the cap.  :mod:`benchmarks.lj38.baselines`
says when other packages' optimizers stop, :mod:`benchmarks.lj38.results` what is in the file of results.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.common.terminal import (
    Jobs,
    JsonFile,
    Optimizers,
    RenderFile,
    Resume,
    TableFile,
    errors_in_one_line,
    print_plain,
    print_table,
    progress,
    warn_outdated,
    wide_console,
)
from benchmarks.lj38 import clusters
from benchmarks.lj38.results import SCHEMA, header, row_of
from benchmarks.lj38.runs import parts_of, run_all
from benchmarks.lj38.tables import COLUMNS, as_markdown, table_rows
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.comparison.minimizers.construction import chosen_optimizers
from relax.analysis.comparison.minimizers.names import ALIASES, DEFAULT, System, known_optimizers

CORES = os.cpu_count() or 1
OPTIMIZERS = [name for name in known_optimizers(System.CLUSTERS) if name != ALIASES[DEFAULT]]
"""All, and the rule that is the default once only, as ``default``."""


def show(results: Json) -> None:
    """Print the table."""
    columns = COLUMNS[: COLUMNS.index("published mean") + 1]
    rows = [cells[: len(columns)] for cells in table_rows(results)]
    print_table(wide_console(120), f"LJ38, force calls, {results['n']} clusters", columns, rows)


def main(
    n: Annotated[int | None, typer.Option(min=1, help="Clusters.  [default: 1000, or all of FILE]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random clusters.")] = 38,
    optimizers: Optimizers = None,
    start: Annotated[Path | None, typer.Option(help="File of starts, in place of random clusters.")] = None,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    jobs: Jobs = CORES,
    resume: Resume = True,
) -> None:
    """Count the force calls that optimizers take to relax random clusters of 38 Lennard-Jones atoms."""
    with errors_in_one_line("lj38"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen_optimizers(optimizers or [], OPTIMIZERS, System.CLUSTERS)
            results = run(n, seed, names, start, out, jobs, resume)
        show(results)
        if table is not None:
            table.write_text(as_markdown(results))


def run(
    n: int | None,
    seed: int,
    names: list[str],
    start: Path | None,
    out: Path | None,
    jobs: int,
    resume: bool,
) -> Json:
    """Compute the rows that are missing, and return all results."""
    starts = clusters.random_clusters(n or 1000, seed) if start is None else clusters.read_starts(start, n)
    file = ResultsFile(out, header(starts, seed, start), SCHEMA, resume)
    warn_outdated(file.outdated)
    missing = file.missing(names)
    if missing:
        compute(missing, starts, jobs, file)
    return file.save()


def compute(names: list[str], starts: np.ndarray, jobs: int, file: ResultsFile) -> None:
    """Compute the rows of optimizers, and report each on stderr."""
    total = sum(len(parts_of(name, starts)) for name in names)
    with progress("LJ38", total) as (console, advance), closing(run_all(names, starts, jobs)) as runs:
        for done in runs:
            advance()
            if done is not None:
                row = row_of(done)
                file.add(row)
                text = f"{row['optimizer']}: mean {row['mean']:.1f}, failed {row['failed']}"
                print_plain(console, [f"{text}, {row['seconds']:.0f} s"])


if __name__ == "__main__":
    typer.run(main)
