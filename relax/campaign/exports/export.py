"""The results of a campaign in the formats of other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.campaign.exports.by_ase import write_ase_db, write_extxyz
from relax.campaign.exports.kinds import KINDS
from relax.campaign.exports.matbench import FILES, Matbench
from relax.campaign.exports.parquet import write_parquet
from relax.campaign.exports.pymatgen_json import write_pymatgen_json
from relax.campaign.exports.target import new_target
from relax.campaign.exports.words import Words
from relax.campaign.outcome import Outcome
from relax.core.errors import UsageError
from relax.core.result import STATUSES

if TYPE_CHECKING:
    from relax.campaign.campaign import Campaign
    from relax.campaign.duplicates.find import Member

__all__ = ["KINDS", "export"]

WHEN = ("before", "after")
COLUMNS = ("group", "group_lowest")


def export(
    campaign: Campaign,
    path: str | Path,
    kind: str,
    *,
    force: bool = False,
    statuses: Sequence[str] | None = None,
    waiting: bool = False,
    duplicates: str = "",
    **options: Any,
) -> int:
    """Write structures of a campaign in the order of the input, and return how many.

    They are written one after the other, to a file that appears whole or not at all.  Its bytes depend on the
    structures and on the results alone: nothing in it says when, where and how long they were made.

    Parameters
    ----------
    campaign
        The campaign.
    path
        The file; for ``matbench`` the folder.
    kind
        ``extxyz``
            As ``relax run`` writes it, for ``relax show`` and ASE; the number in the campaign is
            ``relax_place``.
        ``ase.db``
            A database of ASE, with the same keys.
        ``parquet``
            A table, see :func:`relax.campaign.exports.parquet.write_parquet`.
        ``pymatgen-json``
            JSON lines, see :func:`relax.campaign.exports.pymatgen_json.write_pymatgen_json`.
        ``matbench``
            What Matbench Discovery takes, see :class:`relax.campaign.exports.matbench.Matbench`.
    force
        Whether what is at ``path`` is replaced.
    statuses
        Only structures with one of these.
    waiting
        Write those too that have no result yet, as they were given.
    duplicates
        ``before`` or ``after``: also write the columns ``group``, the number of the first structure that each
        is a duplicate of before or after its relaxation, and ``group_lowest``, whether it is the lowest in
        energy of them; see :func:`relax.campaign.duplicates.find.duplicates`.  Unknown where it is in none.
    **options
        Those of the kind.

    Raises
    ------
    UsageError
        The kind, a status or an option is unknown, there is something at ``path``, a package is missing, or
        the file cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r} (there are: {', '.join(KINDS)})")
    known = (*STATUSES, "waiting")
    for status in statuses or ():
        if status not in known:
            raise UsageError(f"unknown status {status!r} (there are: {', '.join(known)})")
    if duplicates not in ("", *WHEN):
        raise UsageError(f"duplicates = {duplicates!r}: give before or after")
    if kind != "matbench" and options:
        raise UsageError(f"{kind} has no option {min(options)}")
    matbench = _matbench(Path(path), options) if kind == "matbench" else None
    with new_target(Path(path), force, FILES if matbench else ()) as part:
        rows = _Rows(campaign, statuses, waiting, duplicates)
        if matbench is not None:
            matbench.write(part, rows)
        elif kind == "parquet":
            write_parquet(part, rows, COLUMNS if duplicates else ())
        elif kind == "pymatgen-json":
            write_pymatgen_json(part, rows)
        else:
            words = Words(campaign.folder.settings, campaign.index.changes())
            (write_extxyz if kind == "extxyz" else write_ase_db)(part, rows, words)
    return rows.count


def _matbench(path: Path, options: dict[str, Any]) -> Matbench:
    try:
        return Matbench(**{"model": path.name} | options)
    except TypeError as error:
        raise UsageError(f"matbench: {str(error).rpartition(') ')[2]}") from None


class _Rows:
    """Structures one after the other, with their columns of duplicates; ``count`` is how many there were."""

    def __init__(
        self, campaign: Campaign, statuses: Sequence[str] | None, waiting: bool, duplicates: str
    ) -> None:
        self.campaign, self.statuses, self.duplicates = campaign, statuses, duplicates
        self.waiting = waiting or statuses is not None
        self.count = 0

    def __iter__(self) -> Iterator[tuple[Outcome, dict[str, Any]]]:
        groups = self._groups()
        group = next(groups, None)
        for outcome in self.campaign.results(self.statuses):
            if outcome.status == "waiting" and not self.waiting:
                continue
            while group is not None and group.id < outcome.id:
                group = next(groups, None)
            more: dict[str, Any] = {}
            if self.duplicates:
                known = group is not None and group.id == outcome.id
                values = (group.group, group.lowest) if group is not None and known else (None, None)
                more = dict(zip(COLUMNS, values, strict=True))
            self.count += 1
            yield outcome, more

    def _groups(self) -> Iterator[Member]:
        if not self.duplicates:
            return iter(())
        from relax.campaign.duplicates.find import duplicates

        return duplicates(self.campaign, start=self.duplicates == "before")
