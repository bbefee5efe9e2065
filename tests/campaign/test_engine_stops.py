"""Engines whose driver is told to stop, or is killed: nothing is left, and the campaign goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from clusters import assert_none_left, children, ends, named, offspring, parent, wait_for

from relax.campaign.campaign import Campaign

pytestmark = pytest.mark.slow

SETTINGS = {"cell": True, "fmax": 0.02, "unit_cost": 300}
KINDS = ["processes", "dask", "parsl", "executorlib:local"]


@pytest.fixture
def begun(crystals, driver):
    """Return a function that starts a driver of the campaign ``c``, and waits until it is at work."""

    def start(calculator, name, workers, *options):
        calculator = f"calculators_of_tests:{calculator}"
        Campaign.create("c", crystals(16), calculator, **SETTINGS).close()
        count = ["--workers", workers] if workers else []
        process = driver("run", "c", "--engine", name, *count, *options)
        wait_for(lambda: Path("called").exists() or any(Path("c/results").iterdir()))
        return process

    return start


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_told_to_stop(kind, begun):
    with named(kind) as (name, workers):
        process = begun("slow", name, workers)
        process.terminate()
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM, out + errors
        assert not list(Path("c/drivers").iterdir())
        assert_none_left("c")


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_told_to_stop_while_calls_hang(kind, begun):
    with named(kind) as (name, workers):
        process = begun("hung", name, workers, "--grace", "1s")
        wait_for(Path("called").exists)
        process.terminate()
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM, out + errors
        assert_none_left("c")


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_is_killed(kind, begun, crystals):
    with named(kind) as (name, workers):
        process = begun("slow", name, workers)
        assert children("c")
        started = offspring(process.pid)
        process.kill()
        assert_none_left("c")
        wait_for(lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()])
    with Campaign("c") as found:
        assert found.status().waiting > 0
        assert found.run(workers=2) is None
        assert ends(found) == undisturbed(crystals)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_worker_is_killed(kind, begun, crystals):
    with named(kind) as (name, workers):
        process = begun("slow", name, workers)
        wait_for(lambda: children("c"))
        os.kill(parent(children("c")[0]), signal.SIGKILL)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, out + errors
        assert_none_left("c")
    with Campaign("c") as found:
        assert ends(found) == undisturbed(crystals)


def test_a_scheduler_is_lost(begun, crystals):
    with named("dask") as (name, _):
        process = begun("slow", name, None)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 2, out + errors
    assert "the engine takes no more orders: ConnectionError" in errors
    assert_none_left("c")
    with Campaign("c") as found:
        assert found.run(workers=2) is None
        assert ends(found) == undisturbed(crystals)


def undisturbed(crystals):
    """Return what is found where nothing happens."""
    with Campaign.create("d", crystals(16), "emt", **SETTINGS) as expected:
        assert expected.run(workers=2) is None
        return ends(expected)
