"""Real engines on this machine, each within a block, and the small campaign that runs on them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
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
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
    ]
)
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
    out = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    pids = [int(line.split()[0]) for line in out.splitlines() if "relax.campaign.work.child" in line]
    return [pid for pid in pids if str(path) in _open_files(pid)]


def _open_files(pid):
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return "\n".join(found)


def assert_none_left(path, seconds=20):
    """Wait for the processes of a campaign to end; where the engine lives on it takes them some seconds."""
    until = time.monotonic() + seconds
    while children(path):
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.1)


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


def slurm(*words, **options):
    """Run a command of SLURM, and return what it says; skip where there is no SLURM."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0:
        pytest.skip("there is no SLURM here; benchmarks/campaign/slurm_node.sh sets one up")
    return subprocess.run(words, capture_output=True, text=True, check=True, **options).stdout


def python(*words, **options):
    """Start Python in a process of its own."""
    return subprocess.Popen([sys.executable, *map(str, words)], **options)
