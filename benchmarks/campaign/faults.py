"""A campaign that is killed again and again, and one that is left alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign.dask_cluster import Cluster
from benchmarks.campaign.subjects import Subject
from benchmarks.common.provenance import ROOT
from relax.campaign.campaign import Campaign

Json = dict[str, Any]

CALL_LIMIT = 20.0
"""Time after which a force call counts as one that never ends, s."""

LONGEST = 3600.0
"""Time after which the benchmark gives up on a campaign, s."""

ROOM = 64 * 1024
"""Bytes that are left on a disk that is nearly full."""


class Driver:
    """The driver of a campaign, started again whenever it has died."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.engine, self.started = folder, engine, 0
        self.process: subprocess.Popen[str] = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start one driver more."""
        self.started += 1
        limit = f"{CALL_LIMIT:g}s"
        command = ["-m", "relax", "campaign", "run", str(self.folder), "--engine", self.engine]
        return subprocess.Popen(
            [sys.executable, *command, "--call-limit", limit],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def restart(self) -> None:
        """Start it again if it has died."""
        if self.process.poll() is not None:
            self.process.communicate()
            self.process = self.start()

    def finish(self) -> str:
        """Wait until it has ended; start it again if it was killed.  Return its last words."""
        while True:
            _, errors = self.process.communicate(timeout=LONGEST)
            if self.process.returncode in (0, 1):
                return errors
            if self.process.returncode != -signal.SIGKILL and self.process.returncode != 2:
                raise RuntimeError(f"a driver ended with {self.process.returncode}: {errors}")
            time.sleep(1)
            self.process = self.start()


def kill_at_random(driver: Driver, cluster: Cluster, number: int, rng: np.random.Generator) -> Iterator[str]:
    """Kill a worker, a process of the engine, the driver, or driver and worker; yield what was killed."""
    while number:
        time.sleep(rng.uniform(0.5, 4.0))
        driver.restart()
        kind = str(rng.choice(["worker", "engine", "driver", "both"], p=[0.4, 0.2, 0.2, 0.2]))
        victims = {
            "worker": cluster.relaxing(), "engine": cluster.members(), "driver": [driver.process.pid],
            "both": [driver.process.pid, *cluster.relaxing()[:1]],
        }[kind]  # fmt: skip
        if kind in ("worker", "engine") and victims:
            victims = [int(rng.choice(victims))]
        killed = 0
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        if killed:
            number -= 1
            yield kind


def two_drivers(folder: Path, engine: str) -> Json:
    """Start two drivers at once; return how many went on, and what the other one said."""
    drivers = [Driver(folder, engine) for _ in range(2)]
    time.sleep(15)
    at_work, refused = 0, []
    for driver in drivers:
        if driver.process.poll() is None:
            driver.process.send_signal(signal.SIGTERM)
        _, errors = driver.process.communicate(timeout=120)
        if driver.process.returncode == 2:
            refused.append(errors)
        else:
            at_work += 1
    return {"at_work": at_work, "refused": len(refused), "said": _shortened(refused, folder)}


def full_disk(folder: Path, engine: str) -> Json:
    """Fill the disk of a campaign, start a driver, and make room again; return what the driver said."""
    space = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * max(space.f_bavail * space.f_frsize - ROOM, 0))
    driver = Driver(folder, engine)
    try:
        _, errors = driver.process.communicate(timeout=600)
    finally:
        ballast.unlink()
    return {"code": driver.process.returncode, "said": _shortened([errors], folder)}


def _shortened(texts: list[str], folder: Path) -> list[str]:
    lines = [line for text in texts for line in text.splitlines()]
    return [line.replace(str(folder), "DIR") for line in lines]


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Make ``folder`` a disk of its own, in memory, where that is allowed; yield whether it is."""
    folder.mkdir()
    size = f"size={megabytes}m"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True)
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)


def disturb(subject: Subject, number: int, kills: int, folder: Path, workers: int, seed: int) -> Json:
    """Run a campaign alone, and one that is killed; return how they compare.

    Parameters
    ----------
    subject, number
        What it is of, and how many structures.
    kills
        How often something is killed.
    folder
        An empty folder.
    workers
        Number of workers.
    seed
        Of the kills.
    """
    structures = subject.structures(number)
    settings = {"cell": True, "fmax": 0.05} | subject.settings
    rng = np.random.default_rng(seed)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", 512))
        quiet, disturbed = folder / "quiet", folder / "disk" / "disturbed"
        for path in (quiet, disturbed):
            Campaign.create(path, structures, **settings).close()
        began = time.monotonic()
        Driver(quiet, "processes").finish()
        alone = time.monotonic() - began
        cluster = stack.enter_context(Cluster(folder, workers))
        engine = f"dask:{cluster.file}"
        filled = full_disk(disturbed, engine) if disk else {"skipped": "a disk of its own needs root"}
        twice = two_drivers(disturbed, engine)
        began = time.monotonic()
        driver = Driver(disturbed, engine)
        killed = Counter(kill_at_random(driver, cluster, kills, rng))
        driver.finish()
        return _compared(quiet, disturbed) | {
            "subject": subject.name, "structures": number, "kills": killed.total(), "killed": dict(killed),
            "drivers": driver.started, "seconds_alone": round(alone, 1),
            "seconds_disturbed": round(time.monotonic() - began, 1),
            "two_drivers": twice, "full_disk": filled,
        }  # fmt: skip


def _compared(quiet: Path, disturbed: Path) -> Json:
    """Return whether two campaigns have the same results, to the last bit, and each structure once."""
    digests, ids = [], []
    for path in (quiet, disturbed):
        with Campaign(path) as campaign:
            export = path.with_suffix(".extxyz")
            campaign.export(export, "extxyz")
            digests.append(hashlib.sha256(export.read_bytes()).hexdigest())
            ids.append([outcome.id for outcome in campaign.results() if outcome.found is not None])
            totals = campaign.status()
    files = list((disturbed / "results").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return {
        "identical": digests[0] == digests[1], "sha256": digests[0],
        "each_once": ids[0] == ids[1] == list(range(totals.structures)),
        "statuses": dict(totals.statuses), "waiting": totals.waiting,
        "written": sum(b'"positions"' in line or b'"worker_lost"' in line for line in lines),
        "processes": len(files),
    }  # fmt: skip
