"""Relaxing the molecules of the G2 set, each free and alone: what each optimizer needs.

    python -m benchmarks.molecules --calculator xtb --json OUT --table OUT.md

All optimizers have the same starts: every atom is displaced at random by ``--rattle`` (A, standard deviation
of each component).  A run ends when no force is above ``--fmax``, a table each, or at ``--cap`` force calls.
``xtb`` is GFN2-xTB (``pip install "relax[xtb]"``), with the number of unpaired electrons in the set; ``emt``
is for trying things out.  :mod:`benchmarks.molecules.starts` says which molecules are left out,
:mod:`benchmarks.molecules.runs` when a run has failed, :mod:`benchmarks.common.statistics` what is computed
from the runs.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing
from typing import Annotated

import typer

from benchmarks.common import processes
from benchmarks.common.optimizer_names import PRECON, TUNED_PRECON, System
from benchmarks.common.optimizers import chosen_optimizers
from benchmarks.common.results_file import Json, ResultsFile
from benchmarks.common.statistics import capped_calls
from benchmarks.common.terminal import (
    Cap,
    Jobs,
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
from benchmarks.molecules.results import SCHEMA, header, row_of
from benchmarks.molecules.runs import Done, Task, run_task
from benchmarks.molecules.starts import load, molecules
from benchmarks.molecules.tables import page

OPTIMIZERS = (
    "pair-lbfgs", "lbfgs", "frankenstein", "core", "fire",
    "ase:BFGS", "ase:GoodOldQuasiNewton", "ase:BFGSLineSearch", "ase:LBFGS", "ase:FIRE", PRECON, TUNED_PRECON,
)  # fmt: skip
FMAXES = (0.05, 0.01)


def in_processes(tasks: list[Task], jobs: int) -> Generator[Done]:
    """Yield each task when it is complete."""
    return processes.in_processes(run_task, tasks, jobs)


def main(
    calculator: Annotated[str, typer.Option(help="xtb or emt.")] = "xtb",
    only: Annotated[str, typer.Option(help="Molecules of the set, with commas.  [default: all]")] = "",
    rattle: Rattle = 0.1,
    seed: RattleSeed = 1,
    fmax: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Largest force that counts as converged, eV/A.  [default: 0.05 and 0.01]"),
    ] = None,
    cap: Cap = 500,
    optimizers: Optimizers = None,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    jobs: Jobs = 1,
    resume: Resume = True,
) -> None:
    """Count the force calls that optimizers take to relax molecules, and examine where they end."""
    with errors_in_one_line("molecules"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen_optimizers(optimizers or [], OPTIMIZERS, System.POSITIONS)
            wanted = [word for word in (word.strip() for word in only.split(",")) if word]
            found = molecules(load(calculator), rattle, seed, wanted)
            head = header(found, calculator, rattle, seed, cap, ",".join(wanted))
            file = ResultsFile(out, head, SCHEMA, resume)
            warn_outdated(file.outdated)
            tasks = [
                Task(name, largest, calculator, cap, found.starts, found.geometries)
                for largest, name in file.missing((f, name) for f in fmax or FMAXES for name in names)
            ]
            results = measure(tasks, file, jobs)
        show(page(results), table)


def measure(tasks: list[Task], file: ResultsFile, jobs: int) -> Json:
    """Make the runs that are missing, report each row on stderr, and return all results."""
    if tasks:
        with closing(in_processes(tasks, jobs)) as done:
            for task, ends, seconds in done:
                row = row_of(file.header, task.optimizer, task.fmax, ends)
                file.add(row)
                words = f"mean {capped_calls(row, task.cap).mean():.1f}, {seconds:.0f} s"
                print(f"{task.optimizer}, fmax {task.fmax:g}: {words}", file=sys.stderr)
    return file.save()


if __name__ == "__main__":
    typer.run(main)
