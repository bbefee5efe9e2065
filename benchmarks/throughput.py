"""Structures per second: ``python -m benchmarks.throughput [--json OUT]``.

Crystals made as those of the WBM set were, of the twelve metals that ``data/mace-mini.model`` knows, 2 to
8 atoms each, rattled by 0.05 A, are relaxed (positions and cell, fmax 0.05 eV/A, 500 force calls at most)

- by ASE's optimizers on ``FrechetCellFilter``, one by one,
- by the FIRE of torch-sim, all in one batch, which is what suits it best, from which the finished leave at
  every step or (``between=5``, its default) at every fifth; and with freed memory kept by the process,
  as relax does for itself,
- by the rules of relax in batch, with what ``relax_many`` does by default,

with the MACE of this repository and with a larger one of random weights, in float64.  Each method has a
process of its own on one core, in turns, and the better of its turns counts: what else runs on a machine
can only make it slower.  (ASE's optimizers, far behind, have one turn, and so has the larger model.)  Where
structures ended is looked at afterwards, with the same model for all.

Then: which part of the time goes where, for 32 crystals of 8 atoms at once; a stream of 100 to 100,000
Lennard-Jones clusters, with the memory it takes; and, where there is a GPU, batches on that.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from ase.io import write
from ase.io.jsonio import decode
from rich.console import Console

from benchmarks.lj38_results import versions
from benchmarks.throughput_baselines import larger_mace, starts, verdicts
from benchmarks.throughput_parts import ELEMENTS, FMAX, PARTS, Row
from benchmarks.throughput_table import page, show
from relax.calculators.registry import load

ROOT = Path(__file__).parent.parent
MINI = ROOT / "data" / "mace-mini.model"
RESULT = "RESULT "

ONE_BY_ONE = ("ase:FIRE", "ase:GoodOldQuasiNewton", "ase:PreconLBFGS")
SLOWER = ("ase:BFGSLineSearch", "ase:LBFGS")
"""Quasi-Newton optimizers of ASE that are slower than those."""
TORCH_SIM = ("torch_sim:FIRE", "torch_sim:FIRE:between=5", "torch_sim:FIRE:kept memory")
OURS = ("relax:fire", "relax:core", "relax:frankenstein", "relax:lbfgs", "relax:lbfgs:one by one")
OURS_IN_TORCH_SIM = ("torch_sim:lbfgs:kept memory",)
PROFILED = ("fire", "frankenstein", "lbfgs")
STREAMED = (100, 1_000, 10_000, 100_000)
STREAM_TURNS = 3
"""Turns of the streams that are short."""


def measured(part: str, *words: Any) -> Row:
    """Return the row that ``part`` makes in a process of its own, with one thread on one core.

    Raises
    ------
    RuntimeError
        It failed; the message is the last line that it said.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.throughput", "part", part, json.dumps(words)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | threads,
    )  # fmt: skip
    told = [line for line in run.stdout.splitlines() if line.startswith(RESULT)]
    if run.returncode or not told:
        raise RuntimeError((run.stderr.strip().splitlines() or ["no message"])[-1])
    row: Row = json.loads(told[-1].removeprefix(RESULT))
    return row


def best(part: str, turns: int, console: Console, tasks: list[tuple[Any, ...]]) -> list[Row]:
    """Return the row of each of ``tasks`` in the better of its turns; tasks take turns."""
    rows: dict[int, Row] = {}
    for turn in range(turns):
        for place, words in enumerate(tasks):
            try:
                row = measured(part, *words)
            except RuntimeError as error:
                console.print(f"{part} {words[0]}: failed: {error}", markup=False, highlight=False)
                continue
            known = rows.get(place)
            speed = f"{row['structures_per_s']:.2f} structures/s"
            console.print(f"{part} {words[0]}, turn {turn + 1}: {speed}", markup=False, highlight=False)
            if known is None or row["structures_per_s"] > known["structures_per_s"]:
                rows[place] = row | {"turns": turns}
    return [rows[place] for place in sorted(rows)]


def compared(rows: list[Row], model: Path, begun: list[Atoms]) -> list[Row]:
    """Add to ``rows`` how the structures of each ended, and how high beside the lowest end of all."""
    calculator, energies = load(f"mace:{model}"), []
    for row in rows:
        ends = [decode(end) for end in row.pop("ends")]
        row["ended"] = Counter(converged=0) + Counter(verdicts(ends, begun, model, FMAX))
        told = []
        for end in ends:
            end.calc = calculator
            told.append(end.get_potential_energy() / len(end))
        energies.append(told)
    above = 1e3 * (np.array(energies) - np.min(energies, axis=0))
    for row, excess in zip(rows, above, strict=True):
        row["meV_above_lowest"] = float(excess.mean())
        row["within_10_meV"] = float(100 * (excess <= 10).mean())
    return rows


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    n: Annotated[int, typer.Option(min=4, help="crystals for the small model")] = 64,
    n_larger: Annotated[int, typer.Option(min=4, help="crystals for the larger model")] = 8,
    n_gpu: Annotated[int, typer.Option(min=4, help="crystals on a GPU")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of the crystals and of the larger model")] = 4,
    turns: Annotated[int, typer.Option(min=1, help="turns of each method with the small model")] = 1,
    every: Annotated[bool, typer.Option("--all", help="with ASE's slower optimizers too")] = False,
    longest: Annotated[int, typer.Option(min=100, help="most clusters of a stream")] = STREAMED[-1],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="measure this part alone, and keep the others of --json: crystals, profile, stream"
        ),
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    table_path: Annotated[Path | None, typer.Option("--table", help="write the tables here")] = None,
) -> None:
    """Measure structures per second, where the time goes, and what a long stream takes."""
    if context.invoked_subcommand is not None:
        return
    console, chosen = Console(stderr=True, emoji=False), only or ["crystals", "profile", "stream"]
    command = f"python -m benchmarks.throughput {' '.join(sys.argv[1:])}".strip()
    record: dict[str, Any] = {} if not (only and json_path) else json.loads(json_path.read_text())
    record |= {
        "commands": record.get("commands", {}) | dict.fromkeys(chosen, command),
        "versions": versions("numpy", "ase", "torch", "mace-torch", "torch-sim-atomistic", "vesin", "relax"),
        "python": platform.python_version(),
        "processor": processor(),
        "seed": seed,
        "fmax": FMAX,
    }
    if "crystals" in chosen:
        record |= crystals(console, n, n_larger, n_gpu, seed, turns, every)
    if "profile" in chosen:
        record["profile"] = best("profile", turns + 1, console, [(rule, str(MINI), 32) for rule in PROFILED])
    if "stream" in chosen:
        lengths = [count for count in STREAMED if count <= longest]
        tasks = [(count,) for count in lengths]
        record["stream"] = best("stream", STREAM_TURNS, console, [task for task in tasks if task[0] <= 1000])
        record["stream"] += best("stream", 1, console, [task for task in tasks if task[0] > 1000])
    record["rows"] = rows_of(record)
    show(record)
    if json_path:
        json_path.write_text(json.dumps(record, indent=1) + "\n")
    if table_path:
        table_path.write_text(page(record))


def crystals(
    console: Console, n: int, n_larger: int, n_gpu: int, seed: int, turns: int, every: bool
) -> dict[str, list[Row]]:
    """Return the rows of every method, with the small model and the larger one, and those of a GPU."""
    batched, slow = (*OURS, *TORCH_SIM, *OURS_IN_TORCH_SIM), (*ONE_BY_ONE, *(SLOWER if every else ()))
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        larger, given = Path(folder, "larger.model"), Path(folder, "starts.traj")
        larger_mace(larger, seed)
        begun = starts(max(n, n_larger, n_gpu if on_hand() else 0), seed, ELEMENTS)
        write(given, begun)
        for name, model, count in (("mini", MINI, n), ("larger", larger, n_larger)):
            told = str(model), str(given), count
            some = turns if name == "mini" else 1
            rows = best("crystals", some, console, [(method, *told) for method in batched])
            rows += best("crystals", 1, console, [(method, *told) for method in slow])
            record[name] = compared(rows, model, begun[:count])
        record["gpu"] = gpu(console, str(given), n_gpu)
    return record


def rows_of(record: dict[str, Any]) -> list[Row]:
    """Return the rows of all models in one list, each with the name of its ``model``."""
    return [{"model": name, **row} for name in ("mini", "larger") for row in record.get(name, [])]


def on_hand() -> bool:
    """Return whether there is a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def gpu(console: Console, given: str, n: int) -> list[Row]:
    """Return the rows of a GPU; none where there is none."""
    if not on_hand():
        console.print("no GPU is to be had here, what is measured on one is skipped")
        return []
    tasks: list[tuple[Any, ...]] = [(f"relax:{rule}", str(MINI), given, n) for rule in ("fire", "lbfgs")]
    tasks += [("relax:lbfgs:one by one", str(MINI), given, max(4, n // 20))]
    return [*best("on_gpu", 1, console, tasks), measured("repeatable")]


def processor() -> str:
    """Return what the processor calls itself, where that can be known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@app.command(hidden=True)
def part(name: str, words: str) -> None:
    """Print the row of one part: what this benchmark starts for itself."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(RESULT + json.dumps(PARTS[name](*json.loads(words))))


if __name__ == "__main__":
    app()
