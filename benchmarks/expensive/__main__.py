"""Few calls of an expensive calculator: with and without a cheap one beside it.

    python -m benchmarks.expensive --part gfn --json benchmarks/results --table benchmarks/results

:mod:`benchmarks.expensive.parts` has the parts, :mod:`benchmarks.expensive.methods` the methods.  Each run is
written to the file of its part as it ends, and the same command continues from there.  A part whose
calculators are not installed is skipped, and the exit code is 2; ``setup_dft.sh`` installs those of ``dft``.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.terminal import Jobs, Resume, errors_in_one_line, progress, warn_outdated
from benchmarks.expensive.methods import check, peers_of
from benchmarks.expensive.parts import PARTS, base_name, chosen_parts
from benchmarks.expensive.results import RUNS, header
from benchmarks.expensive.runs import Key, Task, prepare_process, run_task
from benchmarks.expensive.tables import as_markdown
from relax.analysis.comparison.files.journal import Journal
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.names import split_names
from relax.analysis.comparison.runs import processes


def main(
    parts: Annotated[
        list[str] | None,
        typer.Option("--part", help="Parts, with commas between; repeatable.  [default: all]"),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Methods, with commas between.  [default: those of the part]")
    ] = None,
    only: Annotated[str, typer.Option(help="Structures, with commas between.  [default: all]")] = "",
    out: Annotated[
        Path | None,
        typer.Option("--json", file_okay=False, help="Folder of the results; runs are written as they end."),
    ] = None,
    table: Annotated[Path | None, typer.Option(file_okay=False, help="Folder of the tables.")] = None,
    jobs: Jobs = 1,
    resume: Resume = True,
) -> None:
    """Count the force calls of an expensive calculator, with and without a cheap one beside it."""
    with errors_in_one_line("expensive"):
        skipped = False
        for name in chosen_parts(split_names(parts or [])):
            if why := PARTS[name].missing():
                print(f"expensive: {name} is skipped: {why}", file=sys.stderr)
                skipped = True
                continue
            chosen = split_names(methods or []) or list(PARTS[name].methods)
            path = None if out is None else out / f"expensive_{name}.json"
            text = as_markdown(measure(name, chosen, split_names([only]), path, jobs, resume))
            print(text)
            if table is not None:
                (table / f"expensive_{name}.md").write_text(text)
        if skipped:
            raise typer.Exit(2)


def measure(
    part: str, methods: list[str], only: list[str], path: Path | None, jobs: int, resume: bool
) -> Json:
    """Make the runs of a part that are missing, and return all its results."""
    chosen = PARTS[part]
    for method in methods:
        check(method, chosen)
    peers.check_installed(peers_of(methods))
    structures = chosen.starts()
    known = list(dict.fromkeys(base_name(start) for start in structures))
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"{part} has no structure {unknown[0]!r} (it has: {', '.join(known)})")
    structures = {name: atoms for name, atoms in structures.items() if not only or base_name(name) in only}
    journal = Journal(path, header(part, structures, ",".join(only)), RUNS, resume)
    warn_outdated(journal.file.outdated)
    keys = [Key(method, name) for method in methods for name in structures]
    missing = journal.missing(keys)
    tasks = [Task(key, part, structures[key.structure]) for key in keys if key in missing]
    runs = processes.in_processes(run_task, tasks, jobs, prepare_process, (peers_of(methods),))
    with progress(part, len(tasks)) as (_, advance), closing(runs):
        for key, end in runs:
            journal.add(key, end)
            advance()
            print(f"{key.method}, {key.structure}: {end.calls} calls, {end.status}", file=sys.stderr)
    return journal.save()


if __name__ == "__main__":
    typer.run(main)
