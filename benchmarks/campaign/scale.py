"""A campaign of a million structures: ``python -m benchmarks.campaign.scale``.

Pairs of Lennard-Jones atoms, the smallest structures there are: what is done for a structure beside its
relaxation counts most for them.  They are in one extended XYZ file, of which ``relax campaign init`` makes a
campaign.  Most of them get results from a generator, written as the processes of a campaign write them; the
others are relaxed by ``relax campaign run``.

First some parts of them with one worker, each beside ``relax_many`` on the same units: the difference
in time of the processor, driver and processes together, is what a campaign takes for a structure beside its
relaxation.  It includes reading the structure and writing its result; a campaign of one structure, which is
the start of the processes, does not count.  Then the rest, while the memory of the driver is looked at.

At last the index is made anew, ``relax campaign status`` is timed, and all results are exported.
Times by the clock depend on what else is running, and so those of the processor are given too.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.campaign.measurements import compared, driven, sizes
from benchmarks.campaign.pairs import FARTHEST, FMAX, NEAREST, SEED, made_up, written
from benchmarks.campaign.tables import TITLES, timed
from benchmarks.common.provenance import RESULTS, command_line, processor
from benchmarks.common.terminal import errors_in_one_line, print_table
from benchmarks.cost.command import command
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.campaign.campaign import Campaign
from relax.campaign.store.index_folder import VARIABLE
from relax.campaign.store.rounds import UNIT_COST
from relax.core.process import ONE_THREAD

JSON = RESULTS / "campaign_scale.json"

WORKERS = 2
"""Processes that relax those that are not compared."""

PARTS, TURNS = 20, 3
"""Parts of the structures that are relaxed, and how many of them are compared with relax_many."""

SHOWN = 5
"""Times that the status is shown."""


def made(folder: Path, structures: Path, unit_cost: float) -> Json:
    """Make a campaign of a file, and return what the command takes."""
    words = ("-c", "lj", "--fmax", FMAX, "--unit-cost", unit_cost)
    return command("campaign", "init", folder, structures, *words)


def shown(folder: Path) -> Json:
    """Return what ``relax campaign status`` takes."""
    return command("campaign", "status", folder)


def exported(folder: Path) -> Json:
    """Return what ``relax campaign export`` to an extended XYZ file takes, and the bytes of that."""
    file = folder.with_name("exported.extxyz")
    return command("campaign", "export", folder, "-o", file) | {"bytes": file.stat().st_size}


def starting(folder: Path) -> Json:
    """Return what a campaign of one structure takes, which is the start of the processes."""
    one = written(folder / "one.extxyz", 1)
    made(folder / "one", one, UNIT_COST)
    return driven(folder / "one", "--workers", 1)


def relaxed(folder: Path, start: float) -> tuple[list[Json], Json]:
    """Relax what waits; return the rows that compare parts with ``relax_many``, and what the rest takes."""
    with Campaign(folder) as campaign:
        campaign.index.catch_up()
        units = sum(1 for _ in campaign.index.units())
        parts = max(2, min(PARTS, units))
        rows = [compared(folder, part, parts, start) for part in range(min(TURNS, parts - 1))]
        waiting = campaign.status().waiting
        rest = driven(folder, "--workers", WORKERS) | {"structures": waiting, "workers": WORKERS}
        if left := campaign.status().waiting:
            raise ValueError(f"relax campaign run has left {left} structures")
    return rows, rest


def measured(folder: Path, structures: int, relax: int, unit_cost: float) -> Json:
    """Return all figures of a campaign of pairs, made in ``folder``, of which ``relax`` are relaxed."""
    os.environ |= ONE_THREAD | {VARIABLE: str(folder / "index")}
    file, path = written(folder / "pairs.extxyz", structures), folder / "pairs"
    start = starting(folder)
    found: Json = {"file": file.stat().st_size, "start": start, "init": made(path, file, unit_cost)}
    found["first_status"] = shown(path)
    began = time.perf_counter()
    with Campaign(path) as campaign:
        number, index = made_up(campaign, relax), campaign.index.path
    found["made_up"] = {"structures": number, "seconds": time.perf_counter() - began}
    found["taken_in"] = shown(path)
    found["compared"], found["run"] = relaxed(path, start["cpu"])
    for part in index.parent.glob(f"{index.name}*"):
        part.unlink()
    found["rebuilt"] = shown(path)
    found["status"] = [shown(path) for _ in range(SHOWN)]
    found["index"] = sum(part.stat().st_size for part in index.parent.glob(f"{index.name}*"))
    found["export"] = exported(path)
    with Campaign(path) as campaign:
        found["statuses"] = dict(campaign.status().statuses)
        found["units"] = campaign.index.newest_round()[1]
    return found | {"folders": sizes(path)}


def main(
    structures: Annotated[int, typer.Option(min=10, help="Structures.")] = 1_000_000,
    relax: Annotated[int, typer.Option("--relaxed", min=10, help="Those that are relaxed.")] = 100_000,
    unit_cost: Annotated[float, typer.Option(min=1, help="As for relax campaign init.")] = UNIT_COST,
    json_path: Annotated[Path, typer.Option("--json", help="Write the figures to this file.")] = JSON,
) -> None:
    """Print what a campaign of many small structures takes beside their relaxation."""
    with errors_in_one_line("scale"), tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), structures, relax, unit_cost)
    console = Console()
    record = {
        "command": command_line("benchmarks.campaign.scale"),
        "versions": versions("numpy", "scipy", "ase", "typer", "relax"),
        "python": platform.python_version(),
        "processor": processor(),
        "seed": SEED,
        "distances": [NEAREST, FARTHEST],
        "fmax": FMAX,
        "unit_cost": unit_cost,
        "structures": structures,
    } | found
    write_record(json_path, record)
    taken = [[cell.replace("`", "") for cell in row] for row in timed(record)]
    print_table(console, f"A campaign of {structures:,} pairs", TITLES, taken, ("",))
    turns = found["compared"]
    print_table(
        console,
        "Time of the processor, ms per structure",
        ("structures", "force calls", "relax_many", "campaign", "bookkeeping"),
        [
            [
                f"{row['structures']:,}",
                f"{row['force_calls']:.1f}",
                *(f"{1e3 * row[name]:.2f}" for name in ("alone", "campaign", "bookkeeping")),
            ]
            for row in turns
        ],
        (),
    )
    print_table(
        console,
        "Memory of the driver in each tenth of the time, MB",
        [f"{k + 1}" for k in range(len(found["run"]["tenths"]))],
        [[f"{value:.0f}" for value in found["run"]["tenths"]]],
        (),
    )


if __name__ == "__main__":
    typer.run(main)
