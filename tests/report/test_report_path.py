"""The page and the picture of one run, compared with ASE and spglib."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read, write
from ase.neighborlist import natural_cutoffs, neighbor_list
from report_pages import Page
from report_runs import computed

from relax.analysis.report import path as path_module
from relax.analysis.report.api import report
from relax.analysis.report.changes import BONDED, LOOSE, bond_changes
from relax.analysis.report.reading.thinning import Thinned
from relax.core.errors import UsageError


@pytest.fixture
def page(path_file, tmp_path):
    report(path_file, tmp_path / "cu.html")
    return Page(tmp_path / "cu.html")


def test_curves_are_those_of_the_file(path_file, page):
    frames = read(path_file, ":")
    points = np.array(page.part("points"), float)
    columns = page.meta["columns"]
    energies = [atoms.get_potential_energy() for atoms in frames]
    forces = [np.linalg.norm(atoms.get_forces(), axis=1).max() for atoms in frames]
    np.testing.assert_allclose(points[:, columns.index("energy")], energies, atol=1e-6)
    np.testing.assert_allclose(points[:, columns.index("fmax")], forces, atol=1e-6)
    assert points[:, columns.index("calls")].tolist() == list(range(1, len(frames) + 1))
    stress = [np.abs(atoms.get_stress()).max() * 160.21766208 for atoms in frames]
    np.testing.assert_allclose(points[:, columns.index("smax")], stress, atol=2e-5)


def test_frames_are_those_of_the_file(path_file, page):
    frames, drawn = read(path_file, ":"), page.part("frames")
    assert len(drawn) == len(frames) > 5
    for atoms, found in zip(frames, drawn, strict=True):
        places = np.array(found["x"]).reshape(-1, 3) / page.meta["scale"]
        apart = np.linalg.solve(atoms.cell.array.T, (places - atoms.positions).T).T
        np.testing.assert_allclose((apart - apart.round()) @ atoms.cell.array, 0, atol=0.01)
        np.testing.assert_allclose(
            np.array(found["cell"]).reshape(3, 3) / page.meta["scale"], atoms.cell, atol=0.01
        )
        forces = np.array(found["f"]).reshape(-1, 3) / page.meta["forceScale"]
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of spglib before version 3
def test_changes_are_those_of_ase_and_spglib(path_file, page):
    first, last = read(path_file, "0"), read(path_file, "-1")
    rows = {name: (before, after) for name, _, before, after, _ in page.meta["changes"]}
    assert rows["volume"] == pytest.approx((first.cell.volume, last.cell.volume))
    for k, name in enumerate("abc"):
        assert rows[name] == pytest.approx((first.cell.lengths()[k], last.cell.lengths()[k]))
    assert rows["\N{GREEK SMALL LETTER GAMMA}"][1] == pytest.approx(last.cell.angles()[2])
    groups = [
        spglib.get_symmetry_dataset((a.cell[:], a.get_scaled_positions(), a.numbers), symprec=0.01)
        for a in (first, last)
    ]
    assert rows["space group"] == tuple(f"{group.international} ({group.number})" for group in groups)
    assert rows["space group"][0] != rows["space group"][1]


def bonds_by_ase(atoms: Atoms, part: float) -> set[tuple[int, int]]:
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=part))
    return {(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True) if a < b}


def test_bonds_that_break_and_form(tmp_path):
    first = Atoms(
        "OH2OH", [(0, 0, 0), (0.96, 0, 0), (-0.3, 0.9, 0), (3.6, 0, 0), (4.5, 0.4, 0)], cell=[9] * 3, pbc=True
    )
    last = first.copy()
    last.positions[1, 0] = 2.64
    write(tmp_path / "hop.traj", [computed(first, 1.0), computed(last, 0.5)])
    report(tmp_path / "hop.traj", tmp_path / "hop.html")
    bonds = Page(tmp_path / "hop.html").meta["bonds"]
    near, far = (
        {name: bonds_by_ase(a, part) for name, a in (("first", first), ("last", last))}
        for part in (BONDED, LOOSE)
    )
    assert {tuple(row[:2]) for row in bonds["broken"]} == near["first"] - far["last"] == {(0, 1)}
    assert {tuple(row[:2]) for row in bonds["formed"]} == near["last"] - far["first"] == {(1, 3)}
    assert bonds["broken"][0][2:] == [0.96, 2.64]
    assert bonds["counts"] == {"formed": 1, "broken": 1}


def test_a_bond_to_an_image_of_the_atom_itself_counts_once():
    first, last = (Atoms("H", cell=[a, 9, 9], pbc=True) for a in (0.7, 2.0))
    found = bond_changes(first, last, last.positions)
    assert found["counts"] == {"formed": 0, "broken": 1}
    assert found["broken"] == [[0, 0, 0.7, 2.0]]


def test_no_atom_jumps_to_the_other_side_of_the_cell(tmp_path):
    first = Atoms("Ar2", [(0.1, 0, 0), (5, 5, 5)], cell=[10] * 3, pbc=True)
    second = first.copy()
    second.positions[0, 0] = 9.9  # which is 0.2 A away
    write(tmp_path / "jump.traj", [computed(first, 1.0), computed(second, 0.0)])
    report(tmp_path / "jump.traj", tmp_path / "jump.html")
    page = Page(tmp_path / "jump.html")
    assert page.part("frames")[1]["x"][0] == -10
    assert page.meta["displacement"] == {
        "atom": 0,
        "largest": 0.2,
        "rms": pytest.approx(0.2 / 2**0.5, abs=1e-4),
    }
    assert page.part("points")[1][page.meta["columns"].index("step")] == pytest.approx(0.2)


def test_force_calls_are_those_that_the_run_counts(relax, tmp_path):
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.rattle(0.1, seed=1)
    write("start.extxyz", atoms)
    code, out, _ = relax("run", "start.extxyz", "-c", "emt", "--trajectory", "cu.traj", "--logfile", "cu.log")
    assert code == 0, out
    report("cu.traj", "cu.html")
    page = Page(tmp_path / "cu.html")
    logged = [int(line.split()[1]) for line in (tmp_path / "cu.log").read_text().splitlines()[1:-1]]
    assert [row[1] for row in page.part("points")] == logged
    assert page.meta["counted"]
    assert not page.meta["notes"]


@pytest.mark.parametrize(("rule", "limited"), [("pair-lbfgs", True), ("frankenstein", False)])
def test_steps_are_within_the_trust_radius(relax, tmp_path, rule, limited):
    atoms = bulk("Cu", cubic=True, a=3.8) * (2, 1, 1)
    atoms.rattle(0.2, seed=1)
    write("start.extxyz", atoms)
    code, out, _ = relax("run", "start.extxyz", "-c", "emt", "--rule", rule, "--trajectory", "cu.traj")
    assert code == 0, out
    report("cu.traj", "cu.html")
    page = Page(tmp_path / "cu.html")
    step, radius = (
        [row[page.meta["columns"].index(name)] for row in page.part("points")] for name in ("step", "radius")
    )
    assert radius[0] is None
    assert all((value is not None) == limited for value in radius[1:])
    if limited:
        within = np.array(step[1:]) / np.array(radius[1:])
        assert within.max() == pytest.approx(1.0, abs=1e-3)  # some step is cut
        assert within.min() < 0.5


def test_the_steps_of_a_relaxed_structure_are_a_path(relax, tmp_path):
    write("start.extxyz", bulk("Cu", cubic=True, a=3.8))
    relax("run", "start.extxyz", "-c", "emt", "-o", "relaxed.extxyz")
    relaxed = read("relaxed.extxyz")
    relaxed.rattle(0.1, seed=1)
    write("again.extxyz", relaxed)  # it still has the status
    relax("run", "again.extxyz", "-c", "emt", "--trajectory", "again.traj")
    frames = read("again.traj", ":")
    for atoms in frames:
        del atoms.info["relax_calls"]  # as ASE's optimizers write them
    write("ase.traj", frames)
    for name, kind in (("again.traj", "path"), ("ase.traj", "path"), ("relaxed.extxyz", "many")):
        report(name, "a.html", force=True)
        assert Page(tmp_path / "a.html").meta["kind"] == kind


def test_long_paths_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(path_module, "MOST_ATOMS", 30)
    monkeypatch.setattr(path_module, "MOST_POINTS", 20)
    frames = [computed(molecule("H2O"), -0.1 * k) for k in range(101)]
    write(tmp_path / "long.traj", frames)
    written = report(tmp_path / "long.traj", tmp_path / "long.html")
    page = Page(tmp_path / "long.html")
    kept = [frame["frame"] for frame in page.part("frames")]
    assert len(kept) <= 11
    assert (kept[0], kept[-1]) == (0, 100)
    assert len(set(np.diff(kept[:-1]))) == 1
    points = page.part("points")
    assert len(points) <= 21
    assert points[-1][2] == pytest.approx(-10.0)
    assert any(f"{len(kept)} of 101 frames" in note for note in page.meta["notes"])
    assert list(written.notes) == page.meta["notes"]


@pytest.mark.parametrize("total", [0, 1, 7, 8, 9, 100, 1000])
def test_thinned_items_are_evenly_spaced(total):
    thinned = Thinned(8)
    for k in range(total):
        thinned.add(k)
    assert thinned.seen == total
    assert min(total, 4) <= len(thinned.items) <= 8
    assert not thinned.items or thinned.items[0] == 0
    assert len(set(np.diff(thinned.items))) <= 1


def test_a_frame_without_energy_is_one_line(tmp_path):
    atoms = molecule("H2O")
    write(tmp_path / "bare.traj", [computed(atoms, 1.0), atoms])
    with pytest.raises(UsageError, match=r"bare\.traj: frame 1 has no energy"):
        report(tmp_path / "bare.traj", tmp_path / "bare.html")
    assert [each.name for each in tmp_path.iterdir()] == ["bare.traj"]


def test_frames_of_other_atoms_are_no_path(tmp_path):
    write(tmp_path / "two.traj", [computed(molecule(name), 1.0) for name in ("H2O", "CO2")])
    with pytest.raises(UsageError, match="frame 1 has other atoms than the first"):
        report(tmp_path / "two.traj", tmp_path / "two.html")


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_pictures_of_several_runs(relax, path_file, tmp_path, ending):
    write("two.traj", [computed(molecule("H2O"), energy) for energy in (1.0, 0.0)])
    code, out, err = relax("plot", path_file, "two.traj", "-o", f"curves{ending}")
    assert (code, err) == (0, []), err
    assert "2 frames" in out
    content = (tmp_path / f"curves{ending}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])
    if ending == ".svg":
        assert {b"two.traj", b"force calls"} <= {
            word for word in (b"two.traj", b"force calls") if word in content
        }
        relax("plot", path_file, "two.traj", "-o", "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == content


def test_runs_of_the_same_atoms_share_the_zero_of_the_energy():
    from relax.analysis.report.figure import Curves, _zeros

    runs = [Curves("a", "H2O", 3), Curves("b", "H2O", 3), Curves("c", "CO2", 3)]
    for run, energies in zip(runs, ([3.0, 1.0], [2.0, 0.5], [9.0, 7.0]), strict=True):
        run.energy.extend(energies)
    assert _zeros(runs) == [0.5, 0.5, 7.0]
