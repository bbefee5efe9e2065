"""Polycrystals of the alloy CoNiCrFeMn: where optimizers end, and what they need.

    python -m benchmarks.alloy --atoms 10000 --grains 4 --grains 16 --seed 1 --json OUT --table OUT.md

As table 3 and figure 6 of the Frankenstein paper (arXiv:2503.02147), on smaller boxes, made here: Voronoi
grains of fcc in random orientations, with LAMMPS's 2NN-MEAM and the parameters of ``data/hea``.  Optimizers
of relax run through ASE on :class:`benchmarks.alloy.library.AlloyCalculator`; ``lammps:fire``,
``lammps:cg`` and ``lammps:hftn`` are those of LAMMPS, with its defaults.  All end at the first force call at
which no force is above ``--fmax``.  Each run is in the file as soon as it has ended.
``pip install "relax[alloy]"`` has what this needs.
"""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.alloy.boxes import Box
from benchmarks.alloy.figure import draw
from benchmarks.alloy.library import load_library
from benchmarks.alloy.methods import chosen
from benchmarks.alloy.results import SCHEMA, header, row_of
from benchmarks.alloy.runs import Task, run
from benchmarks.alloy.tables import page
from benchmarks.common.terminal import (
    Cap,
    Jobs,
    JsonFile,
    Optimizers,
    RenderFile,
    Resume,
    TableFile,
    errors_in_one_line,
    show,
    warn_outdated,
)
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.comparison.runs.processes import in_processes


def main(
    atoms: Annotated[
        list[int] | None, typer.Option(min=100, help="About so many atoms.  [default: 10000]")
    ] = None,
    grains: Annotated[
        list[int] | None, typer.Option(min=1, help="Grains of a box.  [default: 4, 8 and 16]")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Seeds of the boxes.  [default: 1, 2 and 3]")
    ] = None,
    optimizers: Optimizers = None,
    fmax: Annotated[float, typer.Option(min=0, help="Largest force that counts as converged, eV/A.")] = 0.01,
    cap: Cap = 5000,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write a figure of the boxes, by their grains, to this .png and .svg.")
    ] = None,
    jobs: Jobs = 1,
    resume: Resume = True,
) -> None:
    """Relax polycrystals of a high-entropy alloy, and compare where optimizers end and what they need."""
    with errors_in_one_line("alloy"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen(optimizers or [])
            load_library()
            boxes = [
                Box(*three) for three in product(atoms or [10_000], grains or [4, 8, 16], seed or [1, 2, 3])
            ]
            file = ResultsFile(out, header(fmax, cap), SCHEMA, resume)
            warn_outdated(file.outdated)
            missing = file.missing((box, name) for name in names for box in boxes)
            results = measure([Task(box, name, fmax, cap) for box, name in missing], file, jobs)
        show(page(results), table, width=200)
        if figure is not None:
            draw(results, figure)


def measure(tasks: list[Task], file: ResultsFile, jobs: int) -> Json:
    """Make the runs that are missing, report each on stderr, and return all results."""
    with closing(in_processes(run, tasks, jobs)) as runs:
        for done, (task, end) in enumerate(runs, 1):
            file.add(row_of(task, end))
            words = f"{end.status}, {end.calls} force calls, {end.energy} eV"
            box = f"{task.box.atoms:,} atoms, {task.box.grains} grains, seed {task.box.seed}"
            print(f"{done} of {len(tasks)}: {task.optimizer}, {box}: {words}", file=sys.stderr, flush=True)
    return file.save()


if __name__ == "__main__":
    typer.run(main)
