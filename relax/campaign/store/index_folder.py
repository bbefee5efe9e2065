"""The databases of the indices on this machine: their folder, and their tables."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from relax.core.errors import UsageError

__all__ = ["index_folder", "opened", "transaction"]

VARIABLE = "RELAX_INDEX_DIR"
"""Environment variable with the folder of the indices, which should be on a disk of this machine."""

TABLES = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, read INTEGER, header TEXT, structures INTEGER DEFAULT 0,
    atoms INTEGER DEFAULT 0, cost REAL DEFAULT 0);
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
CREATE TABLE IF NOT EXISTS totals (
    status TEXT PRIMARY KEY, number INTEGER, calls INTEGER, seconds REAL, cost REAL);
CREATE TRIGGER IF NOT EXISTS ended AFTER INSERT ON results WHEN NOT new.stale BEGIN
    INSERT INTO totals VALUES (new.status, 1, new.calls, new.seconds, new.cost) ON CONFLICT (status) DO UPDATE
    SET number = number + 1, calls = calls + new.calls, seconds = seconds + new.seconds,
    cost = cost + new.cost;
END;
CREATE TRIGGER IF NOT EXISTS replaced AFTER UPDATE ON results BEGIN
    UPDATE totals SET number = number - 1, calls = calls - old.calls, seconds = seconds - old.seconds,
    cost = cost - old.cost WHERE status = old.status AND NOT old.stale;
    INSERT INTO totals SELECT new.status, 0, 0, 0, 0 WHERE TRUE ON CONFLICT DO NOTHING;
    UPDATE totals SET number = number + 1, calls = calls + new.calls, seconds = seconds + new.seconds,
    cost = cost + new.cost WHERE status = new.status AND NOT new.stale;
END;
"""
"""The totals are kept with each result, since to add them up would take a second for a million."""


def index_folder() -> Path:
    """Return the folder of the indices on this machine, which only this user may read."""
    if given := os.environ.get(VARIABLE):
        folder = Path(given)
    else:
        folder = Path(tempfile.gettempdir()) / f"relax-index-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise UsageError(f"{folder} belongs to another user; name another folder in {VARIABLE}")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; name another folder in {VARIABLE}") from error
    return folder


def opened(path: Path) -> sqlite3.Connection:
    """Return the database at ``path``, which is made with its tables if it is not there.

    Raises
    ------
    sqlite3.DatabaseError
        It is damaged or locked.
    """
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")  # what is lost is made again
    database.executescript(TABLES)
    return database


class transaction:
    """What is done within the block is done as a whole, or not at all."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def __enter__(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.database.execute("ROLLBACK" if kind else "COMMIT")
