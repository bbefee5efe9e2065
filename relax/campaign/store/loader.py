"""How what the files of a campaign say gets into its index."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from relax.campaign.store.folder import Folder
from relax.campaign.store.index_folder import transaction
from relax.campaign.store.lines import lines_from
from relax.campaign.store.rounds import Unit, ranges, read_round
from relax.core.errors import UsageError

__all__ = ["Loader"]

Json = dict[str, Any]

LOG = logging.getLogger(__name__)

AT_ONCE = 20_000
"""Lines that are read before what they say is put into the index."""

TELL_EVERY = 5.0
"""Seconds between two messages on how far the index is."""

RESULT = """
INSERT INTO results SELECT ?, ?, ?, ?, ?, ?, ?, cost, round > ? FROM structures WHERE id = ?
ON CONFLICT (id) DO UPDATE SET round = excluded.round, file = excluded.file, offset = excluded.offset,
    status = excluded.status, calls = excluded.calls, seconds = excluded.seconds, stale = excluded.stale
WHERE excluded.round > results.round
"""

SUMS = """
UPDATE files SET structures = structures + ?, atoms = atoms + ?, cost = cost + ? WHERE id = ?
"""

EVENT = """
INSERT INTO deaths VALUES (?, ?, ?, ?)
ON CONFLICT (unit, alone) DO UPDATE SET begun = begun + excluded.begun, ended = ended + excluded.ended
"""

INVALID = -1
"""The place of the result of a structure that cannot be relaxed: there is no line of it."""


class Loader:
    """Reads the files of a campaign into its index.

    Parameters
    ----------
    database
        The index.
    folder
        The folder of the campaign.
    """

    def __init__(self, database: sqlite3.Connection, folder: Folder) -> None:
        self.database, self.folder = database, folder
        self._headers: dict[int, Json] = {}
        self._told, self._counts = time.monotonic(), Counter[str]()

    def catch_up(self) -> None:
        """Read what is new in the files."""
        # Sizes first: what a result is of is there before it, and so it is not passed over.
        with os.scandir(self.folder.results) as entries:
            sizes = sorted(
                (each.name, each.stat().st_size) for each in entries if each.name.endswith(".jsonl")
            )
        files = sorted(self.folder.rounds.glob("*.jsonl"))
        if not files:
            raise UsageError(f"{self.folder.path} has no rounds: rounds/*.jsonl are missing; restore them")
        ends = {
            name: (file, read)
            for file, name, read in self.database.execute("SELECT id, name, read FROM files")
        }
        for path in files:
            if ends.get(f"rounds/{path.name}", (0, 0))[1] == 0:
                self._take_round(path)
        for name, size in sizes:
            if ends.get(f"results/{name}", (0, -1))[1] != size:
                self._take_results(self.folder.results / name, size)

    def units(self) -> Iterator[Unit]:
        """Yield all units, in their order."""
        for number, round_, cost, ids in self.database.execute("SELECT * FROM units ORDER BY unit"):
            parts = [range(*ends) for ends in json.loads(ids)]
            yield Unit(
                number, round_, parts[0] if len(parts) == 1 else [i for ids in parts for i in ids], cost
            )

    def header(self, file: int) -> Json:
        """Return the first line of a file of results."""
        if file not in self._headers:
            (text,) = self.database.execute("SELECT header FROM files WHERE id = ?", (file,)).fetchone()
            self._headers[file] = json.loads(text or "{}")
        return self._headers[file]

    def _end(self, path: Path) -> tuple[int, int]:
        """Return the number of a file, and up to where it has been read, in bytes."""
        name = str(path.relative_to(self.folder.path))
        for _ in range(2):
            found = self.database.execute("SELECT id, read FROM files WHERE name = ?", (name,)).fetchone()
            if found is not None:
                break
            self.database.execute("INSERT OR IGNORE INTO files (name, read) VALUES (?, 0)", (name,))
        return int(found[0]), int(found[1])

    def _advance(self, file: int, read: int, end: int) -> bool:
        """Take note that a file is read up to ``end``; False if another process has done so meanwhile."""
        words = "UPDATE files SET read = ? WHERE id = ? AND read = ?"
        return bool(self.database.execute(words, (end, file, read)).rowcount)

    def _take_round(self, path: Path) -> None:
        begun, units = read_round(path)
        for name in begun.inputs:
            self._take_inputs(self.folder.inputs / name, begun.number)
        file, _ = self._end(path)
        with transaction(self.database):
            if not self._advance(file, 0, path.stat().st_size):
                return
            for unit in units:
                self.database.execute(
                    "INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?)",
                    (unit.number, unit.round, unit.cost, json.dumps(ranges(unit.ids))),
                )
                if begun.kind == "retry":
                    again = [(begun.number, id_) for id_ in unit.ids]
                    self.database.executemany("UPDATE structures SET round = ? WHERE id = ?", again)
                    self.database.executemany(
                        "UPDATE results SET stale = 1 WHERE round < ? AND id = ?", again
                    )
            self.database.execute(
                "INSERT OR IGNORE INTO rounds VALUES (?, ?)", (begun.number, json.dumps(begun.changes))
            )

    def _take_inputs(self, path: Path, round_: int) -> None:
        if not path.is_file():
            raise UsageError(f"the structures {path} are missing; restore them")
        while True:
            file, read = self._end(path)  # each time: another process may be at it, too
            for some in _batches(lines_from(path, read)):
                if not self._take_structures(path, file, round_, some):
                    break
            else:
                return

    def _take_structures(self, path: Path, file: int, round_: int, some: list[tuple[int, int, Json]]) -> bool:
        """Put structures into the index; return False if they have been put there meanwhile."""
        try:
            rows = [
                (line["id"], file, at, line["source"], line["formula"], len(line["numbers"]),
                 line["cost"], line["digest"], round_)
                for at, _, line in some
            ]  # fmt: skip
        except KeyError as error:
            raise UsageError(f"{path} is damaged: a line lacks {error}; restore the file") from None
        invalid = [
            (line["id"], round_, file, INVALID, "refused", 0, 0.0, round_, line["id"])
            for _, _, line in some if "invalid" in line
        ]  # fmt: skip
        sums = len(rows), sum(row[5] for row in rows), sum(row[6] for row in rows), file
        with transaction(self.database):
            if not self._advance(file, some[0][0], some[-1][1]):
                return False
            self.database.executemany("INSERT OR REPLACE INTO structures VALUES (?,?,?,?,?,?,?,?,?)", rows)
            self.database.executemany(RESULT, invalid)
            self.database.execute(SUMS, sums)
        self._tell(len(rows), "structures")
        return True

    def _take_results(self, path: Path, size: int) -> None:
        file, read = self._end(path)
        if size == read:
            return
        if size < read:
            raise UsageError(
                f"{path} is shorter than it was; restore it, or delete the index "
                f"{self.folder.campaign}.sqlite to go on without what it has lost"
            )
        lines = takewhile(lambda line: line[0] < size, lines_from(path, read))
        if read == 0:
            first = next(lines, None)
            if first is None:
                return
            self._check_header(path, first[2])
            header = json.dumps(first[2])
            with transaction(self.database):
                self.database.execute(
                    "UPDATE files SET read = ?, header = ? WHERE id = ? AND read = 0",
                    (first[1], header, file),
                )
        for some in _batches(lines):
            self._take_lines(path, file, some)

    def _take_lines(self, path: Path, file: int, some: list[tuple[int, int, Json]]) -> None:
        results, events = [], []
        try:
            for at, _, line in some:
                if "id" in line:
                    i, round_ = line["id"], line["round"]
                    seconds, calls = line["wall_time"], line["force_calls"]
                    results.append((i, round_, file, at, line["status"], calls, seconds, round_, i))
                elif "begin" in line:
                    events.append((line["begin"], line.get("alone", -1), 1, 0))
                else:
                    unit = line["end"] if "end" in line else line["back"]
                    events.append((unit, line.get("alone", -1), 0, 1))
        except KeyError as error:
            raise UsageError(f"{path} is damaged: a line lacks {error}; restore the file") from None
        with transaction(self.database):
            if self._advance(file, some[0][0], some[-1][1]):
                self.database.executemany(RESULT, results)
                self.database.executemany(EVENT, events)
        self._tell(len(results), "results")

    def _tell(self, number: int, what: str) -> None:
        """Say now and then how much has been read since the campaign was opened."""
        self._counts[what] += number
        if time.monotonic() - self._told > TELL_EVERY:
            self._told = time.monotonic()
            LOG.info("index of %s: %s %s are read", self.folder.path, f"{self._counts[what]:,}", what)

    def _check_header(self, path: Path, head: Json) -> None:
        if head.get("campaign") != self.folder.campaign:
            raise UsageError(f"{path} holds no results of this campaign; move it away")
        if head.get("settings") != self.folder.settings.digest:
            raise UsageError(f"{path} was made with other settings than {self.folder.path}; move it away")


def _batches(lines: Iterator[tuple[int, int, Json]]) -> Iterator[list[tuple[int, int, Json]]]:
    while some := list(islice(lines, AT_ONCE)):
        yield some
