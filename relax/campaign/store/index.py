"""The index of a campaign: a database of this machine, made from the files of the campaign at any time.

The files are the truth.  The index says where in them a structure and its result are, and adds them up.  It
is in a folder for temporary files of the machine, since databases are not safe on network disks; where it is
gone, the next command makes it again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relax.campaign.outcome import Outcome
from relax.campaign.store.deaths import Deaths
from relax.campaign.store.folder import Folder
from relax.campaign.store.index_folder import index_folder, opened
from relax.campaign.store.lines import OpenFiles
from relax.campaign.store.loader import Loader
from relax.campaign.store.rounds import Unit
from relax.core.errors import UsageError

__all__ = ["Index", "Totals"]


@dataclass(frozen=True)
class Totals:
    """How many structures there are, how they have ended, and what it took.

    Parameters
    ----------
    structures, atoms
        Numbers of structures and atoms in all.
    waiting
        Structures without a result, or whose result is to be made anew.
    statuses
        Numbers of the others by status.
    calls, seconds
        Force calls, and time of their relaxations, s.
    cost, cost_done
        Estimated cost of all, and of those that have ended.
    """

    structures: int
    atoms: int
    waiting: int
    statuses: Counter[str]
    calls: int
    seconds: float
    cost: float
    cost_done: float


class Index:
    """The index of a campaign, as of the last :meth:`catch_up`.

    Parameters
    ----------
    folder
        The folder of the campaign.

    Raises
    ------
    UsageError
        From here and from the methods: the index or a file of the campaign is damaged or cannot be read.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.path = index_folder() / f"{folder.campaign}.sqlite"
        with self._faults():
            self._database = opened(self.path)
            self._loader = Loader(self._database, folder)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def catch_up(self) -> None:
        """Read what has been written to the files since the last time."""
        with self._faults():
            self._loader.catch_up()

    def totals(self) -> Totals:
        """Return numbers of structures by status, and sums."""
        with self._faults():
            count, atoms, cost = self._one("SELECT SUM(structures), SUM(atoms), SUM(cost) FROM files")
            rows = self._all("SELECT * FROM totals WHERE number > 0 ORDER BY status")
        statuses = Counter({status: number for status, number, *_ in rows})
        calls, seconds, done = (sum(row[k] for row in rows) for k in (2, 3, 4))
        count = count or 0
        waiting = count - statuses.total()
        return Totals(count, atoms or 0, waiting, statuses, calls, seconds, cost or 0.0, done)

    def units(self) -> Iterator[Unit]:
        """Yield the units of which a structure has no result yet, in their order."""
        with self._faults():
            there = bytearray(self._one("SELECT COALESCE(MAX(id), -1) + 1 FROM structures")[0])
            newest = bytearray(len(there))
            for (id_,) in self._database.execute("SELECT id FROM results WHERE NOT stale"):
                there[id_] = 1
            for id_, number in self._database.execute("SELECT id, round FROM structures WHERE round > 0"):
                newest[id_] = number
            for unit in self._loader.units():
                if any(not there[i] and newest[i] == unit.round for i in unit.ids):
                    yield unit

    def missing(self, unit: Unit) -> list[int]:
        """Return the structures of a unit that have no result of its round."""
        with self._faults():
            marks = ",".join("?" * len(unit.ids))
            there = self._all(
                f"SELECT id FROM results WHERE round >= ? AND id IN ({marks})", unit.round, *unit.ids
            )
        return sorted({*unit.ids} - {id_ for (id_,) in there})

    def places(self, ids: list[int]) -> list[tuple[int, str, int]]:
        """Return the number of each structure, the file of its line, and where in that the line begins."""
        with self._faults():
            found: list[tuple[int, str, int]] = []
            for k in range(0, len(ids), 500):
                some = ids[k : k + 500]
                marks = ",".join("?" * len(some))
                found += self._all(
                    "SELECT s.id, files.name, s.offset FROM structures s "
                    f"JOIN files ON files.id = s.file WHERE s.id IN ({marks}) ORDER BY s.id",
                    *some,
                )  # fmt: skip
        return found

    def given(self, ids: list[int]) -> Iterator[dict[str, Any]]:
        """Yield the lines of structures."""
        with contextlib.closing(OpenFiles(self.folder.path)) as files:
            for _, name, at in self.places(ids):
                yield files.line(name, at)

    def lost(self, unit: Unit) -> set[int]:
        """Return the structures of a unit that are lost."""
        with self._faults():
            rows = self._all(
                "SELECT id FROM results WHERE status = 'worker_lost' AND round = ? AND id BETWEEN ? AND ?",
                unit.round, unit.ids[0], unit.ids[-1],
            )  # fmt: skip
        return {id_ for (id_,) in rows}

    def deaths(self) -> Deaths:
        """Return of which units processes have died: they began, and neither ended nor were given back."""
        found = Deaths()
        with self._faults():
            for unit, alone, begun, ended in self._all("SELECT * FROM deaths"):
                if alone < 0:
                    found.units[unit] = begun - ended
                elif ended:
                    found.cleared.add((unit, alone))
                else:
                    found.alone[unit, alone] = begun
        return found

    def changes(self) -> dict[int, dict[str, Any]]:
        """Return the arguments of relax_many that rounds have in place of those of the campaign."""
        with self._faults():
            rows = self._all("SELECT round, changes FROM rounds")
        return {number: json.loads(words) for number, words in rows}

    def ids_of(self, statuses: list[str]) -> list[int]:
        """Return the structures that ended with one of ``statuses`` and are not invalid."""
        with self._faults():
            marks = ",".join("?" * len(statuses))
            rows = self._all(
                f"SELECT id FROM results WHERE NOT stale AND offset >= 0 AND status IN ({marks}) ORDER BY id",
                *statuses,
            )
        return [id_ for (id_,) in rows]

    def costs(self, ids: list[int]) -> Iterator[tuple[int, float]]:
        """Yield the number and the estimated cost of structures."""
        wanted = set(ids)
        with self._faults():
            for id_, cost in self._database.execute("SELECT id, cost FROM structures ORDER BY id"):
                if id_ in wanted:
                    yield id_, cost

    def outcomes(self, statuses: list[str] | None = None) -> Iterator[Outcome]:
        """Yield the structures in the order of the input, with their results; all, or of some statuses."""
        where, words = "", list(statuses or [])
        if statuses is not None:
            status = "COALESCE(CASE WHEN r.stale THEN 'waiting' ELSE r.status END, 'waiting')"
            where = f"WHERE {status} IN ({','.join('?' * len(words))})"
        files = OpenFiles(self.folder.path)
        with self._faults(), contextlib.closing(files):
            for id_, given, at, found, place, header in self._database.execute(
                "SELECT s.id, f.name, s.offset, g.name, r.offset, r.file FROM structures s "
                "JOIN files f ON f.id = s.file LEFT JOIN results r ON r.id = s.id AND NOT r.stale "
                f"LEFT JOIN files g ON g.id = r.file {where} ORDER BY s.id",
                words,
            ):
                result = None if found is None or place < 0 else files.line(found, place)
                yield Outcome(
                    id_, files.line(given, at), result, self._loader.header(header) if result else {}
                )

    def newest_round(self) -> tuple[int, int, int]:
        """Return the number of the newest round, of units, and of structures."""
        with self._faults():
            newest = self._one("SELECT COALESCE(MAX(round), -1) FROM rounds")[0]
            units = self._one("SELECT COALESCE(MAX(unit), -1) + 1 FROM units")[0]
            structures = self._one("SELECT COALESCE(MAX(id), -1) + 1 FROM structures")[0]
        return newest, units, structures

    def waiting(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the round of structures without a result of this round."""
        with self._faults():
            yield from self._database.execute(
                "SELECT s.id, s.round FROM structures s LEFT JOIN results r ON r.id = s.id "
                "WHERE r.id IS NULL OR r.stale ORDER BY s.id"
            )

    def known(self) -> dict[tuple[str, str], int]:
        """Return the numbers of the structures by their sources and digests."""
        with self._faults():
            rows = self._all("SELECT source, digest, id FROM structures")
        return {(source, digest): id_ for source, digest, id_ in rows}

    def _one(self, words: str, *values: Any) -> Any:
        return self._database.execute(words, values).fetchone()

    def _all(self, words: str, *values: Any) -> list[Any]:
        return self._database.execute(words, values).fetchall()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"the index {self.path} cannot be used ({error}); delete it, and it is made again from the "
                "files of the campaign"
            ) from error
