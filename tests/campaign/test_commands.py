"""``relax campaign ...``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import read, write

from relax.campaign.campaign import Campaign
from relax.cli.campaigning.run_command import seconds
from relax.core.errors import UsageError


@pytest.fixture
def files(crystals):
    """Return the names of two files of structures and of one that is none."""
    for k, atoms in enumerate(crystals(6)):
        atoms.info["material_id"] = f"id-{k}"
        write("six.extxyz", atoms, append=True)
    write("one.cif", crystals(1, metals=("Au",))[0])
    Path("none.cif").write_text("nothing")
    return "six.extxyz", "one.cif", "none.cif"


def totals(relax, folder):
    code, out, _ = relax("campaign", "status", folder, "--json")
    assert code == 0
    return json.loads(out)


def test_a_campaign_is_made_of_files(relax, files):
    code, out, errors = relax("campaign", "init", "made", *files[:2], "-c", "emt", "--cell", "--fmax", "0.02")
    assert (code, out) == (0, "")
    assert errors == ["relax: made has 7 structures; relax campaign run made relaxes them"]
    assert totals(relax, "made")["waiting"] == 7
    with Campaign("made") as campaign:
        found = list(campaign.results())
        assert campaign.folder.settings.relaxation["fmax"] == 0.02
        assert campaign.folder.settings.cell == {}
    assert [outcome.source for outcome in found] == [*(f"six.extxyz#{k}" for k in range(6)), "one.cif"]
    assert [outcome.start.info.get("material_id") for outcome in found[:2]] == ["id-0", "id-1"]
    assert found[3].start.positions == pytest.approx(read("six.extxyz@3").positions, abs=0)
    code, out, _ = relax("campaign", "status", "made")
    assert code == 0
    assert "made: 0 of 7 structures done" in out
    code, _, errors = relax("campaign", "init", "made", "six.extxyz", "-c", "emt")
    assert code == 2
    assert len(errors) == 1
    assert "is a campaign already; relax campaign add adds structures to it" in errors[0]


def test_what_cannot_be_read_is_told_and_the_others_are_there(relax, files):
    code, _, errors = relax("campaign", "init", "made", *files, "-c", "emt")
    assert code == 2
    assert errors[0].startswith("relax: none.cif: ")
    assert errors[1] == "relax: made has 7 structures; relax campaign run made relaxes them"
    code, _, errors = relax("campaign", "init", "other", "none.cif", "missing.cif", "-c", "emt")
    assert code == 2
    assert errors[-1] == "relax: there is no structure in these files; no campaign was changed"
    assert not Path("other").exists()
    write("overlap.xyz", Atoms("Cu2", [(0, 0, 0), (0, 0, 0.01)]))
    code, _, errors = relax("campaign", "add", "made", "overlap.xyz", "one.cif")
    assert code == 0
    assert totals(relax, "made")["statuses"] == {"refused": 1}
    assert totals(relax, "made")["waiting"] == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init", "made", "one.cif", "-c", "emtt"), "unknown calculator 'emtt'"),
        (("init", "made", "one.cif", "--fmax", "-1"), "--fmax must be greater than 0"),
        (("init", "made", "one.cif", "--unit-cost", "0"), "--unit-cost must be greater than 0"),
        (("init", "made", "one.cif", "--smax", "1"), "--smax needs --cell; add it"),
        (("run", "nowhere"), "there is no such folder; relax campaign init makes one"),
        (("run", "there", "--shard", "2/2"), "--shard 2/2: write I/N with I from 0 to N-1, such as 0/4"),
        (("run", "there", "--shard", "x"), "--shard x: write I/N"),
        (("run", "there", "--time-limit", "soon"), "--time-limit soon: write a time such as 30m, 4h or"),
        (("run", "there", "--workers", "0"), "--workers must be greater than 0"),
        (("run", "there", "--engine", "magic"), "unknown engine 'magic' (there are: processes, dask:ADDRESS"),
        (("retry", "there", "--status", "fine"), "--status: there is no status 'fine'"),
        (("retry", "there"), "--status names no status"),
        (("retry", "there", "--status", "converged", "--set", "fmax"), "--set fmax: write KEY=VALUE"),
        (("retry", "there", "--status", "converged", "--set", "fmax=-1"), "fmax = -1 is not allowed"),
        (("merge", "there", "there"), "is the same campaign as"),
        (("export", "there"), "no file is given; add --output"),
        (("export", "there", "-o", "out.txt"), "--output out.txt: which format is that? add --to"),
        (("export", "there", "-o", "one.cif", "--to", "extxyz"), "one.cif"),
        (("sbatch", "there", "--time", "5m"), "a job needs 15 minutes or more (got 5)"),
        (("sbatch", "nowhere"), "there is no such folder"),
    ],
)
def test_wrong_words_are_one_line(relax, files, crystals, words, said):
    Campaign.create("there", crystals(1), "emt").close()
    before = {
        path: path.read_bytes()
        for path in Path().rglob("*.*")
        if path.is_file() and path.parent.name != "index"
    }
    code, out, errors = relax("campaign", *words)
    assert (code, out, len(errors)) == (2, "", 1), errors
    assert said in errors[0]
    assert {path for path in before if path.read_bytes() != before[path]} == set()
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90), ("90s", 90), ("1.5h", 5400), ("30m", 1800), ("2d", 172800), ("4:30", 16200),
        ("4:30:05", 16205), ("1-12:00:00", 129600),
    ],
)  # fmt: skip
def test_times_are_written_as_people_and_SLURM_write_them(text, expected):
    assert seconds("--time-limit", text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "4x", "1:2", "h"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(UsageError, match="write a time"):
        seconds("--time-limit", text)


def test_settings_in_a_file_are_those_of_the_command(relax, files):
    Path("relax.toml").write_text('[campaign]\ncalculator = "emt"\nfmax = 0.2\nunit-cost = 50\n')
    code, _, errors = relax("campaign", "init", "made", "one.cif", "--fmax", "0.3")
    assert code == 0, errors
    with Campaign("made") as campaign:
        assert campaign.folder.settings.calculator == "emt"
        assert campaign.folder.settings.relaxation["fmax"] == 0.3
        assert campaign.folder.unit_cost == 50


def test_a_job_script_is_a_script(relax, files, crystals):
    Campaign.create("there", crystals(1), "emt").close()
    code, out, _ = relax("campaign", "sbatch", "there", "--jobs", "3", "--time", "2h")
    assert code == 0
    assert out.startswith("#!/usr/bin/env bash\n")
    assert "#SBATCH --array=0-2\n" in out
    assert "#SBATCH --time=02:00:00\n" in out


@pytest.mark.slow
def test_a_whole_campaign(relax, files):
    assert (
        relax("campaign", "init", "made", *files[:2], "-c", "emt", "--steps", "1", "--fmax", "0.01")[0] == 0
    )
    code, out, errors = relax("campaign", "run", "made", "-n", "1")
    assert (code, errors) == (1, [])
    assert "max_steps" in out
    code, _, errors = relax("campaign", "retry", "made", "--status", "max_steps", "--set", "steps=100")
    assert code == 0
    assert errors == ["relax: 7 structures ended with max_steps; relax campaign run made relaxes them again"]
    code, out, errors = relax("campaign", "run", "made", "-n", "1")
    assert (code, errors) == (0, [])
    assert "made: 7 of 7 structures done" in out
    code, _, errors = relax("campaign", "export", "made", "-o", "out.extxyz")
    assert (code, errors) == (0, ["relax: out.extxyz has 7 structures"])
    code, out, _ = relax("show", "out.extxyz")
    assert "7 of 7 converged" in out
    frames = read("out.extxyz", ":")
    assert [atoms.info.get("material_id") for atoms in frames[:6]] == [f"id-{k}" for k in range(6)]
    assert relax("campaign", "export", "made", "-o", "out.extxyz")[0] == 2
    assert relax("campaign", "export", "made", "-o", "out.extxyz", "--force")[0] == 0
    code, out, errors = relax("campaign", "duplicates", "made", "--json")
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == list(range(7))
    relax("campaign", "init", "more", "one.cif", "-c", "emt", "--steps", "1", "--fmax", "0.01")
    code, _, errors = relax("campaign", "merge", "more", "made")
    assert (code, errors) == (0, ["relax: more got 6 structures and 7 results of made"])


def test_a_campaign_has_a_prior(relax, files):
    words = ("-c", "emt", "--prior", "emt", "--fmax", "0.01")
    assert relax("campaign", "init", "made", files[0], *words)[0] == 0
    assert relax("campaign", "run", "made", "--workers", "1")[0] == 0
    with Campaign("made") as campaign:
        found = list(campaign.results())
    assert {one.status for one in found} == {"converged"}
    # The cheap calculator is the other one: where it has ended, there is nothing left to do.
    assert {one.found["force_calls"] for one in found} == {1}
    assert relax("campaign", "init", "other", files[0], "-c", "emt", "--prior", "foo")[0] == 2


@pytest.mark.parametrize("more", [(), ("--cell",)])
def test_relax_run_has_a_prior(relax, files, more):
    code, out, _ = relax("run", files[0], "-c", "emt", "--prior", "emt", "--json", *more)
    assert code == 0
    assert out.count('"force_calls": 1') == 6 or out.count('"force_calls":1') == 6
    assert relax("run", files[0], "-c", "emt", "--prior", "emt", "-r", "fire")[0] == 2
