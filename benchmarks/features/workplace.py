"""A folder with structures, and commands that run in it under watch."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.io import read, write

from benchmarks.common.provenance import ROOT

STAND_INS = Path(__file__).parent / "stand_ins"
RELAX = "relax run -c stand_in:StandIn"
JANUS = "janus geomopt --arch grace --no-tracker"
ASE = "ase run stand_in"
LIMIT = 60.0
"""Seconds after which a command is taken to hang."""


class NotChecked(Exception):
    """A check could not run, and why."""


@dataclass(frozen=True)
class Done:
    """A command that has ended.

    Attributes
    ----------
    line
        As one would type it.
    code
        Its exit code, None if it was stopped after ``LIMIT``.
    text
        What it printed, on standard output and then on standard error.
    """

    line: str
    code: int | None
    text: str

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return "it did not end" if self.code is None else f"exit code {self.code}"


@dataclass(frozen=True)
class Workplace:
    """A folder in which one check runs.

    Parameters
    ----------
    folder
        An empty folder.
    janus
        The Python that janus-core is installed for, if there is one.
    """

    folder: Path
    janus: Path | None = None

    def prepare(self) -> None:
        """Write the structures, all of which EMT knows but for ``fe.extxyz``."""
        (self.folder / "folder").mkdir()
        frames = [rattled("Cu", 3.75, seed) for seed in range(3)]
        fixed, square = frames[0].copy(), copper_square()
        fixed.set_constraint(FixAtoms([0]))
        cluster = square.copy()
        cluster.rattle(0.2, seed=0)
        ordered = bulk("Cu", "fcc", a=3.75, cubic=True)
        files = {"cu": frames[0], "ni": rattled("Ni", 3.6, 0), "fe": rattled("Fe", 3.6, 0), "three": frames}
        files |= {"fixed": fixed, "square": square, "cluster": cluster, "ordered": ordered}
        files |= {"folder/a": frames[0], "folder/b": frames[1]}
        for name, atoms in files.items():
            write(self.folder / f"{name}.extxyz", atoms)

    def run(self, line: str, stdin: str = "", limit: float = LIMIT, **stand_in: str) -> Done:
        """Run ``relax``, ``janus`` or ``ase`` as in a shell without expansion; see ``stand_in.py``."""
        set_before = [f"{name}={value}" for name, value in stand_in.items() if name != "STAND_IN_CALLS"]
        typed = " ".join([*set_before, line])
        with self.started(line, **stand_in) as process:
            try:
                out, err = process.communicate(stdin, timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                return Done(typed, None, "".join(process.communicate()))
        return Done(typed, process.returncode, out + err)

    @contextmanager
    def started(self, line: str, **stand_in: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command, and kill it at the end if it still runs."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = self._environment(line, stand_in)
        with subprocess.Popen(
            self._words(line), cwd=self.folder, env=environment, text=True, **pipes
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def killed(self, line: str, calls: int) -> None:
        """Start a slow command, and ``kill -9`` it after so many more calls of the stand-in."""
        with self.started(line, STAND_IN_SLOW="0.2", STAND_IN_CALLS="calls") as process:
            self.wait_for_calls(process, self.calls() + calls)
            process.send_signal(signal.SIGKILL)

    def wait_for_calls(self, process: subprocess.Popen[str], calls: int) -> None:
        """Wait until the stand-in was called so often, or the process has ended."""
        end = time.monotonic() + LIMIT
        while self.calls() < calls and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)

    def on_terminal(self, line: str, **stand_in: str) -> str:
        """Run a command on a terminal, and return what it shows."""
        ours, theirs = pty.openpty()
        environment = self._environment(line, stand_in) | {"TERM": "xterm", "COLUMNS": "200"}
        process = subprocess.Popen(
            self._words(line), cwd=self.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        process.wait()
        return shown.decode(errors="replace")

    def read(self, path: str) -> Atoms:
        """Return the last structure of a file of this folder."""
        return read(self.folder / path, -1)

    def count(self, path: str) -> int:
        """Return the number of whole structures in an extended XYZ file, 0 if there is none."""
        try:
            return len(read(self.folder / path, ":"))
        except Exception:  # a file that is being written is cut off somewhere
            return 0

    def calls(self) -> int:
        """Return how often the stand-in was called by commands with ``STAND_IN_CALLS="calls"``."""
        path = self.folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def _words(self, line: str) -> list[str]:
        program, *arguments = shlex.split(line)
        if program == "relax":
            return [sys.executable, str(STAND_INS / "relax_command.py"), *arguments]
        if program == "ase":
            return [sys.executable, str(STAND_INS / "ase_command.py"), *arguments]
        if self.janus is None:
            raise NotChecked("janus-core was not given by --janus")
        return [str(self.janus.with_name("janus")), *arguments]

    def _environment(self, line: str, stand_in: dict[str, str]) -> dict[str, str]:
        paths = [str(STAND_INS), str(ROOT)] if line.startswith("relax") else [str(STAND_INS)]
        plain = {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | plain | stand_in


def rattled(symbol: str, a: float, seed: int) -> Atoms:
    """Return four atoms of a cubic metal, with a lattice constant in A, displaced by 0.1 A."""
    atoms = bulk(symbol, "fcc", a=a, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def copper_square() -> Atoms:
    """Return a square of copper atoms, which relaxes to a saddle point of EMT."""
    return Atoms("Cu4", [[0, 0, 0], [2.3, 0, 0], [0, 2.3, 0], [2.3, 2.3, 0]])
