"""One campaign on engines of all kinds: each gives the same results, and leaves no process behind."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from clusters import ROOT, SLOW, assert_none_left, campaign, ends, named, slurm, wait_for

from relax.campaign.slurm import job_script

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Keep indices in a temporary folder, run in it, and let workers import what is tested."""
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return what processes of this machine find."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAX_INDEX_DIR", str(folder / "index"))
        patch.setenv("PYTHONPATH", str(ROOT))
        with campaign(folder / "c") as found:
            assert found.run(workers=2) is None
            assert_none_left(folder / "c", 0)
            return ends(found)


def test_processes_converge(expected):
    assert {status for _, status, *_ in expected} == {"converged"}


@pytest.mark.parametrize("kind", ["dask", "parsl", "executorlib:local"])
def test_engines_find_the_same(kind, tmp_path, expected):
    with named(kind, tmp_path) as (name, workers), campaign(tmp_path / "c") as found:
        assert found.run(workers or None, name) is None
        assert ends(found) == expected
        assert_none_left(tmp_path / "c")
    assert set(os.listdir(tmp_path)) <= {"c", "index", "parsl_config.py"}


def test_a_given_executor(tmp_path, expected):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        with campaign(tmp_path / "c") as found:
            assert found.run(executor=executor) is None
            assert ends(found) == expected
        assert_none_left(tmp_path / "c")


def test_shards(tmp_path, expected):
    with campaign(tmp_path / "c") as found:
        assert found.run(workers=1, shard=(0, 2)) is None
        assert 0 < found.status().waiting < len(expected)
        assert found.run(workers=1, shard=(1, 2)) is None
        assert ends(found) == expected


@pytest.mark.parametrize("allocation", [False, True])
def test_slurm(allocation, tmp_path, expected):
    slurm("sinfo")
    with campaign(tmp_path / "c d") as found:
        script = tmp_path / "job.sh"
        script.write_text(job_script(found.folder, jobs=2, cores=1 + allocation, allocation=allocation))
        # A job that ends before the others says that not all structures have converged yet.
        slurm("sbatch", "--wait", script, check=False)
        assert ends(found) == expected, "\n".join(p.read_text() for p in found.folder.logs.glob("*.out"))
        assert_none_left(tmp_path / "c d")


def test_a_slurm_job_that_is_put_back_goes_on(tmp_path, expected, monkeypatch):
    slurm("sinfo")
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    Path("slow.py").write_text(SLOW)
    with campaign(tmp_path / "c", "slow:slow") as found:
        script = tmp_path / "job.sh"
        script.write_text(job_script(found.folder, jobs=1, cores=1))
        job = slurm("sbatch", "--parsable", script).strip()
        wait_for(lambda: found.status().statuses["converged"] > 1)
        slurm("scontrol", "requeue", f"{job}_0")
        wait_for(lambda: "PENDING" in slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}"))
        assert_none_left(tmp_path / "c")
        assert not list(found.folder.drivers.iterdir())
        kept = [outcome.calls for outcome in found.results(["converged"])]
        assert 1 < len(kept) < len(expected)
        slurm("scontrol", "update", f"jobid={job}", "StartTime=now")
        wait_for(lambda: found.status().waiting == 0)
        assert ends(found) == expected
        wait_for(lambda: not slurm("squeue", "--noheader", f"--jobs={job}"))
