"""How what the files of a campaign say gets into its index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from relax.campaign.store.folder import Folder
from relax.campaign.store.lines import lines_from
from relax.campaign.store.rounds import Unit, ranges, read_round
from relax.core.errors import UsageError

__all__ = ["Loader"]

AT_ONCE = 20_000
"""Lines that are read before what they say is put into the index."""

TABLES = """
CREATE TABLE IF NOT EXISTS files (id INTEGER PRIMARY KEY, name TEXT UNIQUE, read INTEGER, header TEXT);
CREATE TABLE IF NOT EXISTS structures (
    id INTEGER PRIMARY KEY, file INTEGER, offset INTEGER, source TEXT, formula TEXT, atoms INTEGER, cost REAL,
    digest TEXT, round INTEGER);
CREATE TABLE IF NOT EXISTS rounds (round INTEGER PRIMARY KEY, changes TEXT);
CREATE TABLE IF NOT EXISTS units (unit INTEGER PRIMARY KEY, round INTEGER, cost REAL, ids TEXT);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY, round INTEGER, file INTEGER, offset INTEGER, status TEXT, calls INTEGER,
    seconds REAL, cost REAL, stale INTEGER);
CREATE TABLE IF NOT EXISTS deaths (
    unit INTEGER, alone INTEGER, begun INTEGER, ended INTEGER, PRIMARY KEY (unit, alone));
"""

RESULT = """
INSERT INTO results SELECT ?, ?, ?, ?, ?, ?, ?, cost, round > ? FROM structures WHERE id = ?
ON CONFLICT (id) DO UPDATE SET round = excluded.round, file = excluded.file, offset = excluded.offset,
    status = excluded.status, calls = excluded.calls, seconds = excluded.seconds, stale = excluded.stale
WHERE excluded.round > results.round
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
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # what is lost is made again
        database.executescript(TABLES)
        self._headers: dict[int, dict[str, Any]] = {}

    def catch_up(self) -> None:
        """Read what is new in the files."""
        files = sorted(self.folder.rounds.glob("*.jsonl"))
        if not files:
            raise UsageError(f"{self.folder.path} has no rounds: rounds/*.jsonl are missing; restore them")
        for path in files:
            if self._end(path)[1] == 0:
                self._take_round(path)
        for path in sorted(self.folder.results.glob("*.jsonl")):
            self._take_results(path)

    def units(self) -> Iterator[Unit]:
        """Yield all units, in their order."""
        for number, round_, cost, ids in self.database.execute("SELECT * FROM units ORDER BY unit"):
            numbers = [id_ for first, end in json.loads(ids) for id_ in range(first, end)]
            yield Unit(number, round_, numbers, cost)

    def header(self, file: int) -> dict[str, Any]:
        """Return the first line of a file of results."""
        if file not in self._headers:
            (text,) = self.database.execute("SELECT header FROM files WHERE id = ?", (file,)).fetchone()
            self._headers[file] = json.loads(text or "{}")
        return self._headers[file]

    def _end(self, path: Path) -> tuple[int, int]:
        """Return the number of a file, and up to where it has been read, in bytes."""
        name = str(path.relative_to(self.folder.path))
        found = self.database.execute("SELECT id, read FROM files WHERE name = ?", (name,)).fetchone()
        if found is None:
            cursor = self.database.execute("INSERT INTO files (name, read) VALUES (?, 0)", (name,))
            return int(cursor.lastrowid or 0), 0
        return found[0], found[1]

    def _take_round(self, path: Path) -> None:
        begun, units = read_round(path)
        with _transaction(self.database):
            for name in begun.inputs:
                self._take_inputs(self.folder.inputs / name, begun.number)
            for unit in units:
                self.database.execute(
                    "INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?)",
                    (unit.number, unit.round, unit.cost, json.dumps(ranges(unit.ids))),
                )
                if begun.number:
                    again = [(begun.number, id_) for id_ in unit.ids]
                    self.database.executemany("UPDATE structures SET round = ? WHERE id = ?", again)
                    self.database.executemany(
                        "UPDATE results SET stale = 1 WHERE round < ? AND id = ?", again
                    )
            self.database.execute(
                "INSERT OR IGNORE INTO rounds VALUES (?, ?)", (begun.number, json.dumps(begun.changes))
            )
            file, _ = self._end(path)
            self.database.execute("UPDATE files SET read = ? WHERE id = ?", (path.stat().st_size, file))

    def _take_inputs(self, path: Path, round_: int) -> None:
        if not path.is_file():
            raise UsageError(f"the structures {path} are missing; restore them")
        file, _ = self._end(path)
        lines = lines_from(path)
        while some := list(islice(lines, AT_ONCE)):
            try:
                rows = [
                    (line["id"], file, at, line["source"], line["formula"], len(line["numbers"]),
                     line["cost"], line["digest"], round_)
                    for at, _, line in some
                ]  # fmt: skip
            except KeyError as error:
                raise UsageError(f"{path} is damaged: a line lacks {error}; restore the file") from None
            self.database.executemany("INSERT OR REPLACE INTO structures VALUES (?,?,?,?,?,?,?,?,?)", rows)
            invalid = [
                (line["id"], round_, file, INVALID, "refused", 0, 0.0, round_, line["id"])
                for _, _, line in some if "invalid" in line
            ]  # fmt: skip
            self.database.executemany(RESULT, invalid)

    def _take_results(self, path: Path) -> None:
        file, read = self._end(path)
        size = path.stat().st_size
        if size == read:
            return
        if size < read:
            raise UsageError(
                f"{path} is shorter than it was; restore it, or delete the index "
                f"{self.folder.campaign}.sqlite to go on without what it has lost"
            )
        lines = lines_from(path, read)
        if read == 0:
            first = next(lines, None)
            if first is None:
                return
            self._check_header(path, first[2])
            header = json.dumps(first[2])
            with _transaction(self.database):
                self.database.execute(
                    "UPDATE files SET read = ?, header = ? WHERE id = ? AND read = 0",
                    (first[1], header, file),
                )
        while some := list(islice(lines, AT_ONCE)):
            self._take_lines(path, file, some)

    def _take_lines(self, path: Path, file: int, some: list[tuple[int, int, dict[str, Any]]]) -> None:
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
        with _transaction(self.database):
            read, end = some[0][0], some[-1][1]
            changed = self.database.execute(
                "UPDATE files SET read = ? WHERE id = ? AND read = ?", (end, file, read)
            )
            if changed.rowcount:  # otherwise another process has taken them meanwhile
                self.database.executemany(RESULT, results)
                self.database.executemany(EVENT, events)

    def _check_header(self, path: Path, head: dict[str, Any]) -> None:
        if head.get("campaign") != self.folder.campaign:
            raise UsageError(f"{path} holds no results of this campaign; move it away")
        if head.get("settings") != self.folder.settings.digest:
            raise UsageError(f"{path} was made with other settings than {self.folder.path}; move it away")


class _transaction:
    """What is done within the block is done as a whole, or not at all."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def __enter__(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.database.execute("ROLLBACK" if kind else "COMMIT")
