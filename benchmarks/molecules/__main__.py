"""Relaxing sets of molecules, each molecule or cluster free and alone: what each optimizer needs.

    python -m benchmarks.molecules --set baker,drugs --json benchmarks/results --table benchmarks/results

:mod:`benchmarks.molecules.sets` has the sets, each with its own rattle, ``fmax``, cap and optimizers.  A run
ends when no force is above ``--fmax``, a table each, or at ``--cap`` force calls.  Sella, pyberny, geomeTRIC,
RDKit and tblite are in ``pip install "relax[molecules]"``.  ``xtb`` is GFN2-xTB, with the charge and the
number of unpaired electrons in the set; ``emt`` is for trying things out.  Each run is written to the file of
its set as it ends, and the same command continues from there.  :mod:`benchmarks.molecules.starts` says which
molecules are left out, :mod:`benchmarks.molecules.runs` when a run has failed, and
:mod:`relax.analysis.comparison.statistics` what is computed from the runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from benchmarks.common.terminal import (
    Jobs,
    Optimizers,
    RattleSeed,
    RenderFile,
    Resume,
    errors_in_one_line,
    progress,
    show,
    warn_outdated,
)
from benchmarks.molecules.results import RUNS, SCHEMA, header
from benchmarks.molecules.runs import End, Key, Task, prepare_process, run_task
from benchmarks.molecules.sets import SETS, chosen_sets
from benchmarks.molecules.starts import check_calculator, load, molecules
from benchmarks.molecules.tables import page
from relax.analysis.comparison.files.journal import Journal
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.construction import chosen_optimizers
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs import processes


class Choice(NamedTuple):
    """What the command line says; None, or nothing, where it leaves that to the set."""

    calculator: str
    only: Sequence[str]
    rattle: float | None
    seed: int
    fmaxes: Sequence[float]
    cap: int | None
    optimizers: Sequence[str]


def in_processes(tasks: list[Task], optimizers: list[str], jobs: int) -> Generator[tuple[Key, End]]:
    """Yield each run when it has ended."""
    return processes.in_processes(run_task, tasks, jobs, prepare_process, (optimizers,))


def main(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Sets with commas between; repeatable.  [default: all but dev]"),
    ] = None,
    calculator: Annotated[str, typer.Option(help="xtb or emt.")] = "xtb",
    only: Annotated[str, typer.Option(help="Molecules of one set, with commas.  [default: all]")] = "",
    rattle: Annotated[
        float | None,
        typer.Option(min=0, help="Displace the atoms at random by this, A.  [default: g2 0.1, else 0]"),
    ] = None,
    seed: RattleSeed = 1,
    fmax: Annotated[
        list[float] | None,
        typer.Option(
            min=0, help="Largest force that counts as converged, eV/A.  [default: 0.01; g2 0.05 and 0.01]"
        ),
    ] = None,
    cap: Annotated[
        int | None, typer.Option(min=1, help="Most force calls of a run.  [default: 300; g2 500]")
    ] = None,
    optimizers: Optimizers = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", help="File of results of one set, or a folder; runs are written as they end."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Write the tables of one set to this .md, or those of all to a folder."),
    ] = None,
    render: RenderFile = None,
    jobs: Jobs = 1,
    resume: Resume = True,
) -> None:
    """Count the force calls that optimizers take to relax molecules, and examine where they end."""
    with errors_in_one_line("molecules"):
        if render is not None:
            show(page(SCHEMA.read(render)), table)
            return
        check_calculator(calculator)
        names = chosen_sets(sets or [])
        wanted = [word for word in (word.strip() for word in only.split(",")) if word]
        files = {name: (placed(out, name, ".json"), placed(table, name, ".md")) for name in names}
        if len(names) > 1 and (wanted or (out and out.suffix) or (table and table.suffix)):
            raise ValueError(f"--only and files are for one --set (got {len(names)}); a folder is for more")
        choice = Choice(calculator, wanted, rattle, seed, fmax or (), cap, optimizers or ())
        for name, (results, markdown) in files.items():
            show(page(measure(name, choice, results, jobs, resume)), markdown)


def placed(path: Path | None, name: str, suffix: str) -> Path | None:
    """Return the file of a set: ``path`` itself if it has the suffix, else a file in this folder."""
    if path is None or path.suffix == suffix:
        return path
    return path / f"{SETS[name].stem}{suffix}"


def measure(name: str, choice: Choice, out: Path | None, jobs: int, resume: bool) -> Json:
    """Make the runs of a set that are missing, and return all its results."""
    chosen = SETS[name]
    optimizers = chosen_optimizers(choice.optimizers, chosen.optimizers, System.MOLECULES)
    peers.check_installed(optimizers)
    rattle = chosen.rattle if choice.rattle is None else choice.rattle
    cap = choice.cap or chosen.cap
    found = molecules(name, load(choice.calculator), rattle, choice.seed, choice.only)
    head = header(name, found, choice.calculator, rattle, choice.seed, cap, ",".join(choice.only))
    journal = Journal(out, head, RUNS, resume)
    warn_outdated(journal.file.outdated)
    keys = [
        Key(fmax, optimizer, structure)
        for fmax in choice.fmaxes or chosen.fmaxes
        for optimizer in optimizers
        for structure in head["structures"]
    ]
    missing, place = journal.missing(keys), {key: i for i, key in enumerate(head["structures"])}
    tasks = [
        Task(
            key, choice.calculator, cap, chosen.first_call,
            found.starts[place[key.structure]], found.geometries[place[key.structure]],
        )
        for key in keys
        if key in missing
    ]  # fmt: skip
    if tasks:
        make_runs(name, tasks, journal, optimizers, jobs)
    return journal.save()


def make_runs(
    name: str, tasks: list[Task], journal: Journal[Key, End], optimizers: list[str], jobs: int
) -> None:
    """Make runs, add each to the journal, and report each row on stderr when it is complete."""
    left = Counter(task.key[:-1] for task in tasks)
    with (
        progress(name, len(tasks)) as (_, advance),
        closing(in_processes(tasks, optimizers, jobs)) as runs,
    ):
        for key, end in runs:
            journal.add(key, end)
            advance()
            left[key[:-1]] -= 1
            if not left[key[:-1]]:
                journal.save()
                row = journal.file.rows[key[:-1]]
                seconds = sum(row["seconds_calculator"]) + sum(row["seconds_outside"])
                words = f"{len(row['calls'])} runs, {sum(row['calls'])} calls, {seconds:.0f} s"
                print(f"{name}, {key.optimizer}, fmax {key.fmax:g}: {words}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
