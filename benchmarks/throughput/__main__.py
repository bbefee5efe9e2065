"""Structures per second: ``python -m benchmarks.throughput [--json OUT]``.

Crystals made like those of the WBM set, of the twelve metals of ``data/mace-mini.model``, 2 to 8 atoms each,
rattled by 0.05 A, are relaxed (positions and cell, fmax 0.05 eV/A, at most 500 force calls)

- by ASE's optimizers on ``FrechetCellFilter``, one by one;
- by L-BFGS and FIRE of a newer torch-sim, with the Python that ``--torch-sim-python`` names, see
  :mod:`benchmarks.throughput.newer_torch_sim`, all in one batch;
- by torch-sim's FIRE, all in one batch, which is fastest for it; structures that have converged are removed
  at every step or, with ``between=5``, its default, at every fifth; and with freed memory kept by the
  process, as relax does for itself;
- by the rules of relax in a batch, with the defaults of ``relax_many``; the default, internal-lbfgs, and
  pair-lbfgs also with the check for a minimum and the escape from saddle points;

with the MACE of this repository and with a larger one of random weights, in float64 unless the method says
float32 or mixed.  Each method has its
own process on one core, and the methods take turns, of which the fastest counts: other processes on the
machine can only slow it down.  (ASE's optimizers, much slower, have one turn, and so has the larger model.)
All final structures are checked with the same model.

Also measured: the share of time of each part of a relaxation, for 32 crystals of 8 atoms in one batch; a
stream of 100 to 100,000 Lennard-Jones clusters, with its memory; and, with ``--only gpu``, more of these
crystals on a GPU, by relax and by torch-sim.
"""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from ase.io import write
from rich.console import Console

from benchmarks.common.provenance import command_line, processor
from benchmarks.common.terminal import print_plain, print_table, wide_console
from benchmarks.throughput.gpu import gpu_available
from benchmarks.throughput.measurements import Row
from benchmarks.throughput.models import FMAX, MINI, larger_mace, starts
from benchmarks.throughput.runner import best_of_turns, measure, print_row, with_ends, with_excess
from benchmarks.throughput.tables import page, sheets
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import write_record

ASE = ("ase:FIRE", "ase:GoodOldQuasiNewton", "ase:PreconLBFGS")
SLOWER_ASE = ("ase:BFGSLineSearch", "ase:LBFGS")
TORCH_SIM = ("torch_sim:FIRE", "torch_sim:FIRE:between=5", "torch_sim:FIRE:kept memory")
OURS = (
    "relax:fire", "relax:core", "relax:frankenstein", "relax:lbfgs", "relax:lbfgs:one by one",
    "relax:pair-lbfgs", "relax:pair-lbfgs:check=minimum,escape=true",
    "relax:internal-lbfgs", "relax:internal-lbfgs:float32", "relax:internal-lbfgs:mixed",
    "relax:internal-lbfgs:check=minimum,escape=true",
)  # fmt: skip
OURS_IN_TORCH_SIM = ("torch_sim:lbfgs:kept memory",)
NEWER = (
    "newer_torch_sim:lbfgs", "newer_torch_sim:lbfgs:kept memory", "newer_torch_sim:lbfgs:float32",
    "newer_torch_sim:fire", "newer_torch_sim:fire:float32",
)  # fmt: skip
ON_GPU = (
    "relax:fire", "relax:frankenstein", "relax:lbfgs", "relax:pair-lbfgs", "relax:internal-lbfgs",
    "relax:internal-lbfgs:mixed", "torch_sim:FIRE", "torch_sim:lbfgs",
)  # fmt: skip
ONE_BY_ONE_ON_GPU = "relax:internal-lbfgs:one by one", "ase:FIRE"
PROFILED = ("fire", "frankenstein", "lbfgs", "pair-lbfgs", "internal-lbfgs")
STREAMED = (100, 1_000, 10_000, 100_000)
STREAM_TURNS = 3
"""Turns of the streams of at most 1,000 clusters."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    n: Annotated[int, typer.Option(min=4, help="Crystals for the small model.")] = 64,
    n_larger: Annotated[int, typer.Option(min=4, help="Crystals for the larger model.")] = 8,
    n_gpu: Annotated[int, typer.Option(min=4, help="Crystals on a GPU.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the crystals and of the larger model.")] = 4,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each method with the small model.")] = 1,
    every: Annotated[bool, typer.Option("--all", help="Measure ASE's slower optimizers too.")] = False,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Measure this method on crystals; may be repeated.")
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            "--torch-sim-python",
            help="Python with a newer torch-sim, measured too.",
            envvar="TORCH_SIM_PYTHON",
            exists=True,
        ),
    ] = None,
    longest: Annotated[int, typer.Option(min=100, help="Most clusters of a stream.")] = STREAMED[-1],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure this part only, and keep the others: crystals, profile, stream, gpu."),
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    table_path: Annotated[Path | None, typer.Option("--table", help="Write the tables to this file.")] = None,
) -> None:
    """Measure structures per second, the share of time of each part, and a long stream."""
    if context.invoked_subcommand is not None:
        return
    console, chosen = Console(stderr=True, emoji=False), only or ["crystals", "profile", "stream"]
    record: dict[str, Any] = {}
    if only and json_path and json_path.exists():
        record = json.loads(json_path.read_text())
    record |= {
        "commands": record.get("commands", {}) | dict.fromkeys(chosen, command_line("benchmarks.throughput")),
        "versions": versions("numpy", "ase", "torch", "mace-torch", "torch-sim-atomistic", "vesin", "relax"),
        "python": platform.python_version(),
        "processor": processor(),
        "seed": seed,
        "fmax": FMAX,
    }
    if "crystals" in chosen:
        record |= crystals(console, n, n_larger, seed, turns, every, python, methods)
    if "profile" in chosen:
        tasks: list[tuple[Any, ...]] = [(rule, str(MINI), 32) for rule in PROFILED]
        record["profile"] = best_of_turns("profile", turns + 1, console, tasks)
    if "stream" in chosen:
        record["stream"] = streams(console, longest)
    if "gpu" in chosen:
        record["gpu"] = gpu(console, n_gpu, seed, turns)
    record["rows"] = rows_of(record)
    show(record)
    if json_path:
        write_record(json_path, record)
    if table_path:
        table_path.write_text(page(record))


def crystals(
    console: Console,
    n: int,
    n_larger: int,
    seed: int,
    turns: int,
    every: bool,
    python: Path | None,
    methods: list[str] | None = None,
) -> dict[str, list[Row]]:
    """Return the rows of every method, or of these ``methods``, with both models."""
    newer = NEWER if python else ()
    batched, one_by_one = (
        (*OURS, *newer, *TORCH_SIM, *OURS_IN_TORCH_SIM),
        (*ASE, *(SLOWER_ASE if every else ())),
    )
    if methods:
        batched, one_by_one = (
            tuple(name for name in some if name in methods) for some in (batched, one_by_one)
        )
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        larger, given = Path(folder, "larger.model"), Path(folder, "starts.traj")
        larger_mace(larger, seed)
        begun = starts(max(n, n_larger), seed)
        write(given, begun)
        for name, model, count in (("mini", MINI, n), ("larger", larger, n_larger)):
            words = str(model), str(given), count
            some = turns if name == "mini" else 1
            tasks = [(method, *words) for method in batched]
            rows = best_of_turns("crystals", some, console, tasks, python)
            rows += best_of_turns("crystals", 1, console, [(method, *words) for method in one_by_one])
            record[name] = with_ends(rows, model, begun[:count])
    return record


def gpu(console: Console, n: int, seed: int, turns: int) -> list[Row]:
    """Return the rows of a GPU, none if there is no GPU."""
    if not gpu_available():
        print_plain(console, ["no GPU found: measurements on a GPU are skipped"])
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        larger, given = Path(folder, "larger.model"), Path(folder, "starts.traj")
        larger_mace(larger, seed)
        write(given, starts(n, seed))
        for name, model in (("mini", MINI), ("larger", larger)):
            words = str(model), str(given)
            tasks: list[tuple[Any, ...]] = [(method, *words, n) for method in ON_GPU]
            tasks += [(method, *words, max(4, n // 50)) for method in ONE_BY_ONE_ON_GPU]
            made = with_excess(best_of_turns("on_gpu", turns, console, tasks))
            rows += [{"model": name} | row for row in made]
    return [*rows, measure("repeatable")]


def streams(console: Console, longest: int) -> list[Row]:
    """Return the rows of streams of up to ``longest`` clusters."""
    tasks = [(count,) for count in STREAMED if count <= longest]
    rows = best_of_turns("stream", STREAM_TURNS, console, [task for task in tasks if task[0] <= 1000])
    return rows + best_of_turns("stream", 1, console, [task for task in tasks if task[0] > 1000])


def rows_of(record: dict[str, Any]) -> list[Row]:
    """Return the rows of both models in one list, each with the name of its ``model``."""
    return [{"model": name, **row} for name in ("mini", "larger") for row in record.get(name, [])]


def show(record: dict[str, Any]) -> None:
    """Print all tables."""
    console = wide_console(200)
    for sheet in sheets(record):
        if sheet.rows:
            print_table(console, sheet.title, sheet.columns, sheet.rows, sheet.columns[:1])
        else:
            print_plain(console, [sheet.title])
        print_plain(console, sheet.notes)


@app.command(hidden=True)
def part(name: str, words: str) -> None:
    """Make one measurement and print its row; the benchmark calls itself this way."""
    print_row(name, words)


if __name__ == "__main__":
    app()
