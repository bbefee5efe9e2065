"""Campaigns under faults, and on more processes: ``python -m benchmarks.campaign [--faults N]``.

``faults``: two campaigns, of crystals of metals with EMT and of others with ``data/mace-mini.model``, are run
twice each: left alone, and on a Dask cluster of this machine while something is killed with ``kill -9``
again and again at random moments: a process that relaxes, a worker of the engine, the driver, or driver and
process at once.  Besides, two drivers start at once, and the disk is full for a while.  EMT ends its process
at one of the structures and never returns at another one.  Each structure must be there once, and both
exports must be equal to the last byte.

``engines``: the same campaign on processes, Dask, Parsl, executorlib, four shards, and a one-node SLURM that
``benchmarks/campaign/slurm_node.sh`` sets up.

``workers``: the same campaign with one process and with two, in turn.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.campaign.engines import compare_engines
from benchmarks.campaign.faults import disturb
from benchmarks.campaign.subjects import SUBJECTS
from benchmarks.campaign.workers import compare_workers
from benchmarks.common.provenance import RESULTS, command_line, processor
from benchmarks.common.terminal import errors_in_one_line, print_plain, print_table
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import write_record

Json = dict[str, Any]

PACKAGES = ("numpy", "ase", "torch", "mace-torch", "dask", "distributed", "executorlib", "parsl", "relax")


def main(
    faults: Annotated[int, typer.Option(min=0, help="How often something is killed; 0: no faults.")] = 100,
    structures: Annotated[int, typer.Option(min=8, help="Structures of each campaign under faults.")] = 1000,
    crystals: Annotated[int, typer.Option(min=0, help="Crystals for more processes; 0: none.")] = 600,
    on_engines: Annotated[int, typer.Option(min=0, help="Crystals on each engine; 0: none.")] = 120,
    turns: Annotated[int, typer.Option(min=1, help="Turns of one and two processes.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the cluster.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the kills.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Keep the campaigns in this folder.")] = None,
) -> None:
    """Kill campaigns at random, compare with those left alone; compare one process with two."""
    console = Console()
    with errors_in_one_line("campaign"), tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        if faults:
            rows: list[Json] = []
            for row in _faults(place, structures, faults, workers, seed):
                rows.append(row)
                _write("campaign_faults.json", {"seed": seed, "workers": workers, "rows": rows})
            _show_faults(console, rows)
        if on_engines:
            compared = compare_engines(place, on_engines)
            _show_engines(console, compared)
            _write("campaign_engines.json", compared)
        if crystals:
            found = compare_workers(place, crystals, turns)
            _show_workers(console, found)
            _write("campaign_workers.json", found)
    if faults and not all(row["identical"] and row["each_once"] for row in rows):
        raise typer.Exit(1)


def _faults(place: Path, structures: int, faults: int, workers: int, seed: int) -> Iterator[Json]:
    for k, subject in enumerate(SUBJECTS):
        kills = faults // 2 + (faults % 2 if k else 0)
        folder = place / f"faults-{k}"
        folder.mkdir()
        yield disturb(subject, structures, kills, folder, workers, seed + k)


def _show_faults(console: Console, rows: list[Json]) -> None:
    print_table(
        console,
        "Campaigns that are killed, and the same ones left alone",
        ("campaign", "structures", "kills", "drivers", "processes", "each once", "identical", "s alone", "s"),
        [
            [
                row["subject"], f"{row['structures']:,}",
                str(row["kills"]),
                str(row["drivers"]), str(row["processes"]), "yes" if row["each_once"] else "NO",
                "yes" if row["identical"] else "NO", f"{row['seconds_alone']:.0f}",
                f"{row['seconds_disturbed']:.0f}",
            ]
            for row in rows
        ],
        (),
    )  # fmt: skip
    lines = []
    for row in rows:
        ends = ", ".join(f"{number} {status}" for status, number in row["statuses"].items())
        twice, disk = row["two_drivers"], row["full_disk"]
        killed = ", ".join(f"{number} {kind}" for kind, number in sorted(row["killed"].items()))
        lines += [
            f"{row['subject']}: {ends}",
            f"killed: {killed}",
            f"two drivers: {twice['at_work']} at work, {twice['refused']} refused: {twice['said'][:1]}",
            f"full disk: {disk.get('skipped') or disk['said']}",
        ]
    print_plain(console, lines)


def _show_engines(console: Console, found: Json) -> None:
    print_table(
        console,
        f"{found['structures']} crystals, data/mace-mini.model, positions and cell",
        ("engine", "s", "ends", "as with processes"),
        [
            [
                row["engine"], f"{row['seconds']:.0f}",
                ", ".join(f"{number} {status}" for status, number in row["statuses"].items()),
                "yes" if row["identical"] else "NO",
            ]
            if "skipped" not in row
            else [row["engine"], "-", f"skipped: {row['skipped']}", "-"]
            for row in found["rows"]
        ],
        (),
    )  # fmt: skip


def _show_workers(console: Console, found: Json) -> None:
    print_table(
        console,
        f"{found['structures']} crystals, data/mace-mini.model, positions and cell",
        ("processes", "structures/s, each turn", "of one process"),
        [
            [
                str(row["workers"]), ", ".join(f"{rate:.2f}" for rate in row["rates"]),
                f"{row['ratio']:.2f}",
            ]
            for row in found["rows"]
        ],
        (),
    )  # fmt: skip


def _write(name: str, content: Json) -> None:
    head = {
        "command": command_line("benchmarks.campaign"),
        "versions": versions(*PACKAGES),
        "python": platform.python_version(),
        "processor": processor(),
    }
    write_record(RESULTS / name, head | content)


if __name__ == "__main__":
    typer.run(main)
