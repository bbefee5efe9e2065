"""Relaxing large crystals of copper: force calls, seconds and memory of each optimizer.

    python -m benchmarks.metals --atoms 10000 --atoms 100000 --json OUT --table OUT.md

A cube of fcc copper with one vacancy, every atom displaced at random by ``--rattle`` (A, standard deviation
of each component), is relaxed with ASE's EMT at fixed cell, until no force is above ``--fmax`` or ``--cap``
force calls are made.  Each run has its own process with one thread, and its row is in the file as soon as
it has ended.  With 100,000 atoms a force call takes tens of seconds.

``ase:PreconLBFGS`` uses pyamg to solve for the step where that is installed, as its authors advise; without
it a run takes minutes instead of seconds.  The versions in its row say which.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from benchmarks.common.terminal import (
    Cap,
    JsonFile,
    Optimizers,
    Rattle,
    RattleSeed,
    RenderFile,
    Resume,
    TableFile,
    errors_in_one_line,
    show,
    warn_outdated,
)
from benchmarks.metals.results import SCHEMA, header, row_of
from benchmarks.metals.runs import Task, run_in_process
from benchmarks.metals.tables import page
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.comparison.minimizers.construction import chosen_optimizers
from relax.analysis.comparison.minimizers.names import DEFAULT, PRECON, System

OPTIMIZERS = (DEFAULT, "pair-lbfgs", "lbfgs", "fire", "ase:LBFGS", PRECON, "ase:FIRE")
SIZES = (10_000, 100_000)


def main(
    atoms: Annotated[
        list[int] | None,
        typer.Option(min=32, help="About so many atoms; a table each.  [default: 10000 and 100000]"),
    ] = None,
    optimizers: Optimizers = None,
    rattle: Rattle = 0.05,
    seed: RattleSeed = 1,
    fmax: Annotated[float, typer.Option(min=0, help="Largest force that counts as converged, eV/A.")] = 0.05,
    cap: Cap = 200,
    timeout: Annotated[float, typer.Option(min=1, help="Most seconds of a run, by the clock.")] = 14_400,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    resume: Resume = True,
) -> None:
    """Measure force calls, seconds and memory of optimizers on large crystals of copper."""
    with errors_in_one_line("metals"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen_optimizers(optimizers or [], OPTIMIZERS, System.POSITIONS)
            file = ResultsFile(out, header(rattle, seed, fmax, cap), SCHEMA, resume)
            warn_outdated(file.outdated)
            sizes = dict.fromkeys(atoms or SIZES)
            missing = file.missing((size, name) for size in sizes for name in names)
            tasks = [Task(name, size, rattle, seed, fmax, cap) for size, name in missing]
            results = measure(tasks, file, timeout)
        show(page(results), table, width=200)


def measure(tasks: list[Task], file: ResultsFile, timeout: float) -> Json:
    """Make the runs that are missing, report each on stderr, and return all results."""
    for task in tasks:
        end = run_in_process(task, timeout)
        file.add(row_of(task, end))
        words = f"{end.status}, {end.calls} force calls, {end.seconds or timeout:.0f} s"
        print(f"{task.optimizer}, {task.atoms:,} atoms: {words}", file=sys.stderr)
    return file.save()


if __name__ == "__main__":
    typer.run(main)
