"""Campaigns that run: the same results whatever happens to the processes, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from benchmarks.throughput.models import starts
from relax import relax_many
from relax.campaign.campaign import Campaign
from relax.core.errors import UsageError

pytestmark = pytest.mark.slow


def contents(campaign):
    """Return all that does not differ from run to run, to the last bit."""
    return [
        (outcome.columns(), outcome.atoms.positions.tolist(), outcome.atoms.cell.tolist())
        for outcome in campaign.results()
    ]


def run(folder, **options):
    with Campaign(folder) as campaign:
        ended = campaign.run(workers=1, **options)
        return ended, campaign.status()


def children():
    """Return the processes that relax structures of the campaigns of this test, by number."""
    found = subprocess.run(["pgrep", "-f", "relax.campaign.work.child"], capture_output=True, text=True)
    return {pid for pid in map(int, found.stdout.split()) if folder_of(pid) == os.getcwd()}


def folder_of(pid):
    """Return the folder in which a process is; those of other tests are in others."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def clusters(number):
    rng = np.random.default_rng(5)
    return [Atoms(f"Ar{n}", rng.uniform(0, 1.2 * n ** (1 / 3), (n, 3))) for n in rng.integers(4, 9, number)]


def test_a_campaign_finds_what_relax_many_finds(crystals):
    structures = crystals(6)
    with Campaign.create("made", structures, "emt", cell=True, fmax=0.02) as campaign:
        assert campaign.run(workers=1) is None
        outcomes = list(campaign.results())
    expected = {each.index: each for each in relax_many(structures, "emt", cell=True, fmax=0.02)}
    for outcome in outcomes:
        there = expected[outcome.id]
        assert outcome.status == there.result.status == "converged"
        assert outcome.calls == there.result.force_calls
        assert outcome.energy == pytest.approx(there.result.energy_last, abs=1e-9)
        assert outcome.atoms.positions == pytest.approx(there.atoms.positions, abs=1e-9)
        assert outcome.atoms.get_forces() == pytest.approx(there.atoms.get_forces(), abs=1e-9)
        assert outcome.atoms.get_stress() == pytest.approx(there.atoms.get_stress(voigt=True), abs=1e-9)
        assert outcome.worker["hardware"]
        assert outcome.worker["versions"]["ase"]
    assert not children()


def test_a_batched_potential_gives_the_same_bits_after_kills(driver):
    structures = clusters(60)
    for folder in ("quiet", "killed"):
        Campaign.create(folder, structures, "lj", fmax=0.01, unit_cost=600).close()
    run("quiet")
    rng = np.random.default_rng(1)
    for _ in range(3):
        process = driver("run", "killed", "-n", "2")
        began = time.monotonic()
        wait = 1.5 + rng.uniform(0, 3)
        while process.poll() is None and time.monotonic() - began < wait:
            time.sleep(0.05)
        if rng.random() < 0.5:
            process.kill()
        for child in children():
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()
    run("killed")
    with Campaign("quiet") as quiet, Campaign("killed") as killed:
        assert contents(quiet) == contents(killed)
        assert killed.status().waiting == 0


def test_a_signal_gives_work_back_and_the_next_run_goes_on(driver, crystals):
    Campaign.create("made", crystals(40), "calculators_of_tests:slow", fmax=0.01, unit_cost=2e4).close()
    process = driver("run", "made", "-n", "2")
    with Campaign("made") as campaign:
        while not campaign.status().statuses:
            time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped; relax campaign run made goes on" in errors
    text = "".join(path.read_text() for path in Path("made/results").glob("*.jsonl"))
    assert '"back"' in text
    with Campaign("made") as campaign:
        done = {outcome.id: outcome.found for outcome in campaign.results() if outcome.found}
        assert 0 < len(done) < 40
    assert run("made")[1].statuses == {"converged": 40}
    with Campaign("made") as campaign:
        assert all(outcome.found == done[outcome.id] for outcome in campaign.results() if outcome.id in done)


def test_a_structure_that_ends_its_process_is_set_aside_and_the_others_go_on(crystals):
    structures = [*crystals(3), bulk("Pd", cubic=True), *crystals(3)]
    with Campaign.create("made", structures, "calculators_of_tests:faulty") as campaign:
        assert campaign.run(workers=1) is None
        outcomes = list(campaign.results())
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == ["converged"] * 3 + ["worker_lost"] + ["converged"] * 3
    assert outcomes[3].cause.startswith("the process was ended by signal 6; see logs/")
    assert next(Path("made/logs").iterdir()).read_text().count("Abort") >= 2


def test_a_call_that_never_ends_is_ended(crystals):
    structures = [bulk("Pt", cubic=True), *crystals(2)]
    with Campaign.create("made", structures, "calculators_of_tests:faulty") as campaign:
        assert campaign.run(workers=1, call_limit=2.0) is None
        outcomes = list(campaign.results())
    assert [outcome.status for outcome in outcomes] == ["worker_lost", "converged", "converged"]
    assert outcomes[0].cause.startswith("the process was ended, since a force call took longer than 2 s")


def test_shards_share_the_work(crystals):
    structures = crystals(8)
    Campaign.create("whole", structures, "emt", unit_cost=200).close()
    Campaign.create("parts", structures, "emt", unit_cost=200).close()
    run("whole")
    _, totals = run("parts", shard=(1, 2))
    assert 0 < totals.waiting < 8
    run("parts", shard=(0, 2))
    with Campaign("whole") as whole, Campaign("parts") as parts:
        assert contents(whole) == contents(parts)


def test_a_second_driver_is_told_who_is_at_work(driver, crystals):
    Campaign.create("made", crystals(30), "calculators_of_tests:slow", fmax=0.01, unit_cost=400).close()
    process = driver("run", "made", "-n", "1")
    while not list(Path("made/drivers").glob("*.json")):
        time.sleep(0.05)
    for words in (("run", "made"), ("run", "made", "--shard", "0/2")):
        other = driver(*words)
        _, errors = other.communicate(timeout=60)
        assert other.returncode == 2
        assert f"process {process.pid} on" in errors
        assert errors.count("\n") == 1
    with Campaign("made") as campaign:
        assert campaign.add(crystals(2, seed=1)) == 2
    assert process.wait(timeout=120) == 0
    with Campaign("made") as campaign:
        assert campaign.status().statuses == {"converged": 32}


def test_the_time_is_kept(crystals):
    Campaign.create("made", crystals(30), "calculators_of_tests:slow", fmax=0.01, unit_cost=400).close()
    began = time.monotonic()
    ended, totals = run("made", time_limit=6.0, grace=1.0)
    assert ended == 0
    assert time.monotonic() - began < 12
    assert totals.waiting > 0
    assert run("made")[1].waiting == 0


def test_a_full_disk_ends_the_run_in_one_line(driver, crystals):
    Campaign.create("made", crystals(30), "calculators_of_tests:on_a_full_disk", unit_cost=400).close()
    process = driver("run", "made", "-n", "1")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "File too large" in errors
    with Campaign("made") as campaign:
        done = campaign.status().statuses["converged"]
        assert 0 < done < 30
    Path("room").touch()
    assert run("made")[1].statuses == {"converged": 30}


def test_a_calculator_that_is_not_there_ends_the_run(crystals):
    Campaign.create("made", crystals(2), "calculators_of_tests:nothing").close()
    with pytest.raises(UsageError, match=r"calculators_of_tests.*nothing"):
        run("made")
    with Campaign("made") as campaign:
        assert campaign.status().waiting == 2


def test_a_model_that_has_changed_is_refused(crystals):
    Path("model.model").write_bytes(b"one")
    Campaign.create("made", crystals(1), "mace:model.model").close()
    Path("model.model").write_bytes(b"another")
    with pytest.raises(UsageError, match=r"was made with another model: .*model.model has changed since"):
        run("made")
    Path("model.model").unlink()
    with pytest.raises(UsageError, match=r"there is no model .*model.model; restore it"):
        run("made")


def test_a_retry_has_its_own_settings(crystals):
    Campaign.create("made", crystals(4), "emt", steps=1, fmax=0.01).close()
    assert run("made")[1].statuses == {"max_steps": 4}
    with Campaign("made") as campaign:
        assert campaign.retry(["max_steps"], steps=100) == 4
    assert run("made")[1].statuses == {"converged": 4}
    with Campaign("made") as campaign:
        assert {outcome.round for outcome in campaign.results()} == {1}


def test_merged_campaigns_have_the_structures_of_both_once(crystals):
    first, second = crystals(5), crystals(8)  # of which the first five are the same
    for folder, structures in (("one", first), ("two", second)):
        Campaign.create(folder, structures, "emt").close()
    run("two")
    with Campaign("one") as one, Campaign("two") as two:
        assert one.merge(two) == (3, 8)
        assert one.merge(two) == (0, 0)
        assert one.status().statuses == {"converged": 8}
        found, expected = contents(one), contents(two)
        for columns, *_ in (*found, *expected):
            del columns["round"]
        assert found == expected
        assert {outcome.worker["worker"] for outcome in one.results()} == {
            outcome.worker["worker"] for outcome in two.results()
        }
    Campaign.create("other", first, "emt", fmax=0.3).close()
    with (
        Campaign("one") as one,
        Campaign("other") as other,
        pytest.raises(UsageError, match="has other settings"),
    ):
        one.merge(other)


def large(seed):
    atoms = bulk("Cu", cubic=True) * (4, 4, 4)
    atoms.rattle(0.15, rng=np.random.default_rng(seed))
    return atoms


def test_a_large_structure_goes_on_from_its_last_step(driver, workplace, monkeypatch):
    """Its numbers are those of a run that was left alone."""
    module = Path("calculators_of_tests.py")
    lines = ["", "from relax.campaign.work import long_run", "long_run.EVERY = 0.0"]
    module.write_text(module.read_text() + "\n".join(lines) + "\n")
    for folder in ("quiet", "killed"):
        Campaign.create(folder, [large(1)], "calculators_of_tests:slow", fmax=0.005, cell=True).close()
    run("quiet")
    process = driver("run", "killed", "-n", "1")
    checkpoint = Path("killed/checkpoints/0-0.json")
    while not (checkpoint.exists() and json.loads(checkpoint.read_text())["steps"] >= 3):
        assert process.poll() is None, "the run was too short"
        time.sleep(0.02)
    for child in children():
        os.kill(child, signal.SIGKILL)
    process.wait(timeout=120)
    with Campaign("quiet") as quiet, Campaign("killed") as killed:
        (expected,), (found,) = quiet.results(), killed.results()
        (many,) = relax_many([large(1)], "emt", fmax=0.005, cell=True)
    assert (found.status, found.calls, found.steps) == (expected.status, expected.calls, expected.steps)
    assert expected.calls == many.result.force_calls
    assert found.energy == pytest.approx(expected.energy, abs=1e-9)
    assert expected.energy == pytest.approx(many.result.energy_last, abs=1e-9)
    assert found.atoms.positions == pytest.approx(expected.atoms.positions, abs=1e-7)
    names = ("energy_first", "volume_ratio", "spacegroup_first", "spacegroup_last")
    assert [found.found[name] for name in names] == pytest.approx([expected.found[name] for name in names])
    assert not list(Path("killed/checkpoints").iterdir())


def test_the_first_calls_of_a_process_do_not_differ_from_later_ones():
    """MACE is compiled at its first calls, so that the last digits of these are others."""
    structures = starts(24, 3)
    model = f"mace:{Path(__file__).parents[2] / 'data' / 'mace-mini.model'}"
    for folder in ("whole", "parts"):
        Campaign.create(folder, structures, model, cell=True, unit_cost=1e4).close()
    run("whole")
    run("parts", shard=(1, 2))
    run("parts", shard=(0, 2))
    with Campaign("whole") as whole, Campaign("parts") as parts:
        assert whole.status().statuses == {"converged": 24}
        assert contents(whole) == contents(parts)
