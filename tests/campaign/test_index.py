"""The index of a campaign: it says what the files say, whoever reads them and when; and the units of work."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write as write_file

import relax as package
from relax.campaign.campaign import Campaign
from relax.campaign.store import loader
from relax.campaign.store.results import ResultsWriter
from relax.campaign.store.rounds import Unit, ranges, units_of


def pair(distance=1.1):
    return Atoms("Ar2", [[0, 0, 0], [0, 0, distance]])


@pytest.fixture
def campaign():
    """Return a campaign of five pairs, the last of which cannot be relaxed."""
    with Campaign.create("c", [pair(d) for d in (1.1, 1.2, 1.3, 1.4, 0.05)], "lj") as made:
        yield made


def write(campaign, *ends, round_=0):
    """Write results as a process does: of each the number, the status, force calls and seconds."""
    writer = ResultsWriter(campaign.folder)
    writer.add(
        {
            "id": id_, "round": round_, "input": "", "status": status, "reason": "", "force_calls": calls,
            "steps": 0, "wall_time": seconds,
        }
        for id_, status, calls, seconds in ends
    )  # fmt: skip
    writer.close()


def said(totals):
    return (
        totals.structures,
        totals.atoms,
        totals.waiting,
        totals.calls,
        totals.seconds,
        dict(totals.statuses),
    )


def test_structures_are_the_same_from_a_file_and_from_atoms_that_change(relax):
    distances = [k / 64 for k in range(90)]  # which a file holds exactly

    def one_that_changes():
        atoms = pair()
        for distance in distances:
            atoms.positions[1, 2] = distance
            yield atoms

    Campaign.create("a", one_that_changes(), "lj").close()
    write_file("pairs.extxyz", [pair(distance) for distance in distances])
    assert relax("campaign", "init", "b", "pairs.extxyz", "-c", "lj")[0] == 0
    one, other = (
        [json.loads(line) for line in Path(name, "inputs", "000000-000000.jsonl").read_text().splitlines()]
        for name in "ab"
    )
    assert [line.get("positions")[1][2] for line in one] == distances
    assert ["invalid" in line for line in one] == [distance < 0.1 for distance in distances]
    assert [line["source"] for line in other] == [f"pairs.extxyz#{k}" for k in range(90)]
    for line in one + other:
        del line["source"], line["file"], line["frame"]
    assert one == other


def test_the_totals_follow_the_files(campaign):
    assert said(campaign.status()) == (5, 10, 4, 0, 0, {"refused": 1})
    assert campaign.status().cost == 4 * 3.0
    write(campaign, (0, "converged", 5, 0.5), (1, "exploded", 7, 0.25))
    write(campaign, (2, "converged", 11, 2.0), (2, "exploded", 100, 100.0))  # the first one counts
    expected = (5, 10, 1, 23, 2.75, {"converged": 2, "exploded": 1, "refused": 1})
    assert said(campaign.status()) == expected
    assert campaign.status().cost_done == 3 * 3.0
    assert campaign.retry(["exploded"]) == 1
    expected = (5, 10, 2, 16, 2.5, {"converged": 2, "refused": 1})
    assert said(campaign.status()) == expected
    write(campaign, (1, "converged", 13, 1.0), round_=1)
    expected = (5, 10, 1, 29, 3.5, {"converged": 3, "refused": 1})
    assert said(campaign.status()) == expected
    assert campaign.add([pair(1.5)]) == 1
    expected = (6, 12, 2, 29, 3.5, {"converged": 3, "refused": 1})
    assert said(campaign.status()) == expected
    campaign.close()
    campaign.index.path.unlink()
    with Campaign("c") as again:
        assert said(again.status()) == expected


def test_several_processes_make_one_index(campaign, monkeypatch):
    write(campaign, *((id_, "converged", 3, 0.5) for id_ in range(4)))
    script = (
        "from relax.campaign.store import loader; loader.AT_ONCE = 1\n"
        "from relax.campaign.campaign import Campaign\n"
        "import json; print(json.dumps(vars(Campaign('c').status())))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parents[1]))
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    found = [json.loads(process.communicate()[0]) for process in started]
    for each in found:
        assert (each["structures"], each["waiting"], each["calls"], each["seconds"]) == (5, 0, 12, 2.0)
        assert Counter(each["statuses"]) == {"converged": 4, "refused": 1}


def test_a_process_that_comes_late_to_a_round_changes_nothing(campaign):
    write(campaign, (0, "exploded", 5, 0.5))
    campaign.retry(["exploded"])
    before = campaign.status()
    campaign.index._loader._take_round(campaign.folder.rounds / "000000.jsonl")
    assert campaign.index.totals() == before
    units = [(unit.round, list(unit.ids)) for unit in campaign.index.units()]
    assert units == [(0, [0, 1, 2, 3]), (1, [0])]


def test_results_that_are_written_while_rounds_are_read_are_not_passed_over(campaign, monkeypatch):
    read_round = loader.read_round
    other = Campaign("c")

    def meanwhile(path):
        monkeypatch.setattr(loader, "read_round", read_round)
        other.add([pair(1.5)])
        write(other, (5, "converged", 3, 0.5), round_=1)
        return read_round(path)

    monkeypatch.setenv("RELAX_INDEX_DIR", "another")
    with Campaign("c") as late:
        monkeypatch.setattr(loader, "read_round", meanwhile)
        late.status()
        assert said(late.status()) == (6, 12, 4, 3, 0.5, {"converged": 1, "refused": 1})
    other.close()


def test_messages_tell_how_far_the_index_is(campaign, monkeypatch, caplog):
    monkeypatch.setattr(loader, "TELL_EVERY", -1.0)
    write(campaign, (0, "converged", 5, 0.5))
    with caplog.at_level(logging.INFO, "relax"):
        campaign.status()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "5 structures are read",
        "1 results are read",
    ]


def test_a_look_loads_neither_ase_nor_numpy(campaign, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parents[1]))
    script = (
        "import sys; from relax.campaign.campaign import Campaign; print(Campaign('c').status().waiting)\n"
        "print(*{'ase', 'numpy', 'scipy', 'torch'} & set(sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["4"]


def test_units_are_filled_and_become_smaller_towards_the_end():
    # 100 structures of cost 1 in units of 4 at most, 1 at least, and a sixteenth of what is left between:
    # 4 from 100 to 64 that are left, 3 from 60 to 48, 2 from 45 to 33, then 1 each.
    units = list(units_of(((i, 1.0) for i in range(100)), 100.0, 3, 7, 4.0))
    assert [len(unit.ids) for unit in units] == [4] * 10 + [3] * 5 + [2] * 7 + [1] * 31
    assert [unit.number for unit in units] == list(range(7, 7 + 53))
    assert {unit.round for unit in units} == {3}
    assert [i for unit in units for i in unit.ids] == list(range(100))
    assert [unit.cost for unit in units] == [float(len(unit.ids)) for unit in units]


def test_a_structure_that_costs_more_than_a_unit_is_one():
    costs = [1.0, 50.0, 1.0, 1.0]
    units = list(units_of(enumerate(costs), 10_000.0, 0, 0, 10.0))
    assert units == [Unit(0, 0, [0], 1.0), Unit(1, 0, [1], 50.0), Unit(2, 0, [2, 3], 2.0)]


def test_no_unit_has_more_than_512_structures():
    units = list(units_of(((i, 1.0) for i in range(100_000)), 100_000.0, 0, 0, 1e9))
    assert {len(unit.ids) for unit in units[:-1]} == {512}
    assert [len(unit.ids) for unit in units][-1] == 100_000 % 512
    assert ranges([0, 1, 2, 5, 7, 8]) == [[0, 3], [5, 6], [7, 9]]


def test_the_status_is_a_line_of_json(campaign, relax):
    write(campaign, (0, "converged", 5, 0.5))
    code, out, _ = relax("campaign", "status", "c", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["structures"], found["waiting"], found["calls"]) == (5, 3, 5)
    assert found["statuses"] == {"converged": 1, "refused": 1}
