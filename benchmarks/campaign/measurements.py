"""What the commands of campaigns take: time, memory over time, and what a folder holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TypeVar

from relax import relax_many
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.runs.processes import in_processes
from relax.campaign.campaign import Campaign
from relax.campaign.store.structures import atoms_of
from relax.core.process import ONE_THREAD

Task = TypeVar("Task")

SAMPLE = 0.05
"""Seconds between two looks at the memory of the driver."""

TENTHS = 10


def driven(folder: Path, *words: object) -> Json:
    """Return what ``relax campaign run`` with these words takes.

    That is the time by the clock and of the processor (s), of the driver and its processes together and of
    the driver alone, the largest memory of the driver, and its medians in each tenth of the time (MB).

    Raises
    ------
    ValueError
        It fails; that a structure did not converge is no failure.
    """
    log, began = folder.with_suffix(".log"), time.perf_counter()
    samples, driver = [], 0.0
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "relax", "campaign", "run", folder, *map(str, words)],
            stdout=file,
            stderr=file,
            env=os.environ | ONE_THREAD,
        )
        try:
            while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
                samples.append(_memory(process.pid))
                driver = max(driver, _time(process.pid))
                time.sleep(SAMPLE)
        except BaseException:
            process.terminate()
            raise
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise ValueError(f"relax campaign run ended with {process.returncode}: {log.read_text()}")
    known = [value for value in samples if value == value]
    parts = [known[k * len(known) // TENTHS : (k + 1) * len(known) // TENTHS] for k in range(TENTHS)]
    return {
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "driver": driver,
        "memory": max(known, default=float("nan")),
        "tenths": [median(part) for part in parts if part],
    }


def _memory(pid: int) -> float:
    """Return the memory of a process, MB; NaN where that is not known."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), float("nan"))


def _time(pid: int) -> float:
    """Return the time of the processor of a process without its children, s; 0 where that is not known."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def alone(task: tuple[Path, list[int]]) -> Json:
    """Return the time (s) of ``relax_many`` on the structures of units, and its force calls.

    ``cpu`` is that of the processor, ``seconds`` that by the clock.  The structures are read before, and each
    unit is a call of its own.
    """
    path, numbers = task
    with Campaign(path) as campaign:
        settings = campaign.folder.settings
        potential = settings.load()
        wanted = set(numbers)
        units = [
            [atoms_of(line) for line in campaign.index.given(list(unit.ids))]
            for unit in campaign.index.units()
            if unit.number in wanted
        ]
    for _ in relax_many(units[0][:1], potential, **settings.arguments()):
        pass  # what is imported at the first use is not timed
    began, clock, calls = time.process_time(), time.perf_counter(), 0
    for structures in units:
        calls += sum(
            done.result.force_calls
            for done in relax_many(iter(structures), potential, **settings.arguments())
        )
    return {
        "cpu": time.process_time() - began,
        "seconds": time.perf_counter() - clock,
        "structures": sum(map(len, units)),
        "force_calls": calls,
    }


def apart(work: Callable[[Task], Json], task: Task) -> Json:
    """Return ``work(task)`` of a process of its own with one thread."""
    with closing(in_processes(work, [task], 1)) as results:
        (found,) = results
    return found


def compared(folder: Path, part: int, parts: int, start: float) -> Json:
    """Return a row that compares a part of a campaign with ``relax_many`` on the same units, in s.

    Parameters
    ----------
    folder, part, parts
        The campaign, which part of its units, and of how many.
    start
        Time of the processor of a campaign of one structure, s, which does not count.
    """
    with Campaign(folder) as campaign:
        campaign.index.catch_up()
        numbers = [unit.number for unit in campaign.index.units() if unit.number % parts == part]
    direct = apart(alone, (folder, numbers))
    run = driven(folder, "--workers", 1, "--shard", f"{part}/{parts}")
    number = direct["structures"]
    return {
        "structures": number,
        "force_calls": direct["force_calls"] / number,
        "alone": direct["cpu"] / number,
        "campaign": (run["cpu"] - start) / number,
        "bookkeeping": (run["cpu"] - start - direct["cpu"]) / number,
    }


def sizes(folder: Path) -> Json:
    """Return the number of files in each folder of a campaign, and their bytes."""
    return {
        part.name: {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
        for part in sorted(folder.iterdir())
        if part.is_dir()
        for files in [[file for file in part.iterdir() if file.is_file()]]
    }
