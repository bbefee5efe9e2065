"""What a process writes of its work: a file of its own, which nobody else touches."""

from __future__ import annotations

import math
import os
import platform
import socket
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.campaign.store.folder import Folder, versions_now
from relax.campaign.store.lines import Appender

if TYPE_CHECKING:
    from ase import Atoms

    from relax.core.result import Result

__all__ = ["ResultsWriter", "hardware", "line_of", "lost_line"]

Json = dict[str, Any]

FIELDS = (
    "status", "reason", "force_calls", "steps", "fmax", "smax", "energy_first", "energy_last",
    "volume_ratio", "shortest", "spacegroup_first", "spacegroup_last", "wall_time",
)  # fmt: skip
CHECKED = ("curvature", "frequency", "escapes")


class ResultsWriter:
    """The file of results of this process.

    Its first line says what the process is, and the others say::

        {"begin": unit, "round": r}                a unit has begun; "alone": id of the one structure of it
        {"id": i, "round": r, "status": ...}       a structure has ended
        {"end": unit, "round": r}                  a unit has ended
        {"back": unit, "round": r}                 it was given back: the process was told to stop

    Parameters
    ----------
    folder
        The folder of the campaign.
    device
        Where forces are computed.

    Raises
    ------
    UsageError
        From here and from the methods: the file cannot be written.
    """

    def __init__(self, folder: Folder, device: str = "cpu") -> None:
        host, pid = socket.gethostname(), os.getpid()
        name = f"{''.join(c if c.isalnum() else '-' for c in host)}-{pid}-{uuid.uuid4().hex[:8]}"
        self.name, self.path = name, folder.results / f"{name}.jsonl"
        self._file = Appender(self.path)
        self._file.add([{
            "campaign": folder.campaign, "settings": folder.settings.digest, "worker": name, "host": host,
            "pid": pid, "hardware": hardware(device), "versions": versions_now(),
        }])  # fmt: skip

    def add(self, records: Iterable[Json]) -> None:
        """Write lines: all of them, or none."""
        self._file.add(records)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def line_of(id_: int, round_: int, digest: str, atoms: Atoms, result: Result) -> Json:
    """Return the line of a structure that has ended.

    Parameters
    ----------
    id_, round_, digest
        Its number, the round, and what tells its start from others.
    atoms
        Where it ended.
    result
        How.
    """
    line: Json = {"id": id_, "round": round_, "input": digest}
    line |= {name: _plain(getattr(result, name)) for name in FIELDS}
    if not math.isnan(result.curvature):
        line |= {name: _plain(getattr(result, name)) for name in CHECKED}
    if not result.conservative:
        line["conservative"] = False
    if result.draws:
        line["draws"] = [
            {
                "seed": each.seed,
                "status": each.status,
                "energy": _plain(each.energy),
                "calls": each.force_calls,
            }
            for each in result.draws
        ]
    line["positions"] = atoms.positions.tolist()
    if atoms.cell.array.any():
        line["cell"] = atoms.cell.array.tolist()
    results: Json = {}
    if atoms.calc is not None:
        results = {name: _plain(value) for name, value in atoms.calc.results.items() if value is not None}
    if results:
        line["results"] = results
    return line


def lost_line(id_: int, round_: int, digest: str, words: str) -> Json:
    """Return the line of a structure of which processes have died, the last one as ``words`` say."""
    head: Json = {"id": id_, "round": round_, "input": digest, "status": "worker_lost"}
    # The cause stands apart: it may differ from run to run where processes die of something else as well.
    head |= {"reason": "two processes died that relaxed it alone", "cause": words}
    return head | {"force_calls": 0, "steps": 0, "wall_time": 0.0}


def hardware(device: str) -> str:
    """Return what computes, in words."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    with_names = [
        line.partition(":")[2].strip() for line in _lines_of("/proc/cpuinfo") if line.startswith("model name")
    ]
    return f"{with_names[0] if with_names else platform.machine()}, {os.cpu_count()} cores"


def _lines_of(path: str) -> Sequence[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return ()


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
