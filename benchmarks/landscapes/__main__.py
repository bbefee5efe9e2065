"""Landscapes: the paths of optimizers on the energy, for a cluster and for grain boundaries of an alloy.

    python -m benchmarks.landscapes

In kind of figures 8 and 11 of the Frankenstein paper (arXiv:2503.02147): the plane of the two largest
principal components of all steps of all runs, and the energy on it.  The structures were chosen before any
run: the first cluster of :mod:`benchmarks.lj38`, and the box of two grains and seed 1 of
:mod:`benchmarks.alloy`, which needs LAMMPS.  Each run is kept in ``--work`` as soon as it has ended, and each
case is in the file of results as soon as it is complete; when the command is repeated only what has changed
is made again, with ``--no-resume`` all.  ``--render`` draws from the file alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.provenance import RESULTS, ROOT
from benchmarks.common.terminal import Resume, errors_in_one_line
from benchmarks.landscapes.cases import CASES
from benchmarks.landscapes.results import SCHEMA, header, identity, landscape_of, plane_entries, run_identity
from benchmarks.landscapes.runs import kept_run
from benchmarks.landscapes.tables import table
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.landscape.api import landscape

FIGURES = ROOT / "docs" / "figures"
WORK = ROOT / "build" / "landscapes"


def main(
    cases: Annotated[
        list[str] | None, typer.Option("--case", help="Only this case; may be repeated.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--json", help="File of results, written as soon as each case is complete.")
    ] = RESULTS / "landscapes.json",
    figures: Annotated[Path, typer.Option(help="Folder of the figures.")] = FIGURES,
    work: Annotated[Path, typer.Option(help="Folder in which the runs are kept.")] = WORK,
    render: Annotated[bool, typer.Option("--render", help="Only draw what is in --json.")] = False,
    resume: Resume = True,
) -> None:
    """Relax with several optimizers, and draw their paths on the energy."""
    with errors_in_one_line("landscapes"):
        results = SCHEMA.read(out) if render else measure(cases or list(CASES), out, work, resume)
        for row in results["rows"]:
            title = CASES[row["case"]].spec.title.format(**row)
            landscape_of(row).draw(figures / f"landscape_{row['case']}.png", title=title)
            print(f"{title}\n\n{table(row)}\n")


def measure(names: list[str], out: Path, work: Path, resume: bool) -> Json:
    """Make what is missing, report each run on stderr, and return all results."""
    for name in names:
        if name not in CASES:
            raise ValueError(f"there is no case {name!r} (there are: {', '.join(CASES)})")
    file = ResultsFile(out, header(), SCHEMA, resume)
    for name in file.missing(names):
        case, runs, paths = CASES[name], [], {}
        for optimizer in case.spec.optimizers:
            end, steps = kept_run(case, optimizer, run_identity(name, optimizer), work, resume)
            runs.append(end)
            paths[optimizer] = steps
            print(f"{name}, {optimizer}: {end['status']}, {end['calls']} force calls", file=sys.stderr)
        words, points = case.spec.calculator, case.spec.points
        found = landscape(paths, case.potential(), points=points, progress=True, words=words)
        row = {"case": name, "optimizer": name}
        file.add(row | identity(row) | {"runs": runs, "plane": plane_entries(found)})
    return file.save()


if __name__ == "__main__":
    typer.run(main)
