"""The files of a campaign: structures come back, torn lines are left out, damage is told."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms, FixBondLengths
from ase.io.jsonio import encode

from relax.campaign.campaign import Campaign
from relax.campaign.store import lease as leases
from relax.campaign.store.lease import Lease
from relax.campaign.store.lines import Appender, OpenFiles, lines_from
from relax.campaign.store.structures import atoms_of, cost_of, record_of
from relax.core.errors import UsageError


def awkward():
    slab = fcc111("Al", (2, 2, 3), vacuum=7.123456789)
    slab.set_constraint([FixAtoms([0, 3]), FixBondLengths([[1, 2]])])
    slab.rattle(0.1, seed=1)
    charged = molecule("CH3CH2OH")
    charged.set_initial_charges(np.linspace(-0.1, 0.2, 9))
    charged.set_initial_magnetic_moments([0.5] * 9)
    charged.info = {"material_id": "mp-1", "shift": np.array([0.1, 1e-17]), "nested": {"a": [1, 2.5]}}
    moved = bulk("NaCl", "rocksalt", 5.6)
    moved.set_celldisp([[0.1], [0.2], [0.3]])
    moved.set_array("site", np.array([3, 1]), int)
    return [slab, charged, moved, Atoms("He"), Atoms("H2", [(0, 0, 0), (0, 0, 1 / 3)], cell=[0, 0, 5])]


@pytest.mark.parametrize("atoms", awkward(), ids=lambda atoms: str(atoms.symbols))
def test_a_structure_comes_back_to_the_last_bit(atoms):
    back = atoms_of(json.loads(json.dumps(record_of(atoms))))
    assert back == atoms
    assert encode(back.info) == encode(atoms.info)
    assert back.arrays.keys() == atoms.arrays.keys()
    for name, array in atoms.arrays.items():
        assert np.array_equal(back.arrays[name], array)
    constraints = [[each.todict() for each in one.constraints] for one in (back, atoms)]
    assert encode(constraints[0]) == encode(constraints[1])
    assert np.array_equal(back.get_celldisp(), atoms.get_celldisp())


def test_what_json_cannot_hold_is_left_out():
    atoms = Atoms("He", info={"kept": 1, "left": object()})
    assert atoms_of(record_of(atoms)).info == {"kept": 1}


def test_the_cost_counts_pairs_within_5_A():
    dense = bulk("Cu", cubic=True)  # 4 atoms in 3.61^3 A^3: 0.08502 atoms/A^3, 44.5 within 5 A
    assert cost_of(dense) == pytest.approx(1 + 4 * 4 / 3.61**3 * 4 / 3 * np.pi * 125, abs=1e-3)
    assert cost_of(molecule("H2O")) == 1 + 3 * 2
    assert cost_of(bulk("Cu", a=0.5)) == 1 + 100


def test_a_torn_line_is_left_out_and_a_damaged_one_is_told(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c":')
    assert [line for _, _, line in lines_from(path)] == [{"a": 1}, {"b": 2}]
    with contextlib.closing(OpenFiles(tmp_path)) as files:
        assert files.line(path.name, 8) == {"b": 2}
    path.write_bytes(b'{"a":1}\n{"b":\n{"c":3}\n')
    with pytest.raises(UsageError, match=r"lines.jsonl, line 2, is damaged"):
        list(lines_from(path))
    assert [line for _, _, line in lines_from(path, 14)] == [{"c": 3}]


def test_a_full_disk_leaves_whole_lines(tmp_path):
    appender = Appender(tmp_path / "lines.jsonl")
    appender.add([{"a": 1}])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(UsageError, match=r"lines.jsonl: File too large"):
            appender.add([{"b": "x" * 50}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    appender.add([{"c": 3}])
    appender.close()
    assert [line for _, _, line in lines_from(tmp_path / "lines.jsonl")] == [{"a": 1}, {"c": 3}]


def test_no_two_processes_write_one_file(tmp_path):
    Appender(tmp_path / "lines.jsonl").close()
    with pytest.raises(UsageError, match="File exists"):
        Appender(tmp_path / "lines.jsonl")


def test_a_lease_is_held_by_one(tmp_path):
    with Lease(tmp_path, "whole") as lease:
        assert leases.is_held(lease.path, lease.token)
        with (
            pytest.raises(UsageError, match=f"process {os.getpid()} on .* is at work"),
            Lease(tmp_path, "whole"),
        ):
            pass
        lease.stop()
        assert not leases.is_held(lease.path, lease.token)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("one", "other", "allowed"),
    [
        ("whole", "0-of-2", False), ("0-of-2", "whole", False), ("0-of-2", "1-of-2", True),
        ("0-of-2", "1-of-3", False), ("edit", "whole", True), ("0-of-2", "edit", True),
        ("edit", "edit", False), ("0-of-2", "0-of-2", False),
    ],
)  # fmt: skip
def test_leases_exclude_those_with_the_same_structures(tmp_path, one, other, allowed):
    with Lease(tmp_path, one):
        if allowed:
            with Lease(tmp_path, other):
                pass
            return
        with pytest.raises(UsageError, match="is at work"), Lease(tmp_path, other):
            pass
    with Lease(tmp_path, other):
        pass


HOLD = "import sys, time; from pathlib import Path; from relax.campaign.store.lease import Lease\n"
HOLD += "with Lease(Path(sys.argv[1]), 'whole'): print('held', flush=True); time.sleep(60)"


def test_the_lease_of_a_killed_process_is_taken(tmp_path):
    held = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    with held:
        assert held.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {held.pid}"), Lease(tmp_path, "whole"):
            pass
        held.kill()
        held.wait()
        with Lease(tmp_path, "whole"):
            pass


def test_a_process_of_another_machine_is_dead_when_it_does_not_touch_its_file(tmp_path):
    path = tmp_path / "whole.json"
    path.write_text(json.dumps({"token": "x", "host": "elsewhere", "pid": 1, "born": "1"}))
    with pytest.raises(UsageError, match="process 1 on elsewhere is at work"), Lease(tmp_path, "whole"):
        pass
    old = time.time() - leases.DEAD_AFTER - 1
    os.utime(path, (old, old))
    with Lease(tmp_path, "whole"):
        pass


@pytest.fixture
def made(crystals):
    """Return the folder of a campaign."""
    Campaign.create("made", crystals(3), "emt").close()
    return Path("made")


def only(folder):
    (path,) = folder.glob("*.jsonl")
    return path


def write_results(folder, *lines, campaign=None, name="other"):
    """Write a file of results as a process would."""
    with Campaign(folder) as made:
        head = {"campaign": campaign or made.folder.campaign, "settings": made.folder.settings.digest}
    text = "".join(json.dumps(line) + "\n" for line in [head, *lines])
    (folder / "results" / f"{name}.jsonl").write_text(text)


def ended(id_, round_=0, status="converged", calls=3):
    return {
        "id": id_, "round": round_, "input": "", "status": status, "reason": "said", "force_calls": calls,
        "steps": 2, "wall_time": 0.5, "energy_last": -1.0 - calls, "positions": [[0.0, 0.0, 0.0]] * 4,
    }  # fmt: skip


def test_results_count_once_and_the_first_one_counts(made):
    write_results(made, ended(0, calls=3), ended(0, calls=4), ended(1), name="a")
    write_results(made, ended(1, calls=9), name="b")
    with Campaign(made) as campaign:
        totals = campaign.status()
        assert (totals.waiting, totals.calls, totals.statuses) == (1, 6, {"converged": 2})
        assert [outcome.calls for outcome in campaign.results()] == [3, 3, 0]
        assert [outcome.status for outcome in campaign.results()] == ["converged", "converged", "waiting"]
        assert [outcome.id for outcome in campaign.results(["waiting"])] == [2]
        first = next(campaign.results())
        assert first.energy == -4.0
        assert not first.atoms.positions.any()


def test_a_retry_waits_for_its_own_results(made):
    write_results(made, ended(0, status="exploded"), ended(1), ended(2, status="timeout"), name="a")
    with Campaign(made) as campaign:
        assert campaign.retry(["exploded", "timeout"], fmax=0.2) == 2
        assert campaign.status().waiting == 2
        write_results(made, ended(0, status="exploded"), name="late")  # of the round before
        assert campaign.status().waiting == 2
        write_results(made, ended(0, 1), name="again")
        assert [outcome.status for outcome in campaign.results()] == ["converged", "converged", "waiting"]
        assert campaign.retry(["saddle"]) == 0
        with pytest.raises(UsageError, match="no parameter 'fmaxx'"):
            campaign.retry(["converged"], fmaxx=3)
        with pytest.raises(UsageError, match="what of the cells relaxes cannot be changed"):
            campaign.retry(["converged"], cell=True)


def test_the_index_is_made_again(made, workplace):
    write_results(made, ended(0), ended(2, status="exploded"), name="a")
    with Campaign(made) as campaign:
        before = campaign.status()
    (index,) = (workplace / "index").glob("*.sqlite")
    for path in (workplace / "index").iterdir():
        path.unlink()
    with Campaign(made) as campaign:
        assert campaign.status() == before
    index.write_bytes(b"no database, but long enough to be read as one" * 100)
    with pytest.raises(UsageError, match=f"{index} cannot be used .*delete it, and it is made again"):
        Campaign(made).status()


def cut_header(folder):
    path = only(folder / "rounds")
    path.write_text(path.read_text().partition("\n")[2])


def replace(name, old, new):
    def change(folder):
        path = folder / name
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def damage_inputs(folder):
    path = only(folder / "inputs")
    path.write_text(path.read_text().replace('"id":1', '"id" 1', 1))


cut_quotes = replace("results/other.jsonl", '"id"', "id")

FAULTS = {
    "no campaign": (lambda folder: (folder / "campaign.toml").unlink(), "there is no campaign.toml"),
    "no TOML": (lambda folder: (folder / "campaign.toml").write_text("x"), "campaign.toml cannot be read"),
    "another version": (
        replace("campaign.toml", "format = 1", "format = 7"),
        "is a campaign of format 7, made by relax .*, which takes format 1",
    ),
    "no settings": (replace("campaign.toml", "[settings.calc", "[settings.cal"), "is damaged: 'calculator'"),
    "other settings": (
        replace("campaign.toml", 'name = "emt"', 'name = "lj"'),
        "the settings were changed after the campaign was made",
    ),
    "no inputs": (lambda folder: only(folder / "inputs").unlink(), "structures .*-000000.jsonl are missing"),
    "damaged inputs": (damage_inputs, "000000-000000.jsonl, line 2, is damaged"),
    "no rounds": (lambda folder: only(folder / "rounds").unlink(), "has no rounds"),
    "damaged round": (cut_header, "is damaged: its first line describes no round"),
    "damaged results": (
        lambda folder: (write_results(folder, ended(0)), cut_quotes(folder)),
        "other.jsonl, line 2, is damaged",
    ),
    "results that lack something": (
        lambda folder: write_results(folder, {"id": 0, "round": 0}),
        "other.jsonl is damaged: a line lacks 'wall_time'",
    ),
    "results of another campaign": (
        lambda folder: write_results(folder, ended(0), campaign="x"),
        "other.jsonl holds no results of this campaign",
    ),
    "no folder of results": (lambda folder: (folder / "results").rmdir(), "the folder results is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_campaign_is_one_line(fault, relax, made, workplace):
    change, words = FAULTS[fault]
    change(made)
    for path in (workplace / "index").iterdir():
        path.unlink()
    kept = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    for command in ("status", "run"):
        with pytest.raises(UsageError, match=words):
            Campaign(made).status()
        code, _, errors = relax("campaign", command, made)
        assert code == 2
        assert len(errors) == 1, errors
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == kept


def test_what_cannot_be_relaxed_is_there_with_its_reason(crystals):
    overlapping = Atoms("Cu2", [(0, 0, 0), (0, 0, 0.01)])
    with Campaign.create("made", [overlapping, *crystals(1), Atoms()], "emt") as campaign:
        assert campaign.status().statuses == {"refused": 2}
        assert [outcome.status for outcome in campaign.results()] == ["refused", "waiting", "refused"]
        assert next(campaign.results()).reason == "atoms 0 (Cu) and 1 (Cu) overlap: they are 0.010 A apart"
        assert campaign.retry(["refused"]) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"calculator": "emtt"}, "unknown calculator 'emtt'; did you mean 'emt'"),
        ({"calculator": object()}, "needs the name of a calculator, not a object"),
        ({"rule": "nothing"}, "unknown rule"),
        ({"fmax": -1}, "fmax = -1 is not allowed"),
        ({"smax": 0.1}, "smax = 0.1 GPa needs a cell that relaxes"),
        ({"cell": "no"}, "cell: "),
        ({"monitor": None}, "monitor is not for campaigns"),
        ({"hessian": lambda atoms: None}, "hessian is not for campaigns"),
        ({"unit_cost": 0}, "unit_cost must be a number above 0"),
    ],
)
def test_wrong_settings_make_no_folder(crystals, settings, words):
    with pytest.raises(UsageError, match=words):
        Campaign.create("made", crystals(1), **({"calculator": "emt"} | settings))
    assert not Path("made").exists()


def test_a_campaign_that_fails_on_the_way_leaves_nothing(crystals, workplace):
    def structures():
        yield from crystals(2)
        raise UsageError("the third one cannot be read")

    before = set(workplace.iterdir())
    with pytest.raises(UsageError, match="the third one"):
        Campaign.create("made", structures(), "emt")
    assert set(workplace.iterdir()) == before
    with pytest.raises(UsageError, match="structure 1 is a str"):
        Campaign.create("made", [*crystals(1), "text"], "emt")
    with Campaign.create("made", crystals(1), "emt") as campaign:
        with pytest.raises(UsageError, match="the third one"):
            campaign.add(structures())
        assert campaign.status().structures == 1
        assert campaign.add(crystals(2)) == 2
        assert campaign.status().structures == 3
    with pytest.raises(UsageError, match="is a campaign already"):
        Campaign.create("made", crystals(1), "emt")


def test_merging_onto_a_full_disk_is_told_and_can_be_repeated(made, crystals):
    Campaign.create("other", crystals(5, seed=3), "emt").close()
    with Campaign(made) as campaign, Campaign("other") as other:
        assert (campaign.status().structures, other.status().structures) == (3, 5)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(UsageError, match=r"made.*: File too large"):
                campaign.merge(other)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert campaign.status().structures == 3
        assert campaign.merge(other) == (5, 0)
