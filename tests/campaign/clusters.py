"""Real engines on this machine, each within a block, and the small campaign that runs on them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import relax
from relax.campaign.campaign import Campaign

ROOT = Path(relax.__file__).parent.parent

PARSL = """
from parsl import Config, HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node=2,
            heartbeat_period=1,
            heartbeat_threshold=5,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
    ]
)
"""

SLOW = """
import os
import time
from pathlib import Path

from ase.calculators.emt import EMT


class Slow(EMT):
    seconds = 0.1

    def calculate(self, *args):
        Path(os.environ["CALLED"]).touch()
        time.sleep(self.seconds)
        super().calculate(*args)


def slow():
    return Slow()


class Hung(Slow):
    seconds = 3600


def hung():
    return Hung()
"""
"""Calculators that give what EMT gives; the second takes an hour."""

DRIVER = """
import sys

from relax.campaign.campaign import Campaign

if __name__ == "__main__":
    folder, engine, workers, grace = sys.argv[1:]
    with Campaign(folder) as campaign:
        print(campaign.run(int(workers) or None, engine, grace=float(grace)))
"""


def crystals(count=12):
    """Return copper cells whose atoms are a little off their places, of several sizes."""
    random = np.random.default_rng(5)
    found = []
    for number in range(count):
        atoms = bulk("Cu", a=3.55 + 0.02 * number) * (1 + number % 3, 1, 1)
        atoms.positions += random.normal(0, 0.05, atoms.positions.shape)
        found.append(atoms)
    return found


def campaign(path, calculator="emt", **settings):
    """Return a campaign of small units."""
    settings = {"cell": True, "fmax": 0.02, "unit_cost": 60.0} | settings
    return Campaign.create(path, crystals(), calculator, **settings)


def ends(found):
    """Return what a campaign has found, to the last bit."""
    return [(o.id, o.status, o.energy, o.atoms.positions.tolist()) for o in found.results()]


def children(path):
    """Return the ids of the processes that relax structures of a campaign, on this machine."""
    logs = str(Path(path, "logs").absolute())
    return [pid for pid in _processes("relax.campaign.work.child") if logs in _open_files(pid)]


def _processes(word):
    """Return the ids of the processes with a word in their command lines; those that have ended have none."""
    lines = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in lines.splitlines() if word in line]


def _open_files(pid):
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return "\n".join(found)


def offspring(pid):
    """Return the processes that one has started, and those that these have."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in lines.splitlines()]
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in pairs if parent in new} - found
        found |= new
    return found


def wait_for(condition, seconds=60):
    """Wait for a condition; fail if it does not come true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not come true"
        time.sleep(0.1)


def assert_none_left(path, seconds=60):
    """Wait for the processes of a campaign to end; where the engine lives on it takes them some seconds."""
    wait_for(lambda: not children(path), seconds)


@contextlib.contextmanager
def dask_cluster(workers=2):
    """Yield the address of a Dask scheduler with workers of one thread."""
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield f"dask:{cluster.scheduler_address}"


@contextlib.contextmanager
def parsl_file(folder):
    """Yield the name of a Parsl engine."""
    pytest.importorskip("parsl")
    file = Path(folder, "parsl_config.py")
    file.write_text(PARSL)
    yield f"parsl:{file}"


@contextlib.contextmanager
def named(kind, folder):
    """Yield the name of an engine of a kind with two workers, and the number that is to be said, or 0."""
    if kind == "dask":
        with dask_cluster() as name:
            yield name, 0
    elif kind == "parsl":
        with parsl_file(folder) as name:
            yield name, 0
    else:
        if kind != "processes":
            pytest.importorskip("executorlib")
        yield kind, 2


def slurm(*words, check=True):
    """Run a command of SLURM, and return what it says; skip where there is no SLURM."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0:
        pytest.skip("there is no SLURM here; benchmarks/campaign/slurm_node.sh sets one up")
    return subprocess.run(words, capture_output=True, text=True, check=check).stdout
