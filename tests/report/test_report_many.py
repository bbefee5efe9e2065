"""The page of many runs: what is in the table, what is drawn, and what is left out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from report_pages import Page
from report_runs import HOSTILE, hostile_results, made_up

from relax.analysis.report import many
from relax.analysis.report.api import report
from relax.analysis.report.spread import histogram
from relax.campaign.campaign import Campaign
from relax.io.overview.summary import Summary


@pytest.fixture
def relaxed(relax, tmp_path):
    """Relax three crystals, one of which does not converge, and return the inputs and the outputs."""
    starts = [bulk(name, cubic=True, a=a) for name, a in (("Cu", 3.7), ("Ag", 4.2), ("Au", 4.0))]
    starts[2].rattle(0.2, seed=0)
    write("in.extxyz", starts)
    relax(
        "run", "in.extxyz", "-c", "emt", "--cell", "--steps", 4, "--check", "minimum", "-o", "out.extxyz"
    )  # fmt: skip
    return starts, read("out.extxyz", ":")


def test_rows_say_what_the_file_says(relaxed, tmp_path):
    starts, ends = relaxed
    report("out.extxyz", "many.html")
    page = Page(tmp_path / "many.html")
    rows = page.rows()
    assert len(rows) == len(ends) == 3
    for row, atoms in zip(rows, ends, strict=True):
        start = starts[atoms.info["relax_place"]]
        assert row["name"] == atoms.info["source"]
        assert row["status"] == atoms.info["relax_status"]
        assert row["calls"] == atoms.info["relax_force_calls"]
        assert row["energy"] == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-6)
        assert row["volume"] == pytest.approx(100 * (atoms.cell.volume / start.cell.volume - 1), abs=1e-3)
        assert row["before"] == atoms.info["relax_spacegroup_first"]
    assert {row["status"] for row in rows} == {"converged", "max_steps"}
    assert [row["reason"] == "" for row in rows] == [row["status"] == "converged" for row in rows]
    assert "2 of 3 converged, 1 max_steps" in page.meta["words"]
    assert page.meta["settings"][0] == "internal-lbfgs"


def test_the_energy_change_is_that_of_the_calculator(relaxed, tmp_path):
    from ase.calculators.emt import EMT

    starts, ends = relaxed
    report("out.extxyz", "many.html")
    for row, atoms in zip(Page(tmp_path / "many.html").rows(), ends, strict=True):
        start = starts[atoms.info["relax_place"]]
        start.calc = EMT()
        change = 1e3 * (atoms.get_potential_energy() - start.get_potential_energy()) / len(atoms)
        assert row["change"] == pytest.approx(change, abs=2e-3)


def test_structures_are_drawn_before_and_after(relaxed, tmp_path):
    starts, ends = relaxed
    report("out.extxyz", "many.html")
    page = Page(tmp_path / "many.html")
    assert not page.meta["notes"]
    for row, atoms in zip(page.rows(), ends, strict=True):
        start = starts[atoms.info["relax_place"]]
        one = page.part("structures")[row["drawn"]]
        end = np.array(one["x"]).reshape(-1, 3) / page.meta["scale"]
        np.testing.assert_allclose(end, atoms.positions, atol=0.006)
        begun = end + np.array(one["dx"]).reshape(-1, 3) / page.meta["scale"]
        np.testing.assert_allclose(begun, start.positions, atol=0.011)
        np.testing.assert_allclose(np.array(one["cell0"]).reshape(3, 3) / 100, start.cell, atol=0.006)
        if row["status"] == "converged":
            mode = np.array(one["mode"]).reshape(-1, 3) / page.meta["scale"]
            along = (mode * atoms.arrays["relax_mode"]).sum()
            sizes = np.linalg.norm(mode) * np.linalg.norm(atoms.arrays["relax_mode"])
            assert along == pytest.approx(sizes, rel=0.01)


def test_the_mode_has_the_curvature_that_the_file_says(relax):
    from ase.build import molecule
    from ase.calculators.emt import EMT

    write("in.extxyz", molecule("CH3CH2OH"))
    relax("run", "in.extxyz", "-c", "emt", "--fmax", "0.001", "--check", "minimum", "-o", "out.extxyz")
    atoms = read("out.extxyz")
    mode, curvature, reach = atoms.arrays["relax_mode"], atoms.info["relax_curvature"], 0.005
    assert np.linalg.norm(mode) == pytest.approx(1)
    slopes = []
    for way in (reach, -reach):
        moved = atoms.copy()
        moved.positions += way * mode
        moved.calc = EMT()
        slopes.append(-(moved.get_forces() * mode).sum())
    assert (slopes[0] - slopes[1]) / (2 * reach) == pytest.approx(curvature, abs=0.05, rel=0.05)
    relax("run", "out.extxyz", "-c", "emt", "-o", "again.extxyz")
    assert "relax_mode" not in read("again.extxyz").arrays  # it is that of another place


def test_starts_that_have_changed_are_left_out(relaxed, tmp_path):
    starts, _ = relaxed
    starts[1].positions[0, 0] += 0.5
    write("in.extxyz", starts)
    report("out.extxyz", "many.html")
    page = Page(tmp_path / "many.html")
    assert sum("dx" in one for one in page.part("structures")) == 2
    assert any("1 of them is drawn without the start" in note for note in page.meta["notes"])
    (tmp_path / "in.extxyz").unlink()
    report("out.extxyz", "many.html", force=True)
    assert not any("dx" in one for one in Page(tmp_path / "many.html").part("structures"))


def test_inputs_are_found_beside_the_results(relaxed, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    report("../out.extxyz", "many.html")
    assert all("dx" in one for one in Page(tmp_path / "elsewhere" / "many.html").part("structures"))


def test_a_campaign_that_waits(relax, tmp_path):
    Campaign.create("oxides", [bulk("Cu"), bulk("Ag")], "emt").close()
    code, _, _ = relax("campaign", "report", "oxides", "-o", "oxides.html")
    assert code == 0
    page = Page(tmp_path / "oxides.html")
    assert [row["status"] for row in page.rows()] == ["waiting", "waiting"]
    assert page.meta["statuses"] == [["waiting", 2]]
    assert relax("report", "oxides", "-o", "oxides.html", "--force")[0] == 0


@pytest.mark.slow
def test_a_campaign_as_it_ended(relax, tmp_path):
    with Campaign.create("metals", [bulk("Cu", a=3.5), bulk("Ag", a=4.3)], "emt", cell=True) as campaign:
        campaign.run(workers=1)
        outcomes = list(campaign.results())
        report(campaign, "metals.html")
    page = Page(tmp_path / "metals.html")
    for row, outcome in zip(page.rows(), outcomes, strict=True):
        assert (row["status"], row["calls"]) == ("converged", outcome.calls)
        assert row["change"] == pytest.approx(
            1e3 * (outcome.energy - outcome.found["energy_first"]), abs=2e-3
        )
        one = page.part("structures")[row["drawn"]]
        np.testing.assert_allclose(np.array(one["cell"]).reshape(3, 3) / 100, outcome.atoms.cell, atol=0.006)
        np.testing.assert_allclose(np.array(one["cell0"]).reshape(3, 3) / 100, outcome.start.cell, atol=0.006)


def test_hostile_texts_stay_texts(hostile_file, tmp_path):
    report(hostile_file, tmp_path / "h.html", title=HOSTILE[0])
    page = Page(tmp_path / "h.html")
    frames = hostile_results()
    assert [row["name"] for row in page.rows()] == [atoms.info["source"] for atoms in frames]
    assert page.meta["title"] == HOSTILE[0]
    # What a browser would find beside the elements of the page itself.
    assert not {"img", "svg", "i"} & set(page.tags)
    assert page.tags.count("script") == 6
    for character in "<>&\u2028\u2029":
        assert character not in page.of("meta")


def test_the_policy_allows_only_what_is_in_the_page(hostile_file, tmp_path):
    report(hostile_file, tmp_path / "h.html")
    page = Page(tmp_path / "h.html")
    assert not page.unhashed()
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert "unsafe" not in page.policy
    assert not {"http:", "https:", "*"} & set(page.policy.replace(";", "").split())
    links = {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not links
    assert "src=" not in page.text.replace(page.of("meta"), "").split("<body>")[1].split("<script>")[0]


def test_more_than_the_limit_is_a_sample(tmp_path):
    frames = [made_up(place) for place in range(200)]
    write(tmp_path / "many.extxyz", frames)
    written = report(tmp_path / "many.extxyz", tmp_path / "many.html", limit=40)
    page = Page(tmp_path / "many.html")
    rows = page.rows()
    assert sum(row["status"] == "max_steps" for row in rows) == 20  # all of them
    assert 10 <= sum(row["status"] == "converged" for row in rows) <= 20
    assert page.meta["total"] == 200
    assert page.meta["statuses"] == [["converged", 180], ["max_steps", 20]]
    calls = page.meta["histograms"]["calls"]
    assert sum(calls["counts"]) + calls["below"] + calls["above"] == 200
    assert any("There are 200 structures" in note for note in written.notes)
    assert "180 of 200 converged" in written.words


def test_atoms_beyond_the_limit_are_not_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "MOST_ATOMS", 20)
    write(tmp_path / "many.extxyz", [made_up(place) for place in range(30)])
    report(tmp_path / "many.extxyz", tmp_path / "many.html")
    page = Page(tmp_path / "many.html")
    drawn = [row for row in page.rows() if row["drawn"] is not None]
    assert sum(row["atoms"] for row in drawn) <= 20
    assert all(row["drawn"] is not None for row in page.rows() if row["status"] == "max_steps")
    assert any(f"{len(drawn)} of the 30 structures" in note for note in page.meta["notes"])


class Generated:
    """Results that are made when they are asked for."""

    def __init__(self, number: int) -> None:
        self.number, self.faults = number, []
        self.positions = np.random.default_rng(0).normal(size=(500, 3))

    def total(self):
        return self.number

    def summaries(self):
        for place in range(self.number):
            yield Summary("x", place, "Cu500", 500, -1.0, 0.01, {"relax_status": "converged"})

    def ends(self, wanted):
        for place in range(self.number):
            atoms = Atoms("Cu500", self.positions)
            if place in wanted:
                yield place, atoms

    starts = ends


def test_memory_does_not_grow_with_the_atoms_of_all(monkeypatch):
    monkeypatch.setattr(many, "MOST_ATOMS", 2000)
    peaks = []
    for number in (200, 200, 800):
        tracemalloc.start()
        many.many_page(Generated(number), 20, lambda items, total, unit: iter(items))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


@pytest.mark.parametrize("whole", [False, True])
def test_histograms_count_all_values(whole):
    values = np.random.default_rng(0).normal(50, 20, size=2000)
    values = np.append(values.round() if whole else values, [1e9, -1e9])
    found = histogram(values, whole)
    assert sum(found["counts"]) + found["below"] + found["above"] == len(values)
    assert len(found["counts"]) == len(found["edges"]) - 1 <= 41
    assert np.ptp(found["edges"]) < 200
    assert found["median"] == pytest.approx(np.median(values), abs=1e-4)


def test_values_that_are_all_the_same_are_one_bar():
    assert sum(histogram(np.full(5, 3.0), True)["counts"]) == 5
    assert sum(histogram(np.full(5, -0.25))["counts"]) == 5


def test_damaged_frames_are_told(tmp_path):
    write(tmp_path / "many.extxyz", [made_up(place) for place in range(3)])
    text = (tmp_path / "many.extxyz").read_text()
    (tmp_path / "many.extxyz").write_text(text.rstrip("\n")[:-12])  # as a kill leaves it
    written = report(tmp_path / "many.extxyz", tmp_path / "many.html")
    assert any("ends before its last atom" in note or "cut off" in note for note in written.notes)
    assert len(Page(tmp_path / "many.html").rows()) == 2


def test_a_database_is_read_too(tmp_path):
    from ase.db import connect

    with connect(tmp_path / "many.db") as database:
        for place in range(2):
            atoms = made_up(place)
            info, atoms.info = atoms.info, {}
            database.write(atoms, key_value_pairs=info)
    report(tmp_path / "many.db", tmp_path / "many.html")
    rows = Page(tmp_path / "many.html").rows()
    assert [row["name"] for row in rows] == ["in.extxyz#0", "in.extxyz#1"]
    assert all(row["drawn"] is not None for row in rows)
