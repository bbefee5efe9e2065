"""Files of results: a header, and rows that are written as soon as each is complete.

The header holds the protocol (what all rows have in common), the versions of packages, the machine and the
command.  Every row also holds its identity: the settings of its optimizer and the versions of the packages
that decide its numbers.  A row is up to date if its identity is what it would be today; then it is kept
when a command is repeated, and not computed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, TypeVar

Json = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Schema:
    """What the files of one benchmark contain.

    Parameters
    ----------
    protocol
        Entries of the header that must be equal for rows to be compared with each other.
    key
        Returns what distinguishes a row from the others, such as its optimizer.
    identity
        Returns, for a header and a row, the entries of the row that decide its numbers, as of today.
    complete
        Returns all results, from a header and rows in the order in which they were added.
    check
        Raises ValueError, KeyError or TypeError for what are no results of this benchmark.
    """

    protocol: tuple[str, ...]
    key: Callable[[Json], Hashable]
    identity: Callable[[Json, Json], Json]
    complete: Callable[[Json, Sequence[Json]], Json]
    check: Callable[[Json], object]

    def read(self, path: Path) -> Json:
        """Return the results in a file.  Raises ValueError where it holds none of this benchmark."""
        try:
            results: Json = json.loads(path.read_text())
            self.check(results)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} holds no results of this benchmark ({error})") from None
        return results

    def same_protocol(self, results: Json, header: Json) -> bool:
        """Return whether rows of ``results`` may be compared with rows made under ``header``."""
        return all(results.get(key) == header[key] for key in self.protocol)

    def up_to_date(self, header: Json, row: Json) -> bool:
        """Return whether a row would be the same if it were computed today.

        A row whose packages are not installed cannot be computed, and is kept.
        """
        try:
            return row | self.identity(header, row) == row
        except PackageNotFoundError:
            return True
        except (ValueError, TypeError, KeyError):  # there is no such optimizer any more
            return False


class ResultsFile:
    """The rows that are complete, and the file they are written to.

    Parameters
    ----------
    path
        File of results; None keeps the rows in memory only.
    header
        What the file says before its rows.
    schema
        What the file contains.
    resume
        Whether rows that are up to date are kept when they are asked for, and not computed again.  Rows of
        the same protocol that are not asked for are kept in either case.

    Attributes
    ----------
    rows
        Rows by their key.
    outdated
        Optimizers of rows in the file that were not taken over.
    repeated
        Keys of rows that are computed again when they are asked for.

    Raises
    ------
    ValueError
        The file is of another protocol and ``resume`` is true, or it is no file of this benchmark.
    """

    def __init__(self, path: Path | None, header: Json, schema: Schema, resume: bool = True) -> None:
        self.path, self.header, self.schema = path, header, schema
        self.rows: dict[Hashable, Json] = {}
        self.outdated: list[str] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                found = schema.read(path)
                if resume or schema.same_protocol(found, header):
                    self.take(found, path)
        self.repeated = frozenset() if resume else frozenset(self.rows)

    def take(self, found: Json, path: Path) -> None:
        """Take over the rows of a file that are up to date, but none that is there already.

        Raises
        ------
        ValueError
            The file is of another protocol.
        """
        self.check_protocol(found, path)
        for row in found["rows"]:
            if self.schema.up_to_date(self.header, row):
                self.rows.setdefault(self.schema.key(row), row)
            elif row["optimizer"] not in self.outdated:
                self.outdated.append(row["optimizer"])

    def check_protocol(self, found: Json, path: Path) -> None:
        """Raise ValueError unless ``found``, read from ``path``, has the protocol of the header."""
        if not self.schema.same_protocol(found, self.header):
            others = [key for key in self.schema.protocol if found.get(key) != self.header[key]]
            raise ValueError(
                f"{path} holds results from other starts or another protocol ({', '.join(others)}); "
                "--no-resume replaces them"
            )

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Return which of the rows asked for are to be computed."""
        return [key for key in keys if key not in self.rows or key in self.repeated]

    def add(self, row: Json) -> None:
        """Add a row that is complete, and write the file."""
        self.rows[self.schema.key(row)] = row
        self.save()

    def save(self) -> Json:
        """Write the file, unless there are no rows, and return the results."""
        results = self.schema.complete(self.header, list(self.rows.values()))
        if self.path is not None and self.rows:
            write_results(self.path, results)
        return results


def write_results(path: Path, results: Json) -> None:
    """Write results, each entry of the header and of a row on its own line."""
    header = {key: value for key, value in results.items() if key != "rows"}
    outer = ",\n ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in header.items())
    inner = ",\n".join(
        "  {" + ",\n   ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in row.items()) + "}"
        for row in results["rows"]
    )
    replace(path, f'{{{outer},\n "rows": [\n{inner}\n ]\n}}\n')


def write_record(path: Path, record: Json) -> None:
    """Write the figures of a benchmark that has no rows to resume."""
    replace(path, json.dumps(record, indent=1) + "\n")


def replace(path: Path, text: str) -> None:
    """Write a file such that, if the process is killed, it has either the old content or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
