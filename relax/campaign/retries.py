"""Structures that are relaxed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relax.campaign.store.additions import add_round
from relax.campaign.store.folder import Folder
from relax.campaign.store.index import Index
from relax.campaign.store.rounds import Round, units_of
from relax.core.errors import UsageError

__all__ = ["retry"]


def retry(folder: Folder, index: Index, statuses: Sequence[str], changes: dict[str, Any]) -> int:
    """Make a round of the structures that ended with one of ``statuses``; return how many.

    Parameters
    ----------
    folder, index
        The campaign, of which the lease for edits is held.
    statuses
        Such as ``exploded`` and ``timeout``.
    changes
        Arguments of :func:`relax.engine.api.relax_many` for them, in place of those of the campaign.

    Raises
    ------
    UsageError
        A change is not allowed, or the round cannot be written.
    """
    if "cell" in changes:
        raise UsageError("what of the cells relaxes cannot be changed for a part of the structures")
    if changes:
        folder.settings.changed(changes)
    index.catch_up()
    newest, unit, _ = index.newest_round()
    ids = index.ids_of(list(statuses))
    if ids:
        costs = list(index.costs(ids))
        total = sum(cost for _, cost in costs)
        units = units_of(costs, total, newest + 1, unit, folder.unit_cost)
        add_round(folder, Round(newest + 1, "retry", (), changes), units)
    return len(ids)
