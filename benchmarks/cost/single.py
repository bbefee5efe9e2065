"""Time of one structure through a MACE file: ``python -m benchmarks.cost.single``.

The same crystals, one after the other, by ``relax.relax``, by ``relax_many`` as a batch of one, and by the
ASE optimizer with the calculator of mace-torch, which builds its neighbour list anew at every call.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from rich.console import Console

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import print_table
from benchmarks.throughput.models import CAP, FMAX, MINI, one_thread, starts, warm_up
from relax import InternalLBFGSRelax, Result, relax, relax_many
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.comparison.runs.call_counter import silenced
from relax.calculators import as_potential, load

Run = Callable[[Atoms], Result]


def ways(calculator: Any) -> dict[str, Run]:
    """Return the ways to relax one structure with a MACE ``calculator``."""
    potential = as_potential(calculator)

    def many(atoms: Atoms) -> Result:
        (done,) = relax_many([atoms], potential, fmax=FMAX, steps=CAP, cell=True)
        return done.result

    def by_class(atoms: Atoms) -> Result:
        atoms.calc = calculator
        optimizer = InternalLBFGSRelax(atoms, logfile=None, cell=True)
        optimizer.run(FMAX, CAP)
        return optimizer.result

    return {
        "relax.relax": lambda atoms: relax(atoms, calculator, fmax=FMAX, steps=CAP, cell=True),
        "relax_many, a batch of one": many,
        "InternalLBFGSRelax, the calculator of mace-torch": by_class,
    }


def measure(n: int, seed: int, turns: int) -> list[Json]:
    """Return a row for each way: force calls, and ms for each of them, the least of all turns."""
    one_thread()
    calculator, crystals = load(f"mace:{MINI}"), starts(n, seed)
    warm_up(calculator, crystals[0])
    rows: dict[str, Json] = {}
    for _ in range(turns):
        for name, run in ways(calculator).items():
            with silenced():
                run(crystals[0].copy())
                began = time.perf_counter()
                calls = [run(atoms.copy()).force_calls for atoms in crystals]
                ms = 1e3 * (time.perf_counter() - began) / sum(calls)
            best = min(ms, rows.get(name, {}).get("ms_per_call", np.inf))
            rows[name] = {"way": name, "force_calls": float(np.mean(calls)), "ms_per_call": best}
    return list(rows.values())


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Number of crystals.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the crystals.")] = 4,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each way; the fastest counts.")] = 3,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Print the time of a force call, and of a step around it, of single structures."""
    rows = measure(n, seed, turns)
    print_table(
        Console(),
        f"{n} crystals with mace-mini, positions and cell, one by one",
        ("way", "force calls", "ms per call"),
        [[row["way"], f"{row['force_calls']:.1f}", f"{row['ms_per_call']:.2f}"] for row in rows],
        ("way",),
    )
    if json_path is not None:
        record = {
            "command": command_line("benchmarks.cost.single"),
            "versions": versions("numpy", "ase", "torch", "mace-torch", "relax"),
            "python": platform.python_version(),
            "n": n,
            "seed": seed,
            "rows": rows,
        }
        write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
