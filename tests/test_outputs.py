"""The files that ``relax run`` writes: formats, patterns of names, and what a run that resumes notices."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength
from ase.db import connect
from ase.io import read, write

RUN = ("run", "-c", "emt")


def metal(seed: int, symbol: str = "Cu") -> Atoms:
    atoms = bulk(symbol, cubic=True)
    atoms.rattle(0.08, rng=np.random.default_rng(seed))
    return atoms


@pytest.fixture
def metals(relax) -> list[str]:
    """Return the names of three files; the folder is that of ``relax``."""
    for name, symbol in (("b", "Cu"), ("a", "Al"), ("c", "Ag")):
        write(f"{name}.extxyz", metal(ord(name), symbol))
    return ["b.extxyz", "a.extxyz", "c.extxyz"]


@pytest.mark.parametrize("name", ["out.cif", "out.traj", "out.json", "out.db", "out.extxyz.gz"])
def test_a_format_that_cannot_grow_is_written_at_the_end(relax, metals, name):
    code, _, err = relax(*RUN, *metals, "-o", name, "--batch-size", 3)
    assert (code, err) == (0, [])
    grown = {frame.info["relax_place"]: frame for frame in read(f"{name}.extxyz", ":")}
    frames = read(name, ":")
    assert [str(frame.symbols) for frame in frames] == ["Cu4", "Al4", "Ag4"]
    for place, frame in enumerate(frames):
        assert grown[place].info["source"] == metals[place]
        assert np.allclose(frame.cell[:], grown[place].cell[:], atol=1e-3)
        again = frame.copy()
        again.calc = EMT()
        assert again.get_potential_energy() == pytest.approx(grown[place].get_potential_energy(), abs=1e-4)
    before = Path(name).read_bytes()
    code, out, err = relax(*RUN, *metals, "-o", name, "--resume")
    assert (code, err) == (0, [])
    assert f"3 already in {name}, 3 of them converged" in out
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize("name", ["out.json", "out.db"])
def test_a_database_has_the_verdicts(relax, metals, name):
    write("9.extxyz", metal(9))  # a word that is a number is no text to a database
    assert relax(*RUN, *metals, "9.extxyz", "--steps", 1, "-o", name)[0] == 1
    rows = list(connect(name).select())
    assert [row.source for row in rows] == [*metals, "9.extxyz"]
    for row in rows:
        assert (row.relax_status, row.relax_force_calls) == ("max_steps", 2)
        assert row.relax_reason.startswith("fmax is ")
        assert row.fmax == pytest.approx(row.relax_fmax)
    assert len(list(connect(name).select(relax_status="max_steps"))) == 4
    assert "4 max_steps" in relax("show", name)[1]


def test_constraints_are_kept_where_a_format_holds_them(relax):
    atoms = Atoms("Cu4", 2.4 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.2]]))
    atoms.set_constraint([FixBondLength(0, 1), FixAtoms([3])])
    write("square.traj", atoms)
    assert relax(*RUN, "square.traj", "-o", "out.traj", "--steps", 5)[0] == 1
    kept = read("out.traj")
    assert [type(c).__name__ for c in kept.constraints] == ["FixBondLengths", "FixAtoms"]
    assert kept.get_distance(0, 1) == pytest.approx(2.4)
    assert np.array_equal(kept.positions[3], atoms.positions[3])


def test_force_replaces_the_files_of_another_run(relax, metals):
    for rule in ("fire", "lbfgs"):
        assert relax(*RUN, *metals, "--rule", rule, "-o", "out.cif", "--force")[0] == 0
    assert [frame.info["relax_rule"] for frame in read("out.cif.extxyz", ":")] == ["lbfgs"] * 3
    before = Path("out.cif.extxyz").read_bytes()
    Path("bad.cif").write_text("")
    code, _, err = relax(*RUN, "bad.cif", "-o", "out.cif", "--force")
    assert (code, err) == (2, ["relax: bad.cif: the file is empty"])
    assert Path("out.cif.extxyz").read_bytes() == before


@pytest.mark.parametrize("output", ["out.extxyz", "out.traj"])
def test_a_run_that_resumes_notices_another_structure(relax, metals, output):
    assert relax(*RUN, *metals[:2], "-o", output)[0] == 0
    before = Path(output).read_bytes()
    write("a.extxyz", metal(5, "Al"))
    code, _, err = relax(*RUN, *metals[:2], "-o", output, "--resume")
    says = f"it has changed since its result was written to {output}; name another file, or add --force"
    assert (code, err) == (2, [f"relax: a.extxyz: {says}"])
    assert Path(output).read_bytes() == before
    # The others go on.
    code, out, _ = relax(*RUN, *metals, "-o", output, "--resume")
    assert code == 2
    assert "1 of 1 converged" in out
    assert {frame.info["source"] for frame in read(output, ":")} == set(metals)


@pytest.mark.parametrize("change", ["cell", "charge", "constraint", "pbc", "element"])
def test_what_counts_as_another_structure(relax, change):
    atoms = metal(1)
    write("in.traj", atoms)
    assert relax(*RUN, "in.traj", "-o", "out.extxyz")[0] == 0
    if change == "cell":
        atoms.cell[0, 0] += 1e-4
    elif change == "charge":
        atoms.set_initial_charges([1, 0, 0, 0])
    elif change == "constraint":
        atoms.set_constraint(FixAtoms([0]))
    elif change == "pbc":
        atoms.pbc = [True, True, False]
    else:
        atoms.symbols[0] = "Ag"
    write("in.traj", atoms)
    assert "it has changed since" in relax(*RUN, "in.traj", "-o", "out.extxyz", "--resume")[2][0]


def test_files_of_each_structure_by_a_pattern(relax, metals):
    words = ("--trajectory", "paths/{formula}/{name}.traj", "--logfile", "logs/{place}-{name}.log")
    assert relax(*RUN, *metals, *words, "--batch-size", 2)[0] == 0
    found = sorted(str(path) for path in Path("paths").rglob("*") if path.is_file())
    assert found == [f"paths/{s}4/{n}.extxyz.traj" for s, n in (("Ag", "c"), ("Al", "a"), ("Cu", "b"))]
    assert sorted(os.listdir("logs")) == ["0-b.extxyz.log", "1-a.extxyz.log", "2-c.extxyz.log"]
    frames = read("paths/Al4/a.extxyz.traj", ":")
    lines = Path("logs/1-a.extxyz.log").read_text().splitlines()
    assert len(lines) == len(frames) + 2
    assert all(line.endswith("  a.extxyz") for line in lines[1:-1])
    assert lines[-1] == "a.extxyz: converged: no force above 0.05 eV/A"
    assert np.allclose(frames[0].positions, metal(ord("a"), "Al").positions, atol=1e-7)


def test_one_log_has_the_lines_of_all(relax, metals):
    assert relax(*RUN, *metals, "--logfile", "log", "--batch-size", 3, "-o", "out.extxyz")[0] == 0
    lines = Path("log").read_text().splitlines()
    steps = [line.split() for line in lines[1:] if ":" not in line]
    assert {step[-1] for step in steps} == set(metals)
    for name in metals:
        mine = [step for step in steps if step[-1] == name]
        assert [int(step[0]) for step in mine] == list(range(len(mine)))
    relax(*RUN, *metals, "--logfile", "log", "-o", "out.extxyz", "--resume")
    assert Path("log").read_text().splitlines() == lines


def test_json_lines_appear_as_structures_end(relax, metals):
    write("bad.traj", Atoms("Og2", [[0, 0, 0], [0, 0, 2.4]]))
    code, out, err = relax(*RUN, metals[0], "bad.traj", *metals[1:], "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert [line["source"] for line in told] == [metals[0], "bad.traj", *metals[1:]]
    assert [line["status"] for line in told] == ["converged", "invalid", "converged", "converged"]
    assert told[1]["reason"] in err[0]


def test_a_whole_file_that_a_kill_has_left_out_is_made_up_for(relax, metals):
    words = (*RUN, *metals, "-o", "out.cif")
    assert relax(*words)[0] == 0
    whole = read("out.cif", ":")
    for state in ("not there", "of an earlier run"):
        Path("out.cif").unlink()
        if state == "of an earlier run":
            write("out.cif", metal(1))
            os.utime("out.cif", (1, 1))
        code, out, err = relax(*words, "--resume")
        assert (code, err) == (0, [])
        assert "3 already in out.cif" in out
        for frame, other in zip(read("out.cif", ":"), whole, strict=True):
            assert frame.symbols.get_chemical_formula() == other.symbols.get_chemical_formula()
            assert np.allclose(frame.positions, other.positions, rtol=0, atol=1e-7)


def test_a_whole_file_has_the_order_of_the_inputs_that_are_named_now(relax, metals):
    assert relax(*RUN, *metals[:2], "-o", "out.cif")[0] == 0
    assert [str(frame.symbols) for frame in read("out.cif", ":")] == ["Cu4", "Al4"]
    write("9", metal(9, "Pd"), format="extxyz")  # a name that reads like a number
    names = ["c.extxyz", "9", "a.extxyz"]
    code, _, err = relax(*RUN, *names, "-o", "out.cif", "--resume")
    assert (code, err) == (0, [])
    # What no input names any more comes last.
    assert [str(frame.symbols) for frame in read("out.cif", ":")] == ["Ag4", "Pd4", "Al4", "Cu4"]
    assert relax(*RUN, *names, "b.extxyz", "-o", "out.cif", "--resume")[0] == 0
    assert len(read("out.cif", ":")) == 4
