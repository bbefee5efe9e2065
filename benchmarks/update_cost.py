"""What one update costs outside the calculator: ``python -m benchmarks.update_cost``.

Prints the time of one ``update`` of every rule, dressed as its optimizer runs it, on one structure of
100 atoms, and on structures up to a million atoms with the exponent of the growth between the two
largest.  Gradients are random: a rule does the same work whatever it is shown.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from relax import __version__
from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.rules import LBFGS, RULES
from relax.rules.wrappers import for_atoms

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SMALL_MEMORY = 5
"""Pairs an L-BFGS of a million atoms keeps here: a hundred would be 10 GB."""


def seconds_per_update(rule: Rule, atoms: int, least: float) -> float:
    """Return the time of the fastest update (s), after enough updates to fill short memories.

    The fastest, since what else runs on the machine only adds.  At least five updates are timed, and as
    many as fit into ``least`` seconds.
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


def measure(sizes: tuple[int, ...], least: float) -> list[dict[str, object]]:
    """Return a row for each rule: name, seconds by number of atoms, exponent of the growth."""
    rules = {name: for_atoms(rule()) for name, rule in RULES.items()}
    rules["lbfgs"] = for_atoms(LBFGS(memory=SMALL_MEMORY))
    rows: list[dict[str, object]] = []
    for name, rule in rules.items():
        times = [seconds_per_update(rule, n, least) for n in sizes]
        growth = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])
        rows.append({"rule": name, "seconds": times, "exponent": float(growth)})
    return rows


def main(
    json_path: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    largest: Annotated[int, typer.Option(help="atoms of the largest structure")] = SIZES[-1],
    least: Annotated[float, typer.Option(help="seconds to spend on each figure")] = 0.3,
) -> None:
    """Print what one update of every rule costs, by the number of atoms."""
    sizes = tuple(n for n in SIZES if n <= largest)
    rows = measure(sizes, least)
    table = Table(
        title=f"One update in numpy, ms, by number of atoms (lbfgs with a memory of {SMALL_MEMORY})",
        caption="exponent: growth of the time with the atoms between the two largest sizes, 1 is linear",
    )
    table.add_column("rule", no_wrap=True)
    for n in sizes:
        table.add_column(f"{n:,}", justify="right")
    table.add_column("exponent", justify="right")
    for row in rows:
        cells = [f"{1e3 * t:.3f}" for t in row["seconds"]]  # type: ignore[attr-defined]
        table.add_row(str(row["rule"]), *cells, f"{row['exponent']:.2f}")
    Console().print(table)
    slowest = max(rows, key=lambda row: row["seconds"][0])  # type: ignore[index]
    print(f"slowest rule on {sizes[0]} atoms: {slowest['rule']}, {1e3 * slowest['seconds'][0]:.3f} ms")  # type: ignore[index]
    if json_path is not None:
        record = {
            "command": f"python -m benchmarks.update_cost {' '.join(sys.argv[1:])}".strip(),
            "versions": {"numpy": np.__version__, "relax": __version__},
            "python": platform.python_version(),
            "sizes": sizes,
            "rows": rows,
        }
        json_path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
