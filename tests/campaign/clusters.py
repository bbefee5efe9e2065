"""Real engines on this machine, each within a block, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

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


def parent(pid):
    """Return the process that has started another one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


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
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield f"dask:{cluster.scheduler_address}"


def parsl_file():
    """Return the name of a Parsl engine, whose file is written to the current folder."""
    pytest.importorskip("parsl")
    Path("parsl_config.py").write_text(PARSL)
    return "parsl:parsl_config.py"


@contextlib.contextmanager
def named(kind):
    """Yield the name of an engine of a kind with two workers, and their number if it is to be said."""
    if kind == "dask":
        with dask_cluster() as name:
            yield name, None
    elif kind == "parsl":
        yield parsl_file(), None
    else:
        if kind != "processes":
            pytest.importorskip("executorlib")
        yield kind, 2


def slurm(*words, check=True):
    """Run a command of SLURM, and return what it says; skip where there is no SLURM."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0:
        pytest.skip("there is no SLURM here; benchmarks/campaign/slurm_node.sh sets one up")
    return subprocess.run(words, capture_output=True, text=True, check=check).stdout
