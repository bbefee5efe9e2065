"""Runs that have ended, of rows that are not complete yet.

The runs of one optimizer may take hours, so that each run is written to ``NAME.partial.jsonl`` as soon as
it has ended, one per line, and the next command continues from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from benchmarks.common.results_file import Json, ResultsFile, replace
from benchmarks.crystals.results import SCHEMA, identity, row_of
from benchmarks.crystals.runs import End, Key


class Journal:
    """The file of results, and the runs of rows that are not complete yet.

    Parameters
    ----------
    path, header, resume
        As in :class:`benchmarks.common.results_file.ResultsFile`.
    others
        Other files of results from which rows are taken over.

    Raises
    ------
    ValueError
        A file is of another protocol, or is no file of this benchmark.
    """

    def __init__(
        self, path: Path | None, header: Json, resume: bool = True, others: Sequence[Path] = ()
    ) -> None:
        self.file = ResultsFile(path, header, SCHEMA, resume)
        self.header = header
        self.runs: dict[Key, End] = {}
        self.partial = None if path is None else path.with_name(f"{path.name}.partial.jsonl")
        self.identity = cache(self._identity)
        for other in others:
            self.file.take(SCHEMA.read(other), other)
        if self.partial is not None and self.partial.exists():
            if resume:
                self.runs = self.read_partial(self.partial)
            else:
                self.partial.unlink()
        self.save()

    def _identity(self, optimizer: str) -> str:
        """Return a short form of the identity of an optimizer's runs, empty if there is none of this name."""
        try:
            found = identity(self.header, optimizer)
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
        keyed = [(Key(*record["key"]), record) for record in records[1:]]
        return {
            key: End(**record["end"])
            for key, record in keyed
            if record["identity"] == self.identity(key.optimizer)
        }

    def missing(self, keys: Sequence[Key]) -> set[Key]:
        """Return which of the runs asked for are to be made."""
        rows = set(self.file.missing(key[:2] for key in keys))
        return {key for key in keys if key[:2] in rows and key not in self.runs}

    def line(self, key: Key, end: End) -> str:
        """Return the line of a run in the partial file."""
        record = {"key": key, "identity": self.identity(key.optimizer), "end": asdict(end)}
        return json.dumps(record) + "\n"

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
        found: dict[tuple[float, str], dict[str, End]] = defaultdict(dict)
        for key, end in self.runs.items():
            found[key.rattle, key.optimizer][key.structure] = end
        for (rattle, optimizer), ends in found.items():
            if len(ends) == len(structures):
                row = row_of(self.header, rattle, optimizer, [ends[name] for name in structures])
                self.file.rows[rattle, optimizer] = row
                self.runs = {key: end for key, end in self.runs.items() if key[:2] != (rattle, optimizer)}
        results = self.file.save()
        if self.partial is not None:
            if self.runs:
                lines = [self.line(key, end) for key, end in self.runs.items()]
                replace(self.partial, json.dumps(self.header) + "\n" + "".join(lines))
            else:
                self.partial.unlink(missing_ok=True)
        return results
