"""The same campaign on each engine: processes, Dask, Parsl, executorlib, four shards, and SLURM."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.campaign.dask_cluster import Cluster
from benchmarks.common.provenance import ROOT
from benchmarks.throughput.models import MINI, starts
from relax.campaign.campaign import Campaign
from relax.campaign.slurm import job_script

Json = dict[str, Any]

SEED = 13
WORKERS = 2
SHARDS = 4
LONGEST = 1800.0
"""Time after which an engine counts as hanging, s."""

PARSL = """\
from parsl import Config, HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node={workers},
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
    ]
)
"""

SLURM_NODE = ROOT / "benchmarks" / "campaign" / "slurm_node.sh"


class Skipped(Exception):
    """An engine cannot be had here; the message says why."""


def compare_engines(folder: Path, number: int) -> Json:
    """Run a campaign on each engine; return how long each took, and whether it has found the same.

    Parameters
    ----------
    folder
        Where the campaigns are.
    number
        Crystals of each.
    """
    structures = starts(number, SEED)
    rows: list[Json] = []
    for name, run in ENGINES.items():
        place = folder / f"engine-{name.replace(' ', '-')}"
        place.mkdir()
        campaign = place / "campaign"
        Campaign.create(campaign, structures, f"mace:{MINI}", cell=True, unit_cost=3000.0).close()
        began = time.monotonic()
        try:
            run(campaign)
        except Skipped as why:
            rows.append({"engine": name, "skipped": str(why)})
            continue
        rows.append({"engine": name, "seconds": round(time.monotonic() - began, 1), **_found(campaign)})
        rows[-1]["identical"] = rows[-1]["sha256"] == rows[0]["sha256"]
    return {"structures": number, "seed": SEED, "workers": WORKERS, "rows": rows}


def _found(path: Path) -> Json:
    """Return how the structures of a campaign have ended, and what tells its export from others."""
    with Campaign(path) as campaign:
        export = path.with_suffix(".extxyz")
        campaign.export(export, "extxyz")
        totals = campaign.status()
    digest = hashlib.sha256(export.read_bytes()).hexdigest()
    return {"statuses": dict(totals.statuses), "waiting": totals.waiting, "sha256": digest}


def _start(campaign: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "relax", "campaign", "run", str(campaign), *words]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip


def _finish(*drivers: subprocess.Popen[str]) -> None:
    """Wait for drivers; ValueError if one fails."""
    for driver in drivers:
        _, errors = driver.communicate(timeout=LONGEST)
        if driver.returncode not in (0, 1):
            raise ValueError(f"a driver ended with {driver.returncode}: {' '.join(errors.split())}")


def _processes(campaign: Path) -> None:
    _finish(_start(campaign, "--workers", str(WORKERS)))


def _dask(campaign: Path) -> None:
    with Cluster(campaign.parent, WORKERS) as cluster:
        _finish(_start(campaign, "--engine", f"dask:{cluster.file}"))


def _parsl(campaign: Path) -> None:
    config = campaign.parent / "config.py"
    config.write_text(PARSL.format(workers=WORKERS))
    _finish(_start(campaign, "--engine", f"parsl:{config}"))


def _executorlib(campaign: Path) -> None:
    _finish(_start(campaign, "--engine", "executorlib:local", "--workers", str(WORKERS)))


def _shards(campaign: Path) -> None:
    _finish(*(_start(campaign, "--shard", f"{k}/{SHARDS}", "--workers", "1") for k in range(SHARDS)))


def _slurm(campaign: Path) -> None:
    with _slurm_node():
        with Campaign(campaign) as opened:
            script = job_script(opened.folder, jobs=2, cores=1, minutes=30)
        path = campaign.parent / "job.sh"
        path.write_text(script)
        done = subprocess.run(
            ["sbatch", "--wait", path],
            capture_output=True, text=True, timeout=LONGEST, cwd=campaign.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    if done.returncode not in (0, 1):
        raise ValueError(f"sbatch ended with {done.returncode}: {' '.join(done.stderr.split())}")


@contextlib.contextmanager
def _slurm_node() -> Iterator[None]:
    """Have a SLURM of one node within the block; Skipped where there can be none."""
    started = subprocess.run(["bash", SLURM_NODE, "start"], capture_output=True, text=True)
    if started.returncode:
        raise Skipped(" ".join(started.stderr.split()) or "slurm_node.sh failed")
    try:
        yield
    finally:
        subprocess.run(["bash", SLURM_NODE, "stop"], capture_output=True, check=False)


ENGINES: dict[str, Callable[[Path], None]] = {
    "processes": _processes,
    "dask": _dask,
    "parsl": _parsl,
    "executorlib": _executorlib,
    f"{SHARDS} shards": _shards,
    "slurm": _slurm,
}
