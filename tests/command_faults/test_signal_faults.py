"""Signals and killed processes: what is finished is there, and the run that resumes completes it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.io import read, write
from fault_rows import OUTPUT, frames, metal, statuses, write_good

from relax.engine.minima.draws import Draws
from relax.io.check import digest
from relax.io.outputs import results_file

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]

SILVER = "silver.extxyz"
NAMES = ("one.extxyz", SILVER, "two.extxyz")
COMMAND = ("run", *NAMES, "-c", "faulty:Faulty", "-o", OUTPUT)
ALL = dict.fromkeys(NAMES, "converged")
SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)

CALCULATOR = """
import os
import signal
import time
from ase.calculators.emt import EMT

class Faulty(EMT):
    def calculate(self, atoms=None, *args):
        super().calculate(atoms, *args)
        if "Ag" in atoms.symbols:
            {deed}
"""


BEGAN = "import time; open('began', 'w').close()\n"


@pytest.fixture(autouse=True)
def modules_forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("faulty", None)


def set_up(deed: str) -> None:
    sys.modules.pop("faulty", None)
    write_good()
    write(SILVER, metal("Ag"))
    Path("faulty.py").write_text(CALCULATOR.format(deed=deed))


def assert_resumes(relax: Callable[..., Any], first: bytes) -> None:
    """The run that resumes, with a good calculator, completes the output and keeps what is finished."""
    set_up("pass  # as it should be")
    assert relax(*COMMAND, "--resume")[::2] == (0, [])
    assert statuses() == ALL
    assert Path(OUTPUT).read_bytes().startswith(first)
    assert not {path.name for path in Path().glob(".*")}


# Processes are forked from one that has everything imported.


PRELOADED = [
    *("relax.cli.app", "relax.cli.running.following", "relax.cli.running.tables", "relax.engine.api"),
    *("relax.calculators.models.one_by_one", "relax.io.outputs.run_output", "relax.io.outputs.lock"),
    *("relax.io.progress", "ase.calculators.emt", "ase.io.extxyz", "rich.progress", "pydantic.main"),
]


@pytest.fixture(scope="module")
def forks():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        forkserver.ensure_running()
    return context


def command(folder: str, words: tuple[str, ...], memory: int = 0, ignored: tuple[int, ...] = ()) -> None:
    """Run the command in this process, in a folder whose files ``err`` and ``out`` have what it says."""
    from relax.cli.app import main

    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main(list(words))


@pytest.fixture
def start(forks, tmp_path, monkeypatch):
    """Return a function that starts the command in a process of its own."""
    monkeypatch.chdir(tmp_path)
    processes = []

    def begin(*words: str, **more: Any) -> Any:
        processes.append(forks.Process(target=command, args=(str(tmp_path), words), kwargs=more))
        processes[-1].start()
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.join()


def wait_for(condition: Callable[[], Any], process: Any) -> None:
    """Wait until a condition holds, or the process has ended; it is stuck after minutes."""
    began = time.monotonic()
    while not condition() and process.is_alive():
        assert time.monotonic() - began < 200
        time.sleep(0.002)


def ended(process: Any) -> int:
    process.join(300)
    assert process.exitcode is not None
    return process.exitcode


@SIGNALS
@pytest.mark.parametrize("deed", ["time.sleep(600)", "while True: pass"], ids=["sleeps", "spins"])
def test_a_signal_in_a_force_call(start, relax, number, deed):
    set_up(f"exec({(BEGAN + deed)!r})")
    process = start(*COMMAND)
    wait_for(Path("began").exists, process)
    os.kill(process.pid, number)
    assert ended(process) == 128 + number
    assert Path("err").read_text() == ""
    assert "not begun: two.extxyz" in Path("out").read_text()
    assert statuses() == {"one.extxyz": "converged", SILVER: "interrupted"}
    assert_resumes(relax, "".join(frames()[0]).encode())


@SIGNALS
def test_a_signal_while_structures_are_read(start, relax, number):
    set_up("pass")
    os.mkfifo("late.xyz")
    process = start(
        "run", "one.extxyz", "two.extxyz", "late.xyz", "-c", "emt", "-o", OUTPUT, "--format", "extxyz"
    )
    wait_for(lambda: Path(OUTPUT).exists() and len(frames()) == 2, process)
    os.kill(process.pid, number)
    assert ended(process) == 128 + number
    assert Path("err").read_text() == ""
    assert statuses() == dict.fromkeys(("one.extxyz", "two.extxyz"), "converged")


@pytest.mark.usefixtures("hangup")
@SIGNALS
def test_a_signal_while_a_structure_is_checked(relax, monkeypatch, number):
    """It is neither begun nor forgotten; before it, two are read, relaxed and written."""

    def disturbed(atoms: Any) -> str:
        if next(places) == 2:
            signal.raise_signal(number)
        return digest(atoms)

    set_up("pass")
    places = itertools.count()
    monkeypatch.setattr("relax.io.check.digest", disturbed)
    code, out, errors = relax(*COMMAND)
    assert (code, errors) == (128 + number, [])
    assert statuses() == dict.fromkeys(NAMES[:2], "converged")
    assert "not begun: two.extxyz" in out
    assert_resumes(relax, Path(OUTPUT).read_bytes())


@pytest.mark.usefixtures("hangup")
@SIGNALS
def test_a_signal_on_the_way_of_a_structure_to_the_batch(relax, monkeypatch, number):
    def disturbed(self: Draws, structures: Iterable[Atoms]) -> Iterator[Atoms]:
        for atoms in starts(self, structures):
            if next(places) == 1:
                signal.raise_signal(number)
            yield atoms

    set_up("pass")
    starts, places = Draws.starts, itertools.count()
    monkeypatch.setattr(Draws, "starts", disturbed)
    code, out, errors = relax(*COMMAND)
    assert (code, errors) == (128 + number, [])
    assert statuses() == {"one.extxyz": "converged", SILVER: "interrupted"}
    assert "not begun: two.extxyz" in out
    assert relax(*COMMAND, "--resume")[::2] == (0, [])
    assert statuses() == ALL


@pytest.mark.usefixtures("hangup")
@SIGNALS
def test_two_signals_while_a_structure_is_written(relax, monkeypatch, number):
    set_up("pass")
    written = []

    def text(frame: Any) -> str:
        if not written:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(number)
        written.append(frame)
        return original(frame)

    original = results_file.extxyz_text
    monkeypatch.setattr(results_file, "extxyz_text", text)
    code, out, errors = relax(*COMMAND)
    assert (code, errors) == (128 + number, [])
    assert statuses() == {"one.extxyz": "converged"}
    assert "not begun: silver.extxyz, two.extxyz" in out
    assert_resumes(relax, Path(OUTPUT).read_bytes())


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("name", ["out.cif", "out.db", "out.traj"])
@SIGNALS
def test_signals_while_a_whole_file_is_written(relax, monkeypatch, number, name):
    """It is written all the same; the signal ends the command after that."""
    set_up("pass")

    def disturbed(*words: Any) -> None:
        for each in (signal.SIGINT, number):
            signal.raise_signal(each)
        replace(*words)
        signal.raise_signal(number)

    replace = os.replace
    monkeypatch.setattr("relax.io.write.os.replace", disturbed)
    code, _, errors = relax(*COMMAND[:-1], name)
    assert (code, errors) == (128 + number, [])
    assert len(read(name, ":")) == 3
    assert statuses(f"{name}.extxyz") == ALL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_that_is_ignored(start, number):
    set_up(f"os.kill(os.getpid(), {int(number)})")
    assert ended(start(*COMMAND, ignored=(number,))) == 0
    assert Path("err").read_text() == ""
    assert statuses() == ALL


@pytest.mark.parametrize(
    ("deed", "code"),
    [("os._exit(3)", 3), ("os.abort()", -signal.SIGABRT), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)],
    ids=["exits", "aborts", "kills"],
)
def test_a_calculator_that_ends_the_process(start, relax, deed, code):
    """The shell sees 3, 134 and 137."""
    set_up(deed)
    assert ended(start(*COMMAND)) == code
    assert "Traceback" not in Path("err").read_text()
    assert statuses() == {"one.extxyz": "converged"}
    assert_resumes(relax, Path(OUTPUT).read_bytes())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is not known")
def test_a_calculator_that_leaks_memory(start):
    set_up("self.leak = [bytearray(50_000_000) for _ in range(1000)]")
    assert ended(start(*COMMAND, memory=400_000_000)) == 1
    assert Path("err").read_text() == ""
    assert statuses() == ALL | {SILVER: "calculator_error"}


def test_a_calculator_that_warns(start):
    set_up("import warnings; warnings.warn('not well converged')")
    assert ended(start(*COMMAND)) == 0
    assert Path("err").read_text().count("UserWarning: not well converged") == 1
    assert statuses() == ALL


def test_compiled_code_that_prints(start):
    set_up("os.write(1, b'from C\\n')")
    assert ended(start(*COMMAND, "--json")) == 0
    assert all(line.startswith("{") for line in Path("out").read_text().splitlines())
    assert "from C" in Path("err").read_text()


COUNTED = """
import os
import time
from ase.calculators.emt import EMT

class Faulty(EMT):
    def calculate(self, *args):
        super().calculate(*args)
        with open("calls", "ab", buffering=0) as file:
            file.write(b".")
        time.sleep(0.002)
"""


def plain(path: str) -> list[str]:
    """Return the frames of an output, sorted."""
    return sorted("".join(lines) for lines in frames(path))


@pytest.mark.slow
def test_twenty_kills(start):
    """Kill a run at 20 random moments: in the end, it is as one that nobody disturbed."""
    Path("faulty.py").write_text(COUNTED)
    write("many.extxyz", [metal("Cu", seed) for seed in range(45)])
    words = ("run", "many.extxyz", "-c", "faulty:Faulty", "--fmax", "0.01")
    assert ended(start(*words, "-o", "undisturbed.extxyz")) == 0
    draw = random.Random(1)
    before: list[str] = []
    for _ in range(20):
        Path("calls").write_bytes(b"")
        wanted = draw.randint(1, 11)
        process = start(*words, "-o", OUTPUT, "--resume")
        wait_for(lambda: Path("calls").stat().st_size >= wanted, process)  # noqa: B023
        time.sleep(draw.uniform(0, 0.01))
        process.kill()
        assert ended(process) == -signal.SIGKILL, Path("err").read_text()
        whole = ["".join(lines) for lines in frames()] if Path(OUTPUT).exists() else []
        assert whole[: len(before)] == before
        before = whole[:-1]  # the last one may be cut
    assert ended(start(*words, "-o", OUTPUT, "--resume")) == 0
    assert re.search(r"\d+ already in out.extxyz", Path("out").read_text())
    assert len(statuses()) == 45
    assert plain(OUTPUT) == plain("undisturbed.extxyz")
    assert not list(Path().glob(".*"))
