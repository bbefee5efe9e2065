"""Time of one update of every rule: ``python -m benchmarks.cost.update``.

For a structure of 100 atoms, and for larger ones up to a million atoms, with the exponent of the growth of
the time between the two largest.  The rules have the wrappers that optimizers put around them.  Gradients are
random, which does not change the time of a rule.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import print_plain, print_table
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.rules import LBFGS, RULES
from relax.rules.wrappers import for_atoms

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SMALL_MEMORY = 5
"""Pairs that L-BFGS keeps here: for a million atoms a hundred would be 10 GB."""


def seconds_per_update(rule: Rule, atoms: int, least: float) -> float:
    """Return the time of the fastest update (s), after enough updates to fill the memory of a rule.

    The fastest, since other processes on the machine can only slow it down.  At least five updates are timed,
    and as many as fit into ``least`` seconds.
    """
    rng = np.random.default_rng(0)
    x, seg = rng.normal(size=(atoms, 3)), Segments([atoms])
    gradients = [rng.normal(size=(atoms, 3)) for _ in range(4)]
    state, times = rule.init(x), []
    warm = SMALL_MEMORY + 5
    end = time.perf_counter() + least
    while len(times) < warm + 5 or (time.perf_counter() < end and len(times) < 2000):
        step = len(times)
        point = Point(x, gradients[step % 4], np.full((atoms, 1), -float(step)), seg)
        start = time.perf_counter()
        dx, state = rule.update(state, point)
        times.append(time.perf_counter() - start)
        x = x + dx
    return min(times[warm:])


def measure(sizes: tuple[int, ...], least: float) -> list[Json]:
    """Return a row for each rule: name, seconds by number of atoms, exponent of the growth."""
    rules = {name: for_atoms(rule()) for name, rule in RULES.items()}
    rules["lbfgs"] = for_atoms(LBFGS(memory=SMALL_MEMORY))
    rows: list[Json] = []
    for name, rule in rules.items():
        times = [seconds_per_update(rule, n, least) for n in sizes]
        growth = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])
        rows.append({"rule": name, "seconds": times, "exponent": float(growth)})
    return rows


def main(
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    largest: Annotated[int, typer.Option(help="Atoms of the largest structure.")] = SIZES[-1],
    least: Annotated[float, typer.Option(help="Seconds to spend on each figure.")] = 0.3,
) -> None:
    """Print the time of one update of every rule, by the number of atoms."""
    sizes = tuple(n for n in SIZES if n <= largest)
    rows = measure(sizes, least)
    console = Console()
    print_table(
        console,
        f"One update in numpy, ms, by number of atoms (lbfgs with a memory of {SMALL_MEMORY})",
        ("rule", *(f"{n:,}" for n in sizes), "exponent"),
        [
            [row["rule"], *(f"{1e3 * t:.3f}" for t in row["seconds"]), f"{row['exponent']:.2f}"]
            for row in rows
        ],
        ("rule",),
    )
    slowest = max(rows, key=lambda row: row["seconds"][0])
    print_plain(
        console,
        [
            "exponent: growth of the time with the atoms between the two largest sizes, 1 is linear",
            f"slowest rule on {sizes[0]} atoms: {slowest['rule']}, {1e3 * slowest['seconds'][0]:.3f} ms",
        ],
    )
    if json_path is not None:
        record = {
            "command": command_line("benchmarks.cost.update"),
            "versions": versions("numpy", "relax"),
            "python": platform.python_version(),
            "sizes": sizes,
            "rows": rows,
        }
        write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
