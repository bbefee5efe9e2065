"""Relaxing materials of many kinds with CHGNet: what each optimizer needs.

    python -m benchmarks.materials --set slabs,defects --json OUT.json --table OUT.md

Every set has its own file of results: OUT_slabs.json, OUT_defects.json.  The structures are made here, from
lattice parameters and seeds: :mod:`benchmarks.materials.sets` names the modules.  Positions and cell relax,
except for slabs and layers, whose cells are held.  A run ends at the first force call at which no row of
forces and cell gradient is above ``--fmax``, or at ``--cap`` force calls; :mod:`benchmarks.materials.runs`
says how that is decided.  ``emt`` is for trying things out, with the slabs of metals that it knows.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.terminal import (
    Cap,
    Jobs,
    Optimizers,
    Resume,
    TableFile,
    errors_in_one_line,
    show,
    warn_outdated,
)
from benchmarks.materials.optimizers import chosen_optimizers
from benchmarks.materials.profiles import draw
from benchmarks.materials.results import RUNS, Protocol, header, path_of, read_all
from benchmarks.materials.runs import Key, Task, run_task
from benchmarks.materials.sets import SETS, Starts, chosen_sets, starts
from benchmarks.materials.tables import page
from relax.analysis.comparison.files.journal import Journal
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.runs.run import RunEnd
from relax.calculators.registry import load

Journals = Mapping[str, Journal[Key, RunEnd]]
"""The journal of each set."""


def in_processes(tasks: list[Task], calculator: str, jobs: int) -> Generator[tuple[Key, RunEnd]]:
    """Yield each run when it has ended."""
    return processes.in_processes(run_task, tasks, jobs, processes.prepare_process, (calculator,))


def main(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help=f"Sets, with commas between: {', '.join(SETS)}.  [default: all but dev]"),
    ] = None,
    calculator: Annotated[str, typer.Option(help="As for relax run.")] = "chgnet",
    optimizers: Optimizers = None,
    fmax: Annotated[float, typer.Option(min=0, help="Largest row that counts as converged, eV/A.")] = 0.02,
    cap: Cap = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the structures.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--json", help="Files of results, one a set: OUT_slabs.json for OUT.json and slabs."),
    ] = None,
    table: TableFile = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write performance profiles to this .png and .svg.")
    ] = None,
    render: Annotated[
        Path | None, typer.Option(help="Only show the tables of the files of results that --json made.")
    ] = None,
    jobs: Jobs = 1,
    resume: Resume = True,
) -> None:
    """Count the force calls that optimizers take to relax materials, and examine where they end."""
    with errors_in_one_line("materials"):
        kinds = chosen_sets(sets or [])
        if render is not None:
            results = read_all(render, kinds)
        else:
            names = {kind: chosen_optimizers(optimizers or [], SETS[kind].system) for kind in kinds}
            protocol, loaded = Protocol(calculator, fmax, cap, seed), load(calculator)
            found = [starts(kind, seed, loaded) for kind in kinds]
            journals = {
                one.kind: Journal(path_of(out, one.kind), header(one, protocol), RUNS, resume)
                for one in found
            }
            results = measure(found, protocol, names, journals, jobs)
        show(page(results), table)
        if plot is not None:
            draw(results, plot)


def measure(
    found: Sequence[Starts],
    protocol: Protocol,
    names: Mapping[str, Sequence[str]],
    journals: Journals,
    jobs: int,
) -> list[Json]:
    """Make the runs that are missing, all sets with one optimizer before the next, and return all results."""
    tasks: list[Task] = []
    for one in found:
        journal = journals[one.kind]
        warn_outdated(journal.file.outdated)
        keys = [Key(one.kind, name, a.info["name"]) for name in names[one.kind] for a in one.atoms]
        missing, atoms = journal.missing(keys), {a.info["name"]: a for a in one.atoms}
        tasks += [
            Task(key, atoms[key.structure], one.system, protocol.fmax, protocol.cap)
            for key in keys
            if key in missing
        ]
    ranks = {
        name: rank for rank, name in enumerate(dict.fromkeys(n for some in names.values() for n in some))
    }
    tasks.sort(key=lambda task: ranks[task.key.optimizer])
    if tasks:
        with closing(in_processes(tasks, protocol.calculator, jobs)) as runs:
            for done, (key, end) in enumerate(runs, 1):
                journals[key.kind].add(key, end)
                journals[key.kind].save()
                print(f"{done} of {len(tasks)}: {words_of(key, end)}", file=sys.stderr, flush=True)
    return [journals[one.kind].save() for one in found]


def words_of(key: Key, end: RunEnd) -> str:
    """Return a run in words."""
    seconds = end.seconds_calculator + end.seconds_outside
    return f"{key.optimizer}, {key.kind} {key.structure}: {end.status}, {end.calls} calls, {seconds:.0f} s"


if __name__ == "__main__":
    typer.run(main)
