"""``relax run`` of many structures: an output file that grows by whole structures, and resuming."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rich.console
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms, FixBondLength
from ase.io import read, write

from relax import relax as relax_one
from relax.cli.inputs import Record, count_inputs, named_structures
from relax.cli.running.runner import Runner
from relax.cli.running.summary import MOST_REASONS, MOST_ROWS, RunSummary
from relax.cli.running.tables import run_table
from relax.core.errors import InvalidStructure
from relax.core.result import Result
from relax.io import progress
from relax.io.extxyz import complete, split_frames
from relax.io.outputs import results_file
from relax.io.outputs.results_file import ResultsFile
from relax.io.read import read_numbered

ROOT = Path(__file__).parents[1]


def metal(seed: int, size: int = 1) -> Atoms:
    atoms = bulk(["Cu", "Al", "Ag", "Au", "Ni", "Pd", "Pt"][seed % 7], cubic=True) * (size, 1, 1)
    atoms.rattle(0.08, rng=np.random.default_rng(seed))
    return atoms


@pytest.fixture
def metals(relax):
    """Return the name of a file with ten crystals; the folder is that of ``relax``."""
    write("metals.extxyz", [metal(k, 1 + k % 3) for k in range(10)])
    return "metals.extxyz"


@pytest.fixture
def mixed(relax):
    """Return the name of a file with all sorts of structures; 3, 4 and 6 are invalid in a batch."""
    slab = fcc111("Cu", (2, 2, 3), vacuum=6)
    slab.info.clear()
    slab.rattle(0.05, seed=1)
    slab.set_constraint(FixAtoms(mask=slab.get_tags() == 3))
    broken, unknown, pair = metal(1), metal(2), molecule("N2")
    broken.positions[1] = np.nan
    unknown.symbols[2] = "Og"
    pair.set_constraint(FixBondLength(0, 1))
    water = molecule("H2O")
    water.rattle(0.05, seed=2)
    write("mixed.traj", [metal(0), water, metal(3, 2), broken, unknown, slab, pair, metal(4)])
    return "mixed.traj"


def frames_of(path: str | Path) -> dict[str, Atoms]:
    """Return the structures of an output by what they are called, each there once."""
    frames = read(path, ":")
    found = {frame.info["source"]: frame for frame in frames}
    assert len(found) == len(frames)
    return found


def assert_same(one: dict[str, Atoms], other: dict[str, Atoms]) -> None:
    assert one.keys() == other.keys()
    for source, atoms in one.items():
        assert atoms.info["relax_status"] == other[source].info["relax_status"]
        assert atoms.info["relax_force_calls"] == other[source].info["relax_force_calls"]
        energies = atoms.get_potential_energy(), other[source].get_potential_energy()
        assert energies[0] == pytest.approx(energies[1], abs=1e-8)
        assert np.allclose(atoms.positions, other[source].positions, atol=2e-8)
        assert np.allclose(atoms.cell, other[source].cell, atol=1e-8)
        assert np.allclose(atoms.get_forces(), other[source].get_forces(), atol=2e-8)


# The same as single runs


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("options", [{}, {"cell": True, "rule": "core"}], ids=["positions", "cell"])
def test_runs_agree_with_those_of_one_structure_each(relax, mixed, size, options):
    words = ["--cell", "--rule", "core"] if options else []
    words += ["--batch-size", size, "-o", "out.extxyz"]
    code, out, err = relax("run", "-c", "emt", mixed, *words, "--json")
    assert code == 2
    assert [line.removeprefix("relax: mixed.traj#") for line in err[:-1] if "its cell" not in line] == [
        "3: the position of atom 1 (Al) is [nan nan nan]",
        "4: EMT does not know the element of atom 2, Og (it knows Al Cu Ag Au Ni Pd Pt H C N O)",
    ]
    assert err[-1].endswith(", 2 invalid inputs were skipped")
    told = {line["source"]: line for line in map(json.loads, out.splitlines())}
    assert [told.pop(f"{mixed}#{k}")["status"] for k in (3, 4)] == ["invalid"] * 2
    frames, expected = frames_of("out.extxyz"), {}
    assert set(frames) == set(told) == {f"{mixed}#{k}" for k in (0, 1, 2, 5, 6, 7)}
    for source in told:
        atoms = read(mixed, index=int(source.partition("#")[2]))
        cell = bool(options) and bool(atoms.pbc.any())
        result = relax_one(atoms, "emt", options.get("rule", "internal-lbfgs"), cell=cell)
        assert result.converged
        for name in ("status", "force_calls", "steps", "spacegroup_first", "spacegroup_last"):
            assert told[source][name] == getattr(result, name), (source, name)
        for name in ("energy_first", "energy_last", "fmax"):
            assert told[source][name] == pytest.approx(getattr(result, name), abs=1e-7), (source, name)
        if source == f"{mixed}#6":
            atoms.set_constraint()  # extended XYZ does not hold it
        atoms.info = {"relax_status": result.status, "relax_force_calls": result.force_calls}
        expected[source] = atoms
        assert set(frames[source].info) >= {"source", "relax_rule", "relax_status", "relax_input"}
    assert_same(frames, expected)
    assert list(frames[f"{mixed}#5"].constraints[0].index) == [0, 1, 2, 3]


def test_the_table_is_in_the_order_of_input(relax, metals):
    write("one.traj", metal(3))
    code, out, err = relax("run", "-c", "emt", metals, "one.traj", "--budget", 16)
    assert (code, err) == (0, [])
    lines = out.splitlines()
    rows = [line.split()[0] for line in lines if "converged" in line][:-1]
    assert rows == [f"{metals}#{k}" for k in range(10)] + ["one.traj"]
    assert lines[-1].startswith("11 of 11 converged; ")
    assert "structures/s" in lines[-1]


def test_cell_of_a_molecule_is_kept(relax):
    write("wide.traj", bulk("Cu", a=3.75))
    write("pair.traj", Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]]))
    words = ("run", "-c", "emt", "--cell", "--pressure", 1, "wide.traj", "pair.traj")
    code, out, err = relax(*words, "-o", "out.xyz")
    assert code == 0, out
    assert err == ["relax: pair.traj: not periodic, so its cell is kept"]
    assert "enthalpy" in out
    found = frames_of("out.xyz")
    assert found["wide.traj"].cell.volume < 0.95 * bulk("Cu", a=3.75).cell.volume
    assert found["pair.traj"].cell.rank == 0


def test_unconverged_structures_are_reported_and_written(relax, metals):
    code, out, _ = relax("run", "-c", "emt", metals, "--steps", 1, "-o", "out.extxyz")
    assert code == 1
    assert f"{metals}#4: max_steps: fmax is " in out
    assert "0 of 10 converged, 10 max_steps; 20 force calls" in out
    assert {frame.info["relax_status"] for frame in frames_of("out.extxyz").values()} == {"max_steps"}
    words = (metals, "--steps", 1, "--resume", "-o", "out.extxyz")
    code, out, _ = relax("run", "-c", "emt", *words)
    assert code == 1
    assert "10 already in out.extxyz, 0 of them converged" in out


def test_a_fault_in_the_middle_of_a_file(relax, metals):
    with open(metals, "a") as file:
        file.write("4\n\nCu 0 0\n")
    code, out, err = relax("run", "-c", "emt", metals, "nothing.cif", "-o", "out.extxyz")
    assert code == 2
    assert err[0] == f"relax: {metals}: frame 10 cannot be read: EOFError: the file ends after 1 of 4 atoms"
    assert err[1:] == ["relax: nothing.cif: there is no such file"]
    assert "10 of 10 converged" in out
    assert "2 invalid inputs were skipped" in out
    assert len(frames_of("out.extxyz")) == 10


def test_nothing_to_relax_writes_and_loads_nothing(relax):
    Path("bad.cif").write_text("")
    code, out, err = relax("run", "-c", "nosuch:thing", "bad.cif", "-o", "out.extxyz")
    assert (code, out, err) == (2, "", ["relax: bad.cif: the file is empty"])
    assert os.listdir() == ["bad.cif"]


def test_no_output_file_without_a_result(relax):
    write("bad.traj", Atoms("Og2", [[0, 0, 0], [0, 0, 2.4]]))
    code, _, err = relax("run", "-c", "emt", "bad.traj", "-o", "out.extxyz")
    assert (code, len(err)) == (2, 1)
    assert os.listdir() == ["bad.traj"]


# The file grows by whole structures


def test_output_grows_during_the_run(relax, metals):
    Path("spy.py").write_text(
        "import os\n"
        "from ase.calculators.emt import EMT\n"
        "class Spy(EMT):\n"
        "    seen = []\n"
        "    def calculate(self, *args):\n"
        "        super().calculate(*args)\n"
        "        with open('out.extxyz') as file: self.seen.append(file.read().count('source='))\n"
    )
    code, *_ = relax("run", "-c", "spy:Spy", metals, "-o", "out.extxyz", "--budget", 1)
    assert code == 0
    assert sorted(set(sys.modules.pop("spy").Spy.seen)) == list(range(10))


def test_structures_are_read_when_there_is_room(relax, metals, monkeypatch):
    ahead, most = [], []

    def counted(*words):
        for found in read_numbered(*words):
            ahead.append(found)
            most.append(len(ahead))
            yield found

    finish = Runner.finish
    monkeypatch.setattr("relax.io.read.read_numbered", counted)
    monkeypatch.setattr(Runner, "finish", lambda *args: (ahead.pop(), finish(*args)))
    assert relax("run", "-c", "emt", metals, "--budget", 1)[0] == 0
    assert (ahead, len(most)) == ([], 10)
    assert max(most) <= 3


class Board(progress.Bar):
    """A progress bar that keeps what it shows."""

    visible = True

    def __init__(self) -> None:
        self.total, self.done, self.texts, self.unit = None, 0, [], "structures"

    def start(self, total: int | None) -> None:
        self.total = total

    def status(self, text: str) -> None:
        self.texts.append(text)

    def advance(self) -> None:
        self.done += 1


@pytest.mark.parametrize("name", ["metals.extxyz", "metals.json"])
def test_progress_bar(relax, metals, monkeypatch, name):
    board = Board()
    monkeypatch.setattr(progress, "progress", lambda: contextlib.nullcontext(board))
    frames = read(metals, ":")
    frames[4].symbols[0] = "Og"
    write(name, frames)
    assert relax("run", "-c", "emt", name, "--resume", "-o", "out.extxyz")[0] == 2
    known = name == metals
    assert (board.total, board.done) == (10 if known else None, 10)
    for text in ("reading out.extxyz", "counting structures", "loading emt", "1 active"):
        assert text in board.texts
    assert re.fullmatch(r"0 active  [\d.e+]+ structures/s" + "  0:00:00 left" * known, board.texts[-1])


class Short(io.FileIO):
    """A file that takes so many bytes and then half of what it is given; of itself it never tells."""

    room = 3000
    fault: BaseException = OSError(errno.ENOSPC, "No space left on device")

    def write(self, data) -> int:
        Short.room -= len(data)
        if Short.room < 0:
            if len(data) < 100:
                raise Short.fault
            data = data[: len(data) // 2]
        return super().write(data)


@pytest.mark.parametrize(("fault", "code"), [(OSError(errno.ENOSPC, "full"), 2), (KeyboardInterrupt(), 130)])
def test_a_frame_is_written_whole_or_not_at_all(relax, metals, monkeypatch, fault, code):
    def short(path, mode="r", **options):
        return Short(path, mode) if "b" in mode else open(path, mode, **options)

    monkeypatch.setattr(results_file, "open", short, raising=False)
    monkeypatch.setattr(Short, "room", 3000)
    monkeypatch.setattr(Short, "fault", fault)
    words = ("run", "-c", "emt", metals, "-o", "out.extxyz")
    ended, out, err = relax(*words)
    assert ended == code
    assert err == ([] if code == 130 else ["relax: --output out.extxyz: full"])
    done = len(frames_of("out.extxyz"))
    assert 0 < done < 10
    assert f"{done} of {done} converged" in out


# Resuming


def test_resume_leaves_a_complete_file_alone(relax, metals, monkeypatch):
    words = ("run", "-c", "emt", metals, "-o", "out.extxyz", "--resume")
    assert relax(*words)[0] == 0  # there is no file yet
    before = Path("out.extxyz").read_bytes()
    monkeypatch.setattr("relax.calculators.registry.load", None)  # there is no need for it
    code, out, err = relax(*words)
    assert (code, err) == (0, [])
    assert out.splitlines() == [
        "no structures were relaxed",
        "10 already in out.extxyz, 10 of them converged",
    ]
    assert Path("out.extxyz").read_bytes() == before


@pytest.mark.parametrize("left", [0.0, 0.03, 0.31, 0.55, 0.999])
def test_resume_redoes_an_incomplete_last_frame(relax, metals, left):
    words = ("run", "-c", "emt", metals, "-o")
    assert relax(*words, "whole.extxyz")[0] == 0
    whole = Path("whole.extxyz").read_bytes()
    with open("whole.extxyz") as file:
        lengths = [sum(map(len, lines)) for lines in split_frames(file)]
    kept = sum(lengths[:6]) + int(left * lengths[6])
    Path("out.extxyz").write_bytes(whole[:kept])
    code, out, _ = relax(*words, "out.extxyz", "--resume")
    assert code == 0
    assert "4 of 4 converged" in out
    assert "6 already in out.extxyz, 6 of them converged" in out
    assert Path("out.extxyz").read_bytes()[: sum(lengths[:6])] == whole[: sum(lengths[:6])]
    assert_same(frames_of("out.extxyz"), frames_of("whole.extxyz"))


def test_file_named_twice_is_relaxed_twice(relax):
    write("it's a ünusual=name [1].extxyz", metal(0))
    words = ("run", "-c", "emt", "-o", "out.extxyz", *["it's a ünusual=name [1].extxyz"] * 2)
    assert "2 of 2 converged" in relax(*words)[1]
    with open("out.extxyz", encoding="utf-8") as file:
        first = next(split_frames(file))
    Path("out.extxyz").write_text("".join(first), encoding="utf-8")
    code, out, _ = relax(*words, "--resume")
    assert code == 0
    assert "1 of 1 converged" in out
    assert "1 already in out.extxyz" in out
    assert [frame.info["source"] for frame in read("out.extxyz", ":")] == [
        "it's a ünusual=name [1].extxyz"
    ] * 2


CORE = ["-r", "core", "-s", "s_0=0.05", "--steps", "1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "good.extxyz"], "would overwrite an input"),
        (["-o", "there.extxyz"], "--output there.extxyz exists; add --resume to continue it or --force"),
        (["-o", "there.cif"], "--output there.cif exists; add --resume to continue it or --force"),
        (["-o", "beside.cif"], "--output beside.cif.extxyz exists; add --resume to continue it or --force"),
        (["-o", "there.extxyz", "--resume", "--force"], "--force replaces it; give one of them"),
        (["-o", "there.extxyz", "--resume"], "frame 0 was not written by relax run"),
        (["-o", "text.xyz", "--resume"], "expected a number of atoms, found 'nothing'"),
        (["-o", "folder.xyz", "--resume"], "it is not a plain file"),
        (["-o", "core.xyz", "--resume"], "with the rule 'core s_0=0.05', not 'internal-lbfgs'"),
        (
            ["-o", "core.xyz", "--resume", "-r", "core", "-s", "s_0=0.05", "--fmax", "0.01"],
            "with the options 'calculator=emt fmax=0.05 steps=1', not 'calculator=emt fmax=0.01'",
        ),
        (["-o", "damaged.xyz", "--resume", *CORE], "frame 0, of good.extxyz, is damaged"),
        (["-o", "gap.xyz", "--resume", *CORE], "a blank line ends the file"),
        (["-o", "no/out.xyz"], "there is no folder"),
        (["--resume"], "--resume needs --output; add it"),
        (["--force"], "--force needs --output; add it"),
        (["--trajectory", "{nme}.traj"], "this is no pattern; its fields are {name} {place} {formula}"),
        (["--logfile", "logs/{}"], "this is no pattern"),
        (["--batch-size", "0"], "--batch-size must be greater than 0 (got 0)"),
        (["--budget", "0"], "--budget must be greater than 0 (got 0)"),
        (["-c", "nosuch:thing", "-o", "out.extxyz"], "no module 'nosuch'"),
    ],
)
def test_usage_error_is_one_line_and_loses_nothing(relax, words, says):
    write("good.extxyz", metal(0))
    write("there.extxyz", metal(1))
    Path("text.xyz").write_text("nothing\nof the kind\n")
    Path("folder.xyz").mkdir()
    Path("there.cif").write_text("what was there before")
    Path("beside.cif.extxyz").write_text("what was there before")
    relax("run", "-c", "emt", "good.extxyz", *CORE, "-o", "core.xyz")
    whole = Path("core.xyz").read_text()
    Path("damaged.xyz").write_text(whole.replace("Cu   ", "Cu  x", 1))
    Path("gap.xyz").write_text(f"{whole}\n{whole}")
    before = {path.name: path.is_file() and path.read_bytes() for path in Path().iterdir()}
    code, out, err = relax("run", "good.extxyz", *([] if "-c" in words else ["-c", "emt"]), *words)
    assert (code, out, len(err)) == (2, "", 1), err
    assert err[0].startswith("relax: ")
    assert says in err[0]
    assert {path.name: path.is_file() and path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_resume_after_a_signal(relax, metals, number):
    Path("mine.py").write_text(
        "import time\n"
        "from ase.calculators.emt import EMT\n"
        "class Slow(EMT):\n"
        "    def calculate(self, *args):\n"
        "        time.sleep(0.02)\n"
        "        super().calculate(*args)\n"
    )
    words = ["run", metals, "--batch-size", "3", "--cell", "-o"]
    process = subprocess.Popen(
        [sys.executable, "-m", "relax", *words, "out.extxyz", "-c", "mine:Slow"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell has jobs in the background ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    path = Path("out.extxyz")
    for _ in range(600):
        if path.exists() and path.read_text().count("source=") >= 2:
            break
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err == ""
    with path.open() as file:
        assert all(complete(lines) for lines in split_frames(file))
    statuses = [frame.info["relax_status"] for frame in frames_of(path).values()]
    done, cut = statuses.count("converged"), statuses.count("interrupted")
    assert 2 <= done < 10
    assert (done + cut, 1 <= cut <= 3) == (len(statuses), True)
    assert f"{done} of {done + cut} converged, {cut} interrupted" in out
    assert "what was interrupted is in out.extxyz, and --resume relaxes it again" in out
    assert f"not begun: {metals}#{done + cut}" in out or done + cut == 10
    code, out, _ = relax(*words, "out.extxyz", "-c", "mine:Slow", "--resume")
    assert code == 0
    assert f"{10 - done} of {10 - done} converged" in out
    assert relax(*words, "whole.extxyz", "-c", "mine:Slow")[0] == 0
    assert_same(frames_of("out.extxyz"), frames_of("whole.extxyz"))


# Parts


def test_names_of_structures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("one.extxyz", metal(0))
    write("two.extxyz", [metal(0), metal(1)])
    assert [source for source, *_ in named_structures("one.extxyz")] == ["one.extxyz"]
    assert [source for source, *_ in named_structures("two.extxyz")] == ["two.extxyz#0", "two.extxyz#1"]
    with open("one.extxyz", "a") as file:
        file.write("nothing\n")
    found = named_structures("one.extxyz")
    assert next(found)[0] == "one.extxyz"
    with pytest.raises(InvalidStructure, match="frame 1 cannot be read"):
        next(found)
    assert count_inputs(["two.extxyz", "two.extxyz", "nothing.cif"]) == 4
    assert count_inputs(["two.extxyz", "one.extxyz"]) is None


def test_comment_line_is_parsed(tmp_path):
    path = tmp_path / "out.extxyz"
    path.write_bytes(
        b'1\nsource="a \\"b\\" c" relax_rule=adam relax_options="cell=True fmax=0.05" '
        b"note=\xc3\xa0\xa0 relax_status=stalled\nH 0 0 0\n"
    )
    found = ResultsFile("out.extxyz", str(path), "adam", "cell=True fmax=0.05", resume=True)
    assert found.finished_before == {"stalled": 1}
    assert [found.already_done('a "b" c', "") for _ in range(2)] == [True, False]


def record(place: int, status: str) -> Record:
    numbers = (0.1, 0.2, -1.0, -2.0, 1.0, 0.9)
    made = Record("many.traj", place, f"many.traj#{place}", bulk("Cu", cubic=True))
    made.place = place
    made.result = Result(status, f"reason {place}", 3, 2, *numbers, "P1 (1)", "P1 (1)", 0.5)
    return made


@pytest.mark.parametrize(("n", "shown"), [(MOST_ROWS, True), (MOST_ROWS + 1, False)])
def test_report_of_a_large_run_is_short(n, shown):
    summary = RunSummary()
    for place in reversed(range(n)):
        summary.add(record(place, "converged" if place % 2 else "stalled"))
    summary.stop(dropped=2)
    summary.before.update(converged=7)
    console = rich.console.Console(width=80)
    with console.capture() as captured:
        console.print(run_table(summary, "out.extxyz", 80))
    text = captured.get()
    assert ("eV/atom" in text) is shown
    assert text.count(": stalled: reason") == MOST_REASONS
    stalled = (n + 1) // 2
    assert f"and {stalled - MOST_REASONS} more that did not converge" in text
    assert f"{n - stalled} of {n} converged, {stalled} stalled; {3 * n} force calls" in text
    assert "7 already in out.extxyz, 7 of them converged" in text
    assert "2 unfinished structures were dropped" in text
    assert max(map(len, text.splitlines())) <= 80
