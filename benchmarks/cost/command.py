"""Cost of the command beside the relaxation: ``python -m benchmarks.cost.command``.

Random Lennard-Jones clusters in an extended XYZ file are relaxed by ``relax run`` with an output file, and by
``relax_many`` alone, which reads them as it asks for them and writes nothing.  Both have the same rule and
criteria, and take turns, each in a process of its own with one thread.  Of ``relax_many`` the loop over its
results is timed, reading included; of the command the whole process, less that of a run of one structure,
which is the start of Python and the imports.  It is the time of the processor that is compared: that by the
clock depends on what else is running.

In a second comparison each structure ends at its first force call.  That is the worst case: what the command
does for a structure, beside the least that can be done for one.

A run of all clusters, and one of a tenth of them, show whether the memory grows with the structures.  They
take few steps (``--whole-steps``), since the memory does not depend on that; then ``relax show`` lists the
output.  ``--shown`` measures this last part alone, on the output of a run of few steps, and keeps the others.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from ase import Atoms
from ase.io import write
from rich.console import Console

from benchmarks.common.provenance import RESULTS, command_line, processor
from benchmarks.common.terminal import errors_in_one_line, print_plain, print_table
from benchmarks.lj38.clusters import random_cluster
from relax import relax_many
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.comparison.runs.processes import in_processes
from relax.io.read import read_structures

JSON = RESULTS / "command_cost.json"
SMALLEST, LARGEST = 13, 38
"""Atoms of a cluster; the sizes between are equally frequent."""

SEED, FMAX, STEPS, WHOLE_STEPS = 0, 0.05, 500, 10
SHOWN = 3
"""Times that the output is listed."""

MEASURED = """
import runpy, sys, time
from relax.analysis.comparison.runs.processes import peak_memory
try:
    runpy.run_module("relax", run_name="__main__", alter_sys=True)
finally:
    print(peak_memory(), time.process_time(), file=sys.stderr)
"""
"""The command, in a process that tells its memory (MB) and its time of the processor (s) at its end."""


def cluster(index: int) -> Atoms:
    """Return the random cluster ``index``, with sigma as the unit of length."""
    rng = np.random.default_rng([SEED, index])
    size = int(rng.integers(SMALLEST, LARGEST + 1))
    return Atoms(f"H{size}", random_cluster(rng, size))


def written(path: Path, n: int) -> Path:
    """Write the first ``n`` clusters to ``path``, and return it."""
    with path.open("w") as file:
        for index in range(n):
            write(file, cluster(index), format="extxyz")
    return path


def alone(path: Path, steps: int) -> Json:
    """Return the time (s) of ``relax_many`` on a file with at most so many steps, and its force calls."""
    for _ in relax_many([cluster(0)], "lj", steps=1):
        pass  # what is imported at the first use is not timed
    clock, processor_time = time.perf_counter(), time.process_time()
    relaxed = relax_many(read_structures(path), "lj", fmax=FMAX, steps=steps)
    calls = sum(done.result.force_calls for done in relaxed)
    return {
        "seconds": time.perf_counter() - clock,
        "cpu": time.process_time() - processor_time,
        "force_calls": calls,
    }


def command(*words: object) -> Json:
    """Return the time of a whole ``relax`` command (s), and its largest memory (MB).

    Raises
    ------
    ValueError
        It fails; that a structure did not converge is no failure.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds, said = time.perf_counter() - began, done.stderr.splitlines()
    if done.returncode not in (0, 1):
        raise ValueError(f"relax {words[0]} ended with {done.returncode}: {' '.join(said[:-1])}")
    memory, cpu = map(float, said[-1].split())
    return {"seconds": seconds, "cpu": cpu, "memory": memory}


def run(path: Path, steps: int) -> Json:
    """Return what :func:`command` says of ``relax run`` on a file."""
    words = ("-c", "lj", "-o", output(path), "--force", "--fmax", FMAX, "--steps", steps)
    return command("run", path, *words)


def output(path: Path) -> Path:
    """Return the output file of a run on a file."""
    return path.with_name(f"relaxed-{path.name}")


def measure(task: tuple[str, Path, int]) -> Json:
    """Return what one of the ways says of a file with at most so many steps."""
    way, path, steps = task
    return {"alone": alone, "run": run}[way](path, steps)


def in_turn(tasks: Sequence[tuple[str, Path, int]]) -> list[Json]:
    """Return the results of the tasks, each in a process of its own with one thread."""
    found = []
    for task in tasks:
        with closing(in_processes(measure, [task], 1)) as results:
            found += results
    return found


def compared(path: Path, n: int, steps: int, turns: int, start: Json) -> Json:
    """Return a row that compares the command, which takes ``start`` for nothing, with ``relax_many``."""
    ways = ("alone", "run")
    tasks = [(way, path, steps) for turn in range(turns) for way in (ways if turn % 2 else ways[::-1])]
    found = in_turn(tasks)
    by_way = {way: [row for row, task in zip(found, tasks, strict=True) if task[0] == way] for way in ways}
    cpu = {way: [row["cpu"] / n for row in by_way[way]] for way in ways}
    cpu["run"] = [value - start["cpu"] / n for value in cpu["run"]]
    return {
        "n": n,
        "steps": steps,
        "force_calls": by_way["alone"][0]["force_calls"] / n,
        "alone": cpu["alone"],
        "command": cpu["run"],
        "ratio": median(mine / its for mine, its in zip(cpu["run"], cpu["alone"], strict=True)),
    }


def shown(path: Path) -> list[Json]:
    """Return how long ``relax show`` takes to list the output of a run on a file, s."""
    return [
        {
            "command": " ".join(words),
            "seconds": [command(*words, output(path))["seconds"] for _ in range(SHOWN)],
        }
        for words in (("show",), ("show", "--json"))
    ]


def show_again(n: int, json_path: Path) -> None:
    """List the output of a run of few steps on ``n`` clusters, and write that in place of what was measured.

    Raises
    ------
    ValueError
        There is no file of figures of so many clusters.
    """
    record = json.loads(json_path.read_text()) if json_path.exists() else {"runs": [{"n": 0}]}
    if record["runs"][-1]["n"] != n:
        raise ValueError(f"{json_path} has no figures of {n} clusters; leave out --shown")
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder, "all.extxyz"), n)
        run(path, WHOLE_STEPS)
        record["shown"] = shown(path)
    record["shown_command"] = command_line("benchmarks.cost.command")
    print_plain(Console(), shown_lines(record["shown"], n))
    write_record(json_path, record)


def shown_lines(rows: Sequence[Json], n: int) -> list[str]:
    """Return how long ``relax show`` takes, in words."""
    return [f"relax {row['command']} of {n:,}: {median(row['seconds']):.2f} s" for row in rows]


def main(
    n: Annotated[int, typer.Option("--n", min=10, help="Clusters of the whole run.")] = 10_000,
    fewer: Annotated[int, typer.Option(min=1, help="Clusters that both relax in turn.")] = 200,
    turns: Annotated[int, typer.Option(min=1, help="Turns of both.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Largest number of steps.")] = STEPS,
    whole_steps: Annotated[int, typer.Option(min=0, help="The same, of the whole run.")] = WHOLE_STEPS,
    again: Annotated[bool, typer.Option("--shown", help="Measure relax show alone; keep the rest.")] = False,
    json_path: Annotated[Path, typer.Option("--json", help="Write the figures to this file.")] = JSON,
) -> None:
    """Print what the command takes beside the relaxation, its memory, and the time of ``relax show``."""
    if again:
        with errors_in_one_line("command"):
            show_again(n, json_path)
        return
    with errors_in_one_line("command"), tempfile.TemporaryDirectory() as folder:
        one, few, tenth, whole = (
            written(Path(folder, f"{name}.extxyz"), count)
            for name, count in (("one", 1), ("few", fewer), ("tenth", n // 10), ("all", n))
        )
        starts = in_turn([("run", one, 0)] * turns)
        start = {key: median(row[key] for row in starts) for key in ("seconds", "cpu")}
        rows = [
            compared(few, fewer, steps, turns, start),
            compared(tenth, n // 10, 0, turns, start),
        ]
        runs = [
            {"n": count, "steps": whole_steps} | found
            for count, found in zip(
                (n // 10, n), in_turn([("run", tenth, whole_steps), ("run", whole, whole_steps)]), strict=True
            )
        ]
        listed = shown(whole)
    growth = 1024**2 * (runs[1]["memory"] - runs[0]["memory"]) / (n - n // 10)
    console = Console()
    print_table(
        console,
        f"Clusters of {SMALLEST} to {LARGEST} atoms, time of the processor, ms per structure",
        ("structures", "steps", "force calls", "relax_many", "relax run", "ratio"),
        [
            [
                f"{row['n']:,}",
                f"{row['steps']}",
                f"{row['force_calls']:.1f}",
                *(f"{1e3 * median(row[way]):.2f}" for way in ("alone", "command")),
                f"{row['ratio']:.3f}",
            ]
            for row in rows
        ],
        (),
    )
    print_plain(
        console,
        [
            f"start of the command: {start['seconds']:.2f} s",
            *(
                f"relax run on {row['n']:,}, {row['steps']} steps: {row['seconds']:.1f} s, "
                f"{row['n'] / row['seconds']:.1f} structures/s, {row['memory']:.1f} MB"
                for row in runs
            ),
            f"growth of the memory: {growth:.0f} bytes per structure",
            *shown_lines(listed, n),
        ],
    )
    record = {
        "command": command_line("benchmarks.cost.command"),
        "versions": versions("numpy", "scipy", "ase", "typer", "relax"),
        "python": platform.python_version(),
        "processor": processor(),
        "seed": SEED,
        "atoms": [SMALLEST, LARGEST],
        "fmax": FMAX,
        "start": start,
        "compared": rows,
        "runs": runs,
        "growth": growth,
        "shown": listed,
    }
    write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
