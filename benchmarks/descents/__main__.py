"""Descents: energy and largest force at each force call of an optimizer.

    python -m benchmarks.descents

Three typical structures, chosen before any run: the first cluster of :mod:`benchmarks.lj38`; the first
crystal of 8 atoms of :mod:`benchmarks.crystals`, rattled, atoms and cell, with CHGNet; and a crystal of
copper with one vacancy of :mod:`benchmarks.metals`.  Every force call is recorded at the calculator, so that
trial points and steps that are taken back are included.  Each run is in the file of results as soon as it
has ended; when the command is repeated only runs whose settings or versions have changed are made again,
with ``--no-resume`` all.  ``--render`` draws from the file alone.  ``ase:PreconLBFGS`` is tuned as in the
other benchmarks; it is not run for the cluster, since it needs a periodic structure.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.provenance import RESULTS, ROOT
from benchmarks.common.terminal import Resume, errors_in_one_line, warn_outdated
from benchmarks.descents.figure import curves, draw
from benchmarks.descents.results import SCHEMA, header, identity
from benchmarks.descents.runs import run
from benchmarks.descents.systems import CASES
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.comparison.tables import markdown

FIGURE = ROOT / "docs" / "figures" / "metric_descents"


def main(
    out: Annotated[
        Path, typer.Option("--json", help="File of results, written as soon as each run has ended.")
    ] = RESULTS / "descents.json",
    figure: Annotated[Path, typer.Option(help="Write the figure to this .png and .svg.")] = FIGURE,
    render: Annotated[bool, typer.Option("--render", help="Only draw what is in --json.")] = False,
    resume: Resume = True,
) -> None:
    """Record energy and largest force at each force call of optimizers, and draw them."""
    with errors_in_one_line("descents"):
        results = SCHEMA.read(out) if render else measure(out, resume)
        figure.parent.mkdir(parents=True, exist_ok=True)
        draw(results, figure)
        print(table(results))


def measure(out: Path, resume: bool) -> Json:
    """Make the runs that are missing, report each on stderr, and return all results."""
    starts = {name: case.start() for name, case in CASES.items()}
    file = ResultsFile(out, header(starts), SCHEMA, resume)
    warn_outdated(file.outdated)
    for name, case in CASES.items():
        missing = file.missing((name, optimizer) for optimizer in case.optimizers)
        calculator = case.calculator() if missing else None
        for _, optimizer in missing:
            row = identity(name, optimizer) | run(case, optimizer, starts[name], calculator)
            file.add(row)
            print(f"{name}, {optimizer}: {row['status']}, {row['calls']} force calls", file=sys.stderr)
    return file.save()


def table(results: Json) -> str:
    """Return a Markdown table of force calls, and of final energies above the lowest one."""
    systems = results["systems"]
    found = {system: {curve.name: curve for curve in curves(results, system)} for system in systems}
    rows: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for named in found.values() for name in named):
        rows[name] = [f"`{name}`"]
        for curve in (found[system].get(name) for system in systems):
            if curve is None:
                rows[name] += [""] * 2
                continue
            note = "" if curve.converged else f" ({curve.status})"
            rows[name] += [f"{len(curve.force)}{note}", f"{1e3 * curve.above[-1]:.2f}"]
    columns = [f"{name}: {what}" for name in systems for what in ("calls", "ends above, meV/atom")]
    return "\n".join(markdown(("optimizer", *columns), list(rows.values())))


if __name__ == "__main__":
    typer.run(main)
