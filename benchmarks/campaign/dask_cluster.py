"""A Dask cluster of this machine, whose processes can be killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common.provenance import ROOT


@dataclass
class Cluster:
    """A Dask cluster of this machine: a scheduler, and workers that come back when they are killed."""

    folder: Path
    workers: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The file with the address of the scheduler."""
        return self.folder / "scheduler.json"

    def __enter__(self) -> Cluster:
        self._start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
        while not self.file.exists():
            time.sleep(0.2)
        local = str(self.folder)
        self._start(
            "worker", "--nworkers", str(self.workers), "--nthreads", "1", "--no-dashboard",
            "--local-directory", local, "--host", "127.0.0.1",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()

    def _start(self, kind: str, *words: str) -> None:
        log = open(self.folder / f"{kind}.log", "w")  # noqa: SIM115 - the process has it
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self.file)]
        self.processes.append(subprocess.Popen([*command, *words], stdout=log, stderr=log, cwd=ROOT))
        log.close()

    def members(self) -> list[int]:
        """Return the processes of its workers, but for those that watch them and those that relax."""
        return [pid for pid in _descendants(self.processes[1].pid) if "spawn_main" in words_of(pid)]

    def relaxing(self) -> list[int]:
        """Return the processes beneath its workers that relax structures; other campaigns have theirs."""
        found = _descendants(self.processes[1].pid)
        return [pid for pid in found if "relax.campaign.work.child" in words_of(pid)]


def _descendants(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [child, *_descendants(child)]
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):  # each thread has its own
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def words_of(pid: int) -> str:
    """Return the command line of a process; empty if there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
