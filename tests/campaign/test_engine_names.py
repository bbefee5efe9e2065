"""Engines that cannot be used say so in one line; job scripts for SLURM."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relax.campaign.campaign import Campaign
from relax.campaign.engines import dask as dask_engine
from relax.campaign.engines.names import engine
from relax.campaign.slurm import job_script
from relax.core.errors import UsageError


def refusal(name, workers=None):
    """Return the one line that is said about an engine."""
    with pytest.raises(UsageError) as raised, engine(name, workers, Path()):
        pass
    (line,) = str(raised.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "package"),
    [("dask:tcp://h:1", "dask.distributed"), ("parsl:f.py", "parsl"), ("executorlib:local", "executorlib")],
)
def test_a_missing_package_is_named(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    extra = package.partition(".")[0]
    assert f'pip install "relax[{extra}]"' in refusal(name)


@pytest.mark.parametrize("name", ["mpi", "dask", "parsl:", "executorlib:pbs", "processes:4"])
def test_an_unknown_engine_is_refused(name):
    assert f"unknown engine '{name}'" in refusal(name)


def test_a_scheduler_that_does_not_answer(monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr(dask_engine, "CONNECT", 0.5)
    assert "dask:tcp://127.0.0.1:9: the scheduler does not answer" in refusal("dask:tcp://127.0.0.1:9")
    assert "no-such.json is neither an address" in refusal("dask:no-such.json")
    Path("bad.json").write_text("[]")
    assert "dask:bad.json: the scheduler does not answer" in refusal("dask:bad.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "must define config"),
        ("config = 1", "must define config"),
        ("import no_such_module", "cannot be run (ModuleNotFoundError"),
        ("def", "cannot be run (SyntaxError"),
    ],
)
def test_a_parsl_file_without_a_configuration(text, words):
    pytest.importorskip("parsl")
    Path("parsl_file.py").write_text(text)
    assert words in refusal("parsl:parsl_file.py")
    assert "there is no such file" in refusal("parsl:no-such.py")


@pytest.mark.parametrize("name", ["dask:tcp://127.0.0.1:9", "parsl:f.py"])
def test_the_number_of_workers_is_that_of_the_engine(name):
    assert "leave it out" in refusal(name, 2)


def test_executorlib_outside_of_a_job(monkeypatch):
    pytest.importorskip("executorlib")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert "within a SLURM job" in refusal("executorlib:slurm")
    assert "number of workers" in refusal("executorlib:flux")


def test_the_number_of_workers_of_a_given_executor():
    with ThreadPoolExecutor(3) as executor:
        with engine(executor, None, Path()) as (_, count):
            assert count() == 3
        with engine(executor, 2, Path()) as (_, count):
            assert count() == 2


def lines_of(script):
    """Return the options for SLURM, and the command as words; bash finds nothing wrong in the script."""
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    options = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    return dict(each.removeprefix("--").split("=") for each in options if "=" in each), shlex.split(
        script[script.index("exec ") :]
    )


def made(name, crystals, **settings):
    campaign = Campaign.create(name, crystals(1), "emt", **settings)
    campaign.close()
    return campaign.folder


def test_a_job_array(crystals):
    folder = made("a b", crystals)
    options, words = lines_of(job_script(folder, jobs=3, cores=5, minutes=25 * 60))
    assert options["array"] == "0-2"
    assert options["cpus-per-task"] == "5"
    assert options["time"] == "1-01:00:00"
    assert options["output"] == str(folder.logs / "slurm-%A_%a.out")
    assert options["signal"] == "B:TERM@120"
    assert words[1:6] == [sys.executable, "-m", "relax", "campaign", "run"]
    assert words[6] == str(folder.path)
    assert words[words.index("--time-limit") + 1] == "1-00:55:00"


def test_a_job_with_a_gpu(crystals):
    folder = made("a", crystals)
    object.__setattr__(folder.settings, "device", "cuda")
    options, words = lines_of(job_script(folder))
    assert options["gpus"] == "1"
    assert words[words.index("--workers") + 1] == "1"
    with pytest.raises(UsageError, match="job array"):
        job_script(folder, allocation=True)


def test_job_scripts_that_make_no_sense(crystals):
    folder = made("a", crystals)
    with pytest.raises(UsageError, match="1 job"):
        job_script(folder, jobs=0)
    with pytest.raises(UsageError, match="15 minutes"):
        job_script(folder, minutes=14)


def test_the_command_prints_the_script(relax, crystals):
    folder = made("a", crystals)
    code, out, _ = relax("campaign", "sbatch", folder.path, "--jobs", 2, "--time", "2h")
    assert code == 0
    assert out == job_script(folder, jobs=2, minutes=120)
