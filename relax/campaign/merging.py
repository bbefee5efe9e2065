"""Campaigns put together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from relax.campaign.outcome import Outcome
from relax.campaign.store.additions import add_round
from relax.campaign.store.folder import Folder
from relax.campaign.store.index import Index
from relax.campaign.store.lines import text_of
from relax.campaign.store.rounds import Round, units_of
from relax.core.errors import UsageError

__all__ = ["merge"]

Json = dict[str, Any]


def merge(folder: Folder, index: Index, other: Index) -> tuple[int, int]:
    """Add the structures of another campaign, and the results of which there are none yet.

    Killed in the midst of it, it has done nothing, or has added structures whose results the same command
    adds when it is repeated.

    Parameters
    ----------
    folder, index
        The campaign, of which the lease for edits is held.
    other
        The index of the other one.

    Returns
    -------
    int, int
        Numbers of structures and results.

    Raises
    ------
    UsageError
        The other one has other settings, or a file cannot be read or written.
    """
    if folder.settings.digest != other.folder.settings.digest:
        raise UsageError(
            f"{other.folder.path} has other settings than {folder.path}; their results do not belong together"
        )
    if folder.campaign == other.folder.campaign:
        raise UsageError(f"{other.folder.path} is the same campaign as {folder.path}")
    try:
        known, structures = _add_structures(folder, index, other)
        index.catch_up()
        return structures, _add_results(folder, index, other, known)
    except OSError as error:
        raise UsageError(f"{error.filename or folder.path}: {error.strerror}") from error


def _add_structures(folder: Folder, index: Index, other: Index) -> tuple[dict[tuple[str, str], int], int]:
    """Write a round with the structures that are new; return the numbers of all by name, and how many."""
    newest, unit, count = index.newest_round()
    known, round_ = index.known(), newest + 1
    name = f"{round_:06d}-000000.jsonl"
    costs: list[tuple[int, float]] = []
    first = count
    part = folder.inputs / f".{name}.part"
    with open(part, "w") as file:
        for outcome in other.outcomes():
            if (key := (outcome.source, outcome.digest)) in known:
                continue
            known[key] = count
            file.write(text_of([{**outcome.given, "id": count}]))
            if "invalid" not in outcome.given:
                costs.append((count, outcome.given["cost"]))
            count += 1
    if count > first:
        os.replace(part, folder.inputs / name)
        total = sum(cost for _, cost in costs)
        add_round(
            folder,
            Round(round_, "merge", (name,)),
            units_of(costs, total, round_, unit, folder.unit_cost),
        )
    part.unlink(missing_ok=True)
    return known, count - first


def _add_results(folder: Folder, index: Index, other: Index, known: dict[tuple[str, str], int]) -> int:
    """Write files with the results of the other campaign for structures that have none."""
    waiting = {id_: round_ for id_, round_ in index.waiting()}
    number = 0
    outcomes = (
        outcome
        for outcome in other.outcomes()
        if outcome.found is not None and known[outcome.source, outcome.digest] in waiting
    )
    for worker, some in groupby(outcomes, key=lambda outcome: outcome.worker.get("worker", "")):
        path = folder.results / f"merged-{worker}-{os.urandom(4).hex()}.jsonl"
        number += _write(path, folder, some, known, waiting)
    index.catch_up()
    return number


def _write(
    path: Path,
    folder: Folder,
    outcomes: Iterator[Outcome],
    known: dict[tuple[str, str], int],
    waiting: dict[int, int],
) -> int:
    number = 0
    part = path.with_suffix(".part")
    with open(part, "x") as file:
        for outcome in outcomes:
            if not number:
                file.write(text_of([{**outcome.worker, "campaign": folder.campaign}]))
            id_ = known[outcome.source, outcome.digest]
            file.write(text_of([{**(outcome.found or {}), "id": id_, "round": waiting[id_]}]))
            number += 1
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    return number
