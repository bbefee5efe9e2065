"""The same campaign with one process and with two."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from statistics import median

from ase import Atoms

from benchmarks.campaign.measurements import alone, apart
from benchmarks.throughput.models import MINI, starts
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.runs.processes import in_processes
from relax.campaign.campaign import Campaign

SEED = 12


def compare_workers(folder: Path, number: int, turns: int) -> Json:
    """Return structures per second of one process and of two, which take turns.

    The time is that from the first result that is on the disk to the last one: what the start of a process
    and the loading of the model take does not grow with a campaign.  ``machine`` is how much two processes
    that know nothing of each other do, each ``relax_many`` on half of the units, over what one does.

    Parameters
    ----------
    folder
        Where the campaigns are.
    number
        Crystals of each.
    turns
        Turns of both.
    """
    structures = starts(number, SEED)
    rates: dict[int, list[float]] = {1: [], 2: []}
    whole: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(turns):
        for workers in (1, 2) if turn % 2 else (2, 1):
            path = folder / f"workers-{workers}-{turn}"
            with Campaign.create(path, structures, f"mace:{MINI}", cell=True) as campaign:
                rate, seconds = _rate(campaign, workers)
            rates[workers].append(rate)
            whole[workers].append(number / seconds)
    rows = [
        {
            "workers": workers, "rates": rates[workers], "rates_with_start": whole[workers],
            "ratio": median(mine / its for mine, its in zip(rates[workers], rates[1], strict=True)),
        }
        for workers in (1, 2)
    ]  # fmt: skip
    return {
        "structures": number,
        "seed": SEED,
        "rows": rows,
        "machine": _machine(folder / "machine", structures, turns),
    }


def _machine(path: Path, structures: list[Atoms], turns: int) -> float:
    """Return what two processes do over what one does, on the units of a campaign; the best turn counts."""
    with Campaign.create(path, structures, f"mace:{MINI}", cell=True) as campaign:
        campaign.index.catch_up()
        numbers = [unit.number for unit in campaign.index.units()]
    halves = [(path, numbers[::2]), (path, numbers[1::2])] if len(numbers) > 1 else [(path, numbers)] * 2
    found = []
    for _ in range(turns):
        one = apart(alone, halves[0])
        with closing(in_processes(alone, halves, 2)) as results:
            both = list(results)
        rates = [each["structures"] / each["seconds"] for each in (one, *both)]
        found.append(sum(rates[1:]) / rates[0])
    return max(found)


def _rate(campaign: Campaign, workers: int) -> tuple[float, float]:
    """Return structures per second, without what it takes to begin; and the time of it all, s."""
    seen: list[tuple[float, int]] = []
    began = time.monotonic()
    campaign.run(workers, told=lambda totals: seen.append((time.monotonic(), totals.statuses.total())))
    seen.append((time.monotonic(), campaign.status().statuses.total()))
    ended, total = seen[-1]
    first, there = next(each for each in seen if each[1])
    if there == total:  # all came before the first look
        first, there = began, 0
    return (total - there) / (ended - first), ended - began
