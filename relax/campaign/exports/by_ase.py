"""Files that ASE reads: extended XYZ and databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ase import Atoms

from relax.campaign.exports.words import Words
from relax.campaign.outcome import Outcome
from relax.core.errors import InvalidStructure, UsageError
from relax.io.write import snapshot, snapshot_text, write_database

__all__ = ["write_ase_db", "write_extxyz"]

Rows = Iterable[tuple[Outcome, dict[str, Any]]]


def write_extxyz(part: Path, rows: Rows, words: Words) -> None:
    """Write extended XYZ as ``relax run`` does, so that ``relax show`` reads it.

    Parameters
    ----------
    part
        The file.
    rows
        The structures, and other columns of each.
    words
        What is said of them.

    Raises
    ------
    UsageError
        The format cannot hold a structure.
    """
    with open(part, "w", encoding="utf-8", newline="\n") as file:
        for outcome, more in rows:
            try:
                atoms, results = outcome.ended()
                file.write(snapshot_text(atoms, results, **words.info(outcome, more)))
            except InvalidStructure as error:
                raise UsageError(f"structure {outcome.id}, {outcome.source}: {error}") from error


def write_ase_db(part: Path, rows: Rows, words: Words) -> None:
    """Write a database of ASE, with what extended XYZ says as keys; arguments as above."""
    write_database(part, "db", _frames(rows, words), timeless=True)


def _frames(rows: Rows, words: Words) -> Iterator[Atoms]:
    for outcome, more in rows:
        yield snapshot(outcome.atoms, **words.info(outcome, more))
