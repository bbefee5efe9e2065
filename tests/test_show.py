"""The command ``relax show``."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read, write

from relax.io.overview.files import summaries

ROOT = Path(__file__).parents[1]

STATUSES = ["converged", "max_steps", "timeout", "converged"]


def ended(status: str, calls: int, source: str, atoms: Atoms | None = None) -> Atoms:
    """Return a structure as a run writes it."""
    atoms = bulk("NiAl", "cesiumchloride", a=2.9) if atoms is None else atoms
    forces = np.zeros((len(atoms), 3))
    forces[0] = 0.3, 0.0, 0.4
    atoms.calc = SinglePointCalculator(atoms, energy=-10.5, forces=forces)
    atoms.info |= {
        "source": source, "relax_rule": "core s_max=0.1 norm=row", "relax_status": status,
        "relax_options": "calculator=emt fmax=0.05 cell=True", "relax_force_calls": calls,
        "relax_fmax": 0.0123, "relax_reason": f'it "ended" with {status}', "relax_smax": 0.25,
    }  # fmt: skip
    return atoms


@pytest.fixture
def results(relax) -> str:
    """Return the name of a file with four results."""
    frames = [ended(status, 10 * n + 5, f"in.cif#{n}") for n, status in enumerate(STATUSES)]
    write("results.extxyz", frames)
    return "results.extxyz"


def named(out: str) -> list[str]:
    """Return the structures that a table names."""
    return re.findall(r"^in\.cif#\d+(?= +[A-Z])", out, re.MULTILINE)


def test_each_run_is_a_line(relax, results):
    code, out, err = relax("show", results)
    assert (code, err) == (0, [])
    line = next(line for line in out.splitlines() if line.startswith("in.cif#1"))
    assert line.split()[:8] == ["in.cif#1", "AlNi", "2", "max_steps", "15", "-10.5000", "-5.2500", "0.0123"]
    assert line.endswith('it "ended" with max_steps')
    assert 'it "ended" with converged' not in out
    assert out.splitlines()[-1] == "2 of 4 converged, 1 max_steps, 1 timeout; 80 force calls, median 20"


def test_what_a_run_writes_is_shown_as_it_was_printed(relax):
    clusters = [molecule("H2O"), molecule("CO"), molecule("C2H6")]
    write("in.extxyz", clusters)
    words = ("run", "-c", "emt", "in.extxyz", "--steps", 4, "-o", "out.extxyz", "--json", "--fmax", 0.01)
    printed = [json.loads(line) for line in relax(*words)[1].splitlines()]
    shown = [json.loads(line) for line in relax("show", "--json", "out.extxyz")[1].splitlines()]
    assert [each["source"] for each in shown] == ["in.extxyz#0", "in.extxyz#1", "in.extxyz#2"]
    same = ("formula", "atoms", "status", "reason", "force_calls", "rule", "settings", "calculator")
    same += ("spacegroup_first", "spacegroup_last", "smax", "volume_ratio", "curvature", "frequency")
    for one, other in zip(shown, printed, strict=True):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
        assert one["energy_last"] == pytest.approx(other["energy_last"])
        assert one["fmax"] == pytest.approx(other["fmax"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--failed"], [1, 2]),
        (["--status", "converged,timeout"], [0, 2, 3]),
        (["--status", "exploded"], []),
        (["--limit", 3], [0, 1, 2]),
        (["--failed", "--limit", 1], [1]),
    ],
)
def test_structures_can_be_chosen(relax, results, words, expected):
    code, out, err = relax("show", results, *words)
    assert (code, err) == (0, [])
    assert named(out) == [f"in.cif#{n}" for n in expected]
    assert f"2 of 4 converged, 1 max_steps, 1 timeout; 80 force calls, median 20; {len(expected)} of 4" in out
    lines = relax("show", results, *words, "--json")[1].splitlines()
    assert [json.loads(line)["source"] for line in lines] == [f"in.cif#{n}" for n in expected]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--failed", "--status", "timeout"], "give one of them"),
        (["--status", "converge"], "there is no status 'converge' (there are: running "),
        (["--limit", 0], "--limit must be greater than 0"),
        (["--limit", "x"], "--limit"),
    ],
)
def test_wrong_options_are_one_line(relax, results, words, says):
    code, out, (line,) = relax("show", results, *words)
    assert (code, out) == (2, "")
    assert says in line


@pytest.mark.parametrize("name", ["a.traj", "a.db", "a.json", "a.xyz", "a.extxyz.gz"])
def test_other_formats_say_the_same(relax, name):
    frames = [ended(status, n, f"in.cif#{n}") for n, status in enumerate(STATUSES)]
    if name in ("a.db", "a.json"):
        with ase.db.connect(name) as database:
            for frame in frames:
                database.write(frame, key_value_pairs=frame.info)
    else:
        write(name, frames)
    write("same.extxyz", frames)
    one, other = (relax("show", each, "--json")[1].replace(each, "FILE") for each in (name, "same.extxyz"))
    assert one == other
    assert one.count("\n") == 4


def test_without_a_verdict_there_is_what_the_file_says(relax):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1)
    atoms.calc = EMT()
    atoms.get_forces()
    largest = np.linalg.norm(atoms.get_forces(), axis=1).max()
    names = ["cu.extxyz", "cu.traj", "cu.cif"]
    for name in names:
        write(name, atoms)
    code, out, _ = relax("show", *names)
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("cu.")}
    numbers = ["Cu4", "4"]
    energy = atoms.get_potential_energy()
    more = [f"{energy:.4f}", f"{energy / 4:.4f}", f"{largest:.4f}"]
    assert rows == {
        "cu.extxyz": numbers + more,
        "cu.traj": numbers + more,
        "cu.cif": [*numbers, "-", "-", "-"],
    }
    assert "status" not in out.splitlines()[0]
    assert out.endswith("3 structures without a status\n")
    assert [json.loads(line)["status"] for line in relax("show", "--json", *names)[1].splitlines()] == [
        None
    ] * 3


@pytest.mark.parametrize("constraint", [FixAtoms([0]), FixCartesian(0, (True, False, True)), None])
def test_fixed_atoms_do_not_count_in_fmax(relax, constraint):
    atoms = molecule("H2O")
    forces = np.array([[5.0, 0.25, 0], [0.3, 0, 0.4], [0, 0, 0.1]])
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
    atoms.set_constraint(constraint)
    write("water.extxyz", atoms)
    (summary,) = summaries("water.extxyz")
    assert summary.fmax == pytest.approx(5.0062 if constraint is None else 0.5, abs=1e-4)


def test_formulas_are_those_of_ase(relax):
    frames = [molecule("C6H6"), bulk("NaCl", "rocksalt", a=5.6), Atoms("OHFeX2Fe"), molecule("CH3CH2OH")]
    write("all.extxyz", frames)
    found = list(summaries("all.extxyz"))
    assert [s.formula for s in found] == [frame.get_chemical_formula("metal") for frame in frames]
    assert [s.natoms for s in found] == [12, 2, 6, 9]


@pytest.mark.parametrize(
    "text",
    [
        "2\n\nH 0 0 0\nO 0 0 1",
        "2\nany words\n  H   0 0 0\n  O 0 0 1\n",
        "2\nProperties=pos:R:3:species:S:1\n0 0 0 H\n0 0 1 O\n",
        "2\nProperties=Z:I:1:pos:R:3\n1 0 0 0\n8 0 0 1\n",
    ],
)
def test_foreign_xyz_is_read_as_ase_does(relax, text):
    Path("foreign.xyz").write_text(text)
    (summary,) = summaries("foreign.xyz")
    assert (summary.formula, summary.source) == ("HO", "foreign.xyz")
    assert read("foreign.xyz").get_chemical_formula("metal") == "HO"


def test_a_cut_file_shows_what_is_whole(relax, results):
    text = Path(results).read_text()
    for kept in (len(text) - 1, len(text) - 60, text.rindex("2\nLattice") + 30):
        Path("cut.extxyz").write_text(text[:kept])
        code, out, err = relax("show", "cut.extxyz")
        assert (code, named(out)) == (2, ["in.cif#0", "in.cif#1", "in.cif#2"])
        assert err == ["relax: cut.extxyz: frame 3: the file ends before its last atom"]


@pytest.mark.parametrize(
    ("spoil", "left", "says"),
    [
        (lambda frames: ["rubbish\n", *frames], [0, 1, 2, 3], "expected a number of atoms, found 'rubbish'"),
        (
            lambda frames: [*frames[:2], "rubbish\nand more\n", *frames[2:]],
            [0, 1, 2, 3],
            "after frame 1: expected a number of atoms, found 'rubbish'",
        ),
        (
            lambda frames: [*frames[:2], "\n", *frames[2:]],
            [0, 1, 2, 3],
            "a blank line ends the file, but '2' f",
        ),
        # A run that was killed, and another one that wrote behind it.
        (lambda frames: [frames[0], frames[1][:-90], *frames[2:]], [0, 3], "frame 1: "),
        (lambda frames: [frames[0], frames[1].replace("Al", "Qq"), *frames[2:]], [0, 2, 3], "frame 1: "),
        (
            lambda frames: [frames[0], frames[1][: frames[1].rindex("Al")], *frames[2:]],
            [0, 2, 3],
            "frame 1: ",
        ),
    ],
)
def test_what_is_damaged_is_left_out_and_told(relax, results, spoil, left, says):
    frames = re.findall(r"2\nLattice.*\n.*\n.*\n", Path(results).read_text())
    assert len(frames) == 4
    Path("damaged.extxyz").write_text("".join(spoil(frames)))
    code, out, (line,) = relax("show", "damaged.extxyz")
    assert (code, named(out)) == (2, [f"in.cif#{n}" for n in left])
    assert line.startswith("relax: damaged.extxyz: ")
    assert says in line


def test_files_that_cannot_be_read_are_a_line_each(relax, results):
    Path("empty.extxyz").touch()
    Path("text.cif").write_text("nothing")
    Path("bytes.extxyz.gz").write_bytes(gzip.compress(b"2\n")[:-3])
    code, out, err = relax("show", "empty.extxyz", "nofile", "text.cif", "bytes.extxyz.gz", results)
    assert (code, len(named(out))) == (2, 4)
    assert [line.split(": ")[1] for line in err] == ["empty.extxyz", "nofile", "text.cif", "bytes.extxyz.gz"]
    assert "there is no such file" in err[1]


def test_odd_bytes_do_no_harm(relax, results):
    data = Path(results).read_bytes().replace(b"in.cif#2", b"\xff\xfe")
    Path("odd.extxyz").write_bytes(data)
    code, out, err = relax("show", "odd.extxyz")
    assert (code, err) == (0, [])
    assert r"\xff\xfe" in out


def many(number: int) -> str:
    """Write a file of many results, and return its name."""
    text = io.StringIO()
    write(text, [ended("converged", 7, "in.cif#0"), ended("exploded", 8, "in.cif#1")], format="extxyz")
    with open("many.extxyz", "w") as file:
        for _ in range(number // 2):
            file.write(text.getvalue())
    return "many.extxyz"


def test_many_are_plain_aligned_lines(relax):
    code, out, err = relax("show", many(200))
    assert (code, err) == (0, [])
    heading, *lines, total = out.splitlines()
    assert len(lines) == 200
    assert heading.split()[:4] == ["structure", "formula", "atoms", "status"]
    assert len({line.index("AlNi") for line in lines}) == 1
    assert total == "100 of 200 converged, 100 exploded; 1500 force calls, median 7.5"


def test_memory_does_not_grow_with_the_file(relax):
    def peak(number: int) -> int:
        name = many(number)
        tracemalloc.start()
        assert sum(1 for _ in summaries(name)) == number
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # imports
    assert peak(10_000) < peak(1000) + 100_000


def test_extxyz_is_shown_without_ase_io(relax):
    code = (
        "import sys\n"
        "from relax.cli.app import main\n"
        f"try: main(['show', {many(200)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'ase.io', 'scipy', 'torch', 'spglib'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_pipe_may_be_closed_early(relax, words):
    process = subprocess.Popen(
        [sys.executable, "-m", "relax", "show", many(20_000), *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 0
    assert err == b""


def test_slices_and_standard_input(relax, results, monkeypatch):
    assert named(relax("show", f"{results}@-1")[1]) == ["in.cif#3"]
    assert named(relax("show", f"{results}@1:3")[1]) == ["in.cif#1", "in.cif#2"]
    data = Path(results).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, _ = relax("show", "-")
    assert (code, len(named(out))) == (0, 4)
