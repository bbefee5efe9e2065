"""Measurements in separate processes, each with one thread on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.jsonio import decode
from rich.console import Console

from benchmarks.common.provenance import ROOT
from benchmarks.common.terminal import print_plain
from benchmarks.throughput.gpu import on_gpu, repeatable
from benchmarks.throughput.measurements import Row, crystals, profile
from benchmarks.throughput.models import CAP, FMAX, statuses
from benchmarks.throughput.streams import stream
from relax.calculators.registry import load
from relax.core.process import ONE_THREAD

MEASUREMENTS: dict[str, Callable[..., Row]] = {
    function.__name__: function for function in (crystals, profile, stream, on_gpu, repeatable)
}
RESULT = "RESULT "
"""What comes before the row on stdout: libraries print too."""


def print_row(name: str, words: str) -> None:
    """Make a measurement and print its row."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(RESULT + json.dumps(MEASUREMENTS[name](*json.loads(words))))


NEWER = "newer_torch_sim"
"""The measurement that another Python makes, the path of which is the last of its words."""


def command(name: str, *words: Any) -> list[str]:
    """Return the command of the process that makes a measurement."""
    if name == NEWER:
        *words, python = words
        return [python, "-m", "benchmarks.throughput.newer_torch_sim", json.dumps([*words, FMAX, CAP])]
    return [sys.executable, "-W", "ignore", "-m", "benchmarks.throughput", "part", name, json.dumps(words)]


def measure(name: str, *words: Any) -> Row:
    """Return the row of a measurement, made in a process with one thread on one core.

    Raises
    ------
    RuntimeError
        It failed; the message is the last line on stderr.
    """
    run = subprocess.run(
        command(name, *words), capture_output=True, text=True, cwd=ROOT, env=os.environ | ONE_THREAD
    )
    rows = [line for line in run.stdout.splitlines() if line.startswith(RESULT)]
    if run.returncode or not rows:
        raise RuntimeError((run.stderr.strip().splitlines() or ["no message"])[-1])
    row: Row = json.loads(rows[-1].removeprefix(RESULT))
    return row


def best_of_turns(
    name: str, turns: int, console: Console, tasks: list[tuple[Any, ...]], python: Path | None = None
) -> list[Row]:
    """Return the fastest row of each of ``tasks``, which are measured ``turns`` times in turns.

    What a newer torch-sim does is measured with ``python``.
    """
    rows: dict[int, Row] = {}
    for turn in range(turns):
        for place, words in enumerate(tasks):
            try:
                newer = str(words[0]).startswith(NEWER)
                row = measure(NEWER, *words, str(python)) if newer else measure(name, *words)
            except RuntimeError as error:
                print_plain(console, [f"{name} {words[0]}: failed: {error}"])
                continue
            known = rows.get(place)
            speed = f"{row['structures_per_s']:.2f} structures/s"
            print_plain(console, [f"{name} {words[0]}, turn {turn + 1}: {speed}"])
            if known is None or row["structures_per_s"] > known["structures_per_s"]:
                rows[place] = row | {"turns": turns}
    return [rows[place] for place in sorted(rows)]


def with_ends(rows: list[Row], model: Path, begun: list[Atoms]) -> list[Row]:
    """Add to ``rows`` the statuses of the final structures, and their energies above the lowest of all."""
    calculator = load(f"mace:{model}")
    for row in rows:
        ends = [decode(end) for end in row.pop("ends")]
        row["ended"] = Counter(converged=0) + Counter(statuses(ends, begun, model, FMAX))
        for end in ends:
            end.calc = calculator
        row["energies"] = [end.get_potential_energy() / len(end) for end in ends]
    return with_excess(rows)


def with_excess(rows: list[Row]) -> list[Row]:
    """Replace the energies (eV/atom) in ``rows`` by what they are above the lowest of rows with as many."""
    lowest = {
        n: np.min([row["energies"] for row in rows if row["structures"] == n], axis=0)
        for n in {row["structures"] for row in rows}
    }
    for row in rows:
        excess = 1e3 * (np.array(row.pop("energies")) - lowest[row["structures"]])
        row["meV_above_lowest"] = float(excess.mean())
        row["within_10_meV"] = float(100 * (excess <= 10).mean())
    return rows
