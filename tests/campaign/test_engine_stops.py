"""Engines whose driver is told to stop, or is killed: nothing is left, and the campaign goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import (
    DRIVER,
    ROOT,
    SLOW,
    assert_none_left,
    campaign,
    children,
    ends,
    named,
    offspring,
    wait_for,
)

pytestmark = pytest.mark.slow

KINDS = ["processes", "dask", "parsl", "executorlib:local"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Keep indices in a temporary folder, run in it, and let workers import what is tested."""
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("slow.py").write_text(SLOW)
    Path("driver.py").write_text(DRIVER)


@contextlib.contextmanager
def driver(name, workers, grace=30):
    """Start a process that drives the campaign in ``c``, and wait for the first force call."""
    words = [sys.executable, "driver.py", "c", name, str(workers), str(grace)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_for(Path("called").exists)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_told_to_stop(kind, tmp_path):
    campaign("c", "slow:slow").close()
    with named(kind, tmp_path) as (name, workers), driver(name, workers) as process:
        process.terminate()
        out, _ = process.communicate(timeout=120)
        assert out.splitlines()[-1] == str(int(signal.SIGTERM)), out
        assert_none_left("c")
    with campaign("d") as expected, relaxed_again() as found:
        expected.run(workers=2)
        assert ends(found) == ends(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_told_to_stop_while_calls_hang(kind, tmp_path):
    campaign("c", "slow:hung").close()
    with named(kind, tmp_path) as (name, workers), driver(name, workers, grace=1) as process:
        process.terminate()
        out, _ = process.communicate(timeout=120)
        assert out.splitlines()[-1] == str(int(signal.SIGTERM)), out
        assert_none_left("c")


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_killed(kind, tmp_path):
    campaign("c", "slow:slow").close()
    with named(kind, tmp_path) as (name, workers), driver(name, workers) as process:
        assert children("c")
        started = offspring(process.pid)
        process.kill()
        assert_none_left("c")
        wait_for(lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()])
    with campaign("d") as expected, relaxed_again() as found:
        expected.run(workers=2)
        assert ends(found) == ends(expected)


@contextlib.contextmanager
def relaxed_again():
    """Yield the campaign in ``c`` after it has gone on to its end, by processes of this machine."""
    from relax.campaign.campaign import Campaign

    with Campaign("c") as found:
        assert found.status().waiting > 0
        assert found.run(workers=2) is None
        yield found
