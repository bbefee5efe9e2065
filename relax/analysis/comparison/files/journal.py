"""Runs that have ended, of rows that are not complete yet.

The runs of one optimizer may take hours, so that each run is written to ``NAME.partial.jsonl`` as soon as
it has ended, one per line, and the next command continues from there.

The key of a run is a named tuple.  Its last entry is ``structure``, one of the entries before is
``optimizer``, and all entries before the last are the key of the row (:class:`.results_file.Schema`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from relax.analysis.comparison.files.results_file import Json, ResultsFile, Schema, replace
from relax.analysis.comparison.runs.run import RunEnd

Key = TypeVar("Key", bound=tuple[Any, ...])
End = TypeVar("End", bound=RunEnd)


@dataclass(frozen=True)
class Runs(Generic[Key, End]):
    """What the runs of a benchmark are, and how rows are made from them.

    Parameters
    ----------
    schema
        What the file of results contains.
    key, end
        The classes of a run's key and end.
    identity
        Returns, for a header and a key, what decides the numbers of its row: ``parameters``, ``versions``.
    row_of
        Returns the row of a header, a key of the row, and the ends in the order of the structures.
    """

    schema: Schema
    key: Callable[..., Key]
    end: Callable[..., End]
    identity: Callable[[Json, Key], Json]
    row_of: Callable[[Json, Key, Sequence[End]], Json]


class Journal(Generic[Key, End]):
    """The file of results, and the runs of rows that are not complete yet.

    Parameters
    ----------
    path, header, resume
        As in :class:`relax.analysis.comparison.files.results_file.ResultsFile`.
    kind
        What the runs are.
    others
        Other files of results from which rows are taken over.

    Raises
    ------
    ValueError
        A file is of another protocol, or is no file of this benchmark.
    """

    def __init__(
        self,
        path: Path | None,
        header: Json,
        kind: Runs[Key, End],
        resume: bool = True,
        others: Sequence[Path] = (),
    ) -> None:
        self.file = ResultsFile(path, header, kind.schema, resume)
        self.header, self.kind = header, kind
        self.runs: dict[Key, End] = {}
        self.identities: dict[tuple[Any, ...], str] = {}
        self.partial = None if path is None else path.with_name(f"{path.name}.partial.jsonl")
        for other in others:
            self.file.take(kind.schema.read(other), other)
        if self.partial is not None and self.partial.exists():
            if resume:
                self.runs = self.read_partial(self.partial)
            else:
                self.partial.unlink()
        self.save()

    def identity(self, key: Key) -> str:
        """Return a short form of the identity of a row's runs, empty if there is no such optimizer."""
        if key[:-1] not in self.identities:
            self.identities[key[:-1]] = self.short_identity(key)
        return self.identities[key[:-1]]

    def short_identity(self, key: Key) -> str:
        """Return the first digits of the SHA-256 of an identity."""
        try:
            found = self.kind.identity(self.header, key)
        except (ValueError, TypeError, KeyError):
            return ""
        text = json.dumps([found["parameters"], found["versions"]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def read_partial(self, path: Path) -> dict[Key, End]:
        """Return the runs in the partial file that are up to date, without a half-written line."""
        records = []
        with contextlib.suppress(ValueError):
            for line in path.read_text().splitlines():
                records.append(json.loads(line))
        if not records:
            return {}
        self.file.check_protocol(records[0], path)
        keyed = [(self.kind.key(*record["key"]), record) for record in records[1:]]
        return {
            key: self.kind.end(**record["end"])
            for key, record in keyed
            if record["identity"] == self.identity(key)
        }

    def missing(self, keys: Sequence[Key]) -> set[Key]:
        """Return which of the runs asked for are to be made."""
        rows = set(self.file.missing(key[:-1] for key in keys))
        return {key for key in keys if key[:-1] in rows and key not in self.runs}

    def line(self, key: Key, end: End) -> str:
        """Return the line of a run in the partial file."""
        return json.dumps({"key": key, "identity": self.identity(key), "end": asdict(end)}) + "\n"

    def add(self, key: Key, end: End) -> None:
        """Add a run that has just ended."""
        self.runs[key] = end
        if self.partial is None:
            return
        first = "" if self.partial.exists() else json.dumps(self.header) + "\n"
        with self.partial.open("a") as file:
            file.write(first + self.line(key, end))

    def save(self) -> Json:
        """Write complete rows to the file of results, other runs to the partial file; return the results."""
        structures = self.header["structures"]
        found: dict[tuple[Any, ...], dict[str, Key]] = defaultdict(dict)
        for key in self.runs:
            found[key[:-1]][key[-1]] = key
        for row, keys in found.items():
            if len(keys) == len(structures):
                ends = [self.runs.pop(keys[name]) for name in structures]
                self.file.rows[row] = self.kind.row_of(self.header, keys[structures[0]], ends)
        results = self.file.save()
        if self.partial is not None:
            if self.runs:
                lines = [self.line(key, end) for key, end in self.runs.items()]
                replace(self.partial, json.dumps(self.header) + "\n" + "".join(lines))
            else:
                self.partial.unlink(missing_ok=True)
        return results
