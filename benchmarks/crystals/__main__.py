"""Relaxing crystals, atoms and cell, by the protocol of Matbench Discovery: what each optimizer needs.

    python -m benchmarks.crystals --wbm-like 100 --seed 1 --calculator chgnet --json OUT --jobs 2

A run ends when no row of forces and cell gradient is above ``--fmax``, or at ``--cap`` force calls.  All
optimizers have the same starts, in two tables: as they are, and with every atom displaced at random by
``--rattle`` (A, standard deviation of each component).  Many starts are symmetric and no minimum, so that
the first table shows which optimizers leave a saddle point and the second which are fast.
:mod:`benchmarks.crystals.runs` says when a run has failed, :mod:`relax.analysis.comparison.statistics` and
:mod:`benchmarks.crystals.statistics` what is computed from the runs, and :mod:`benchmarks.crystals.results`
what is in the files.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from ase import Atoms

from benchmarks.common.structures import bare
from benchmarks.common.terminal import (
    Cap,
    Jobs,
    Optimizers,
    RenderFile,
    TableFile,
    errors_in_one_line,
    progress,
    show,
    warn_outdated,
)
from benchmarks.crystals.profiles import draw
from benchmarks.crystals.results import OPTIMIZERS, RUNS, SCHEMA, Protocol, header
from benchmarks.crystals.runs import End, Key, Task, group_of, run_task
from benchmarks.crystals.starts import Source, check_crystals, known_elements
from benchmarks.crystals.tables import page
from benchmarks.crystals.wbm import CORRECTED, read_references
from relax.analysis.comparison.files.journal import Journal
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.construction import chosen_optimizers
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.starts import rattled
from relax.calculators.registry import load

RATTLES = (0.0, 0.05)


def in_processes(tasks: list[Task], calculator: str, jobs: int) -> Generator[tuple[Key, End]]:
    """Yield each run when it has ended."""
    return processes.in_processes(run_task, tasks, jobs, processes.prepare_process, (calculator,))


def follow(tasks: list[Task], calculator: str, jobs: int) -> Generator[tuple[Key, End]]:
    """Yield each run when it has ended, and show on stderr how many have."""
    with progress("crystals", len(tasks)) as (console, advance):
        for done, (key, end) in enumerate(in_processes(tasks, calculator, jobs), 1):
            advance()
            if not console.is_terminal and (done % max(len(tasks) // 20, 1) == 0 or done == len(tasks)):
                print(f"{done} of {len(tasks)} runs", file=sys.stderr)
            yield key, end


def main(
    structures: Annotated[Path | None, typer.Option(help="File of crystals, any that ASE reads.")] = None,
    wbm_like_n: Annotated[
        int | None, typer.Option("--wbm-like", min=1, help="Make so many crystals like those of WBM.")
    ] = None,
    wbm: Annotated[Path | None, typer.Option(help="wbm-initial-atoms.extxyz.zip.")] = None,
    ids: Annotated[str, typer.Option(help="Materials of --wbm: a file, or a list with commas.")] = "",
    summary: Annotated[Path | None, typer.Option(help="wbm-summary.csv.gz, for reference energies.")] = None,
    largest: Annotated[int, typer.Option(min=1, help="Most atoms of --wbm-like.")] = 8,
    smallest: Annotated[int, typer.Option(min=1, help="Fewest atoms of --wbm-like.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --wbm-like and --rattle.")] = 1,
    rattle: Annotated[
        list[float] | None,
        typer.Option(
            min=0, help="Displace the atoms at random by this, A; a table each.  [default: 0 and 0.05]"
        ),
    ] = None,
    calculator: Annotated[str, typer.Option(help="As for relax run.")] = "chgnet",
    optimizers: Optimizers = None,
    fmax: Annotated[float, typer.Option(min=0, help="Largest row that counts as converged, eV/A.")] = 0.05,
    cap: Cap = 500,
    out: Annotated[
        Path | None, typer.Option("--json", help="File of results; runs are written as they end.")
    ] = None,
    table: TableFile = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write performance profiles to this .png and .svg.  [default: beside --json]"),
    ] = None,
    render: RenderFile = None,
    jobs: Jobs = 2,
    take: Annotated[
        list[Path] | None, typer.Option(help="Take over the rows of this file of results too; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Keep runs of --json that are up to date.")] = True,
) -> None:
    """Count the force calls that optimizers take to relax crystals, and examine where they end."""
    with errors_in_one_line("crystals"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen_optimizers(optimizers or [], OPTIMIZERS, System.CRYSTALS)
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
            journal = Journal(out, header(crystals, protocol), RUNS, resume, take or ())
            results = measure(crystals, protocol, names, rattles, journal, jobs)
        show(page(results), table)
        if (figure := plot or out) is not None:
            draw(results, figure)


def prepare(source: Source, seed: int, calculator: str) -> tuple[list[Atoms], list[str]]:
    """Return the crystals, and the elements they may have where the calculator does not know all."""
    loaded = load(calculator)
    elements = known_elements(loaded) if source.wbm_like is not None else []
    crystals = bare(source.read(seed, elements))
    check_crystals(crystals, loaded)
    if elements:
        print(f"{calculator} knows the elements {', '.join(elements)}", file=sys.stderr)
    return crystals, elements


def measure(
    crystals: list[Atoms],
    protocol: Protocol,
    names: list[str],
    rattles: Sequence[float],
    journal: Journal[Key, End],
    jobs: int,
) -> Json:
    """Make the runs that are missing, and return all results."""
    warn_outdated(journal.file.outdated)
    keys = [
        Key(rattle, name, atoms.info["name"]) for rattle in rattles for atoms in crystals for name in names
    ]
    missing = journal.missing(keys)
    groups = [group_of(atoms) for atoms in crystals]
    place = {atoms.info["name"]: i for i, atoms in enumerate(crystals)}
    tasks = []
    for key in (key for key in keys if key in missing):
        i = place[key.structure]
        start = rattled(crystals[i], key.rattle, protocol.seed, i)
        tasks.append(Task(key, start, groups[i], protocol.fmax, protocol.cap))
    if tasks:
        with closing(follow(tasks, protocol.calculator, jobs)) as runs:
            for key, end in runs:
                journal.add(key, end)
    return journal.save()


if __name__ == "__main__":
    typer.run(main)
