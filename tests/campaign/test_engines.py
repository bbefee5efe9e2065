"""One campaign on engines of all kinds: each gives the same results, and leaves no process behind."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from clusters import assert_none_left, ends, named, slurm, wait_for

from relax.campaign.campaign import Campaign
from relax.campaign.slurm import job_script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def campaign(crystals, monkeypatch):
    """Return a function that makes a campaign of small units."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def make(name, calculator="emt"):
        return Campaign.create(name, crystals(12), calculator, cell=True, fmax=0.02, unit_cost=300)

    return make


@pytest.fixture
def expected(campaign, workplace):
    """Return what processes of this machine find, and leave no process."""
    with campaign("expected") as found:
        assert found.run(workers=2) is None
        assert_none_left("expected", 0)
        assert found.status().statuses["converged"] == 12
        before = set(os.listdir())
        yield ends(found)
    # Nothing of an engine is written to the current folder.
    assert set(os.listdir()) - before <= {"c", "c d", "parsl_config.py", "job.sh", "__pycache__"}


@pytest.mark.parametrize("kind", ["dask", "parsl", "executorlib:local"])
def test_engines_find_the_same(kind, campaign, expected):
    with named(kind) as (name, workers), campaign("c") as found:
        assert found.run(workers, name) is None
        assert ends(found) == expected
        assert_none_left("c")


def test_a_given_executor_finds_the_same(campaign, expected):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor, campaign("c") as found:
        assert found.run(executor=executor) is None
        assert ends(found) == expected
        assert_none_left("c")


def test_shards_find_the_same(campaign, expected):
    with campaign("c") as found:
        assert found.run(workers=1, shard=(0, 2)) is None
        assert 0 < found.status().waiting < len(expected)
        assert found.run(workers=1, shard=(1, 2)) is None
        assert ends(found) == expected


@pytest.mark.parametrize("allocation", [False, True])
def test_slurm_jobs_find_the_same(allocation, campaign, expected):
    slurm("sinfo")
    with campaign("c d") as found:
        script = job_script(found.folder, jobs=2, cores=1 + allocation, allocation=allocation)
        Path("job.sh").write_text(script)
        # A job that ends before the others says that not all structures have converged yet.
        slurm("sbatch", "--wait", "job.sh", check=False)
        assert ends(found) == expected, "\n".join(p.read_text() for p in found.folder.logs.glob("*.out"))
        assert_none_left("c d")


def test_a_slurm_job_that_is_put_back_goes_on(campaign, expected):
    slurm("sinfo")
    with campaign("c", "calculators_of_tests:slow") as found:
        Path("job.sh").write_text(job_script(found.folder, jobs=1, cores=1))
        job = slurm("sbatch", "--parsable", "job.sh").strip()
        wait_for(lambda: found.status().statuses["converged"])
        slurm("scontrol", "requeue", f"{job}_0")
        wait_for(lambda: "PENDING" in slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}"))
        assert_none_left("c")
        assert not list(found.folder.drivers.iterdir())
        assert 0 < found.status().waiting < len(expected)
        slurm("scontrol", "update", f"jobid={job}", "StartTime=now")
        wait_for(lambda: found.status().waiting == 0)
        assert ends(found) == expected
        wait_for(lambda: not slurm("squeue", "--noheader", f"--jobs={job}"))
