"""Rounds: the units of work that a campaign gets at its start and by each addition and retry.

A unit is a number of structures that are relaxed together.  Which structures those are never changes, and so
each structure comes out the same to the last bit whatever happens to the processes: what a batched potential
computes for a structure depends, in the last digits, on the others in the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relax.campaign.store.lines import lines_from, text_of
from relax.core.errors import UsageError

__all__ = ["Round", "Unit", "ranges", "read_round", "units_of", "write_round"]

UNIT_COST = 10_000.0
"""Estimated cost of a unit, in pairs of atoms: that of some 200 atoms of a dense solid."""

MOST_IN_UNIT = 512
"""Most structures of a unit."""

SHARES = 16
"""Units become smaller once what is left is less than so many of them, so that no worker waits long."""

SMALLEST = 1 / 4
"""Cost of the smallest units, as a fraction of that of the others."""


@dataclass(frozen=True)
class Unit:
    """Structures that are relaxed together.

    Parameters
    ----------
    number
        Of the unit in the campaign.
    round
        Its round.
    ids
        The numbers of the structures, ascending.
    cost
        Estimated cost.
    """

    number: int
    round: int
    ids: Sequence[int]
    cost: float


@dataclass(frozen=True)
class Round:
    """A round without its units.

    Parameters
    ----------
    number
        0 is the first.
    kind
        ``init``, ``add``, ``retry`` or ``merge``.
    inputs
        The names of the files of structures that came with it.
    changes
        Arguments of :func:`relax.engine.api.relax_many` in place of those of the campaign.
    """

    number: int
    kind: str
    inputs: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)


def units_of(
    costs: Iterable[tuple[int, float]], total: float, round: int, first: int, unit_cost: float = UNIT_COST
) -> Iterator[Unit]:
    """Yield the units of structures, in their order.

    Parameters
    ----------
    costs
        The number and the estimated cost of each structure.
    total
        The sum of the costs.
    round, first
        The round, and the number of its first unit.
    unit_cost
        Estimated cost of a unit; towards the end units are smaller.
    """
    ids: list[int] = []
    filled, left, number = 0.0, total, first
    for id_, cost in costs:
        room = min(unit_cost, max(left / SHARES, unit_cost * SMALLEST))
        if ids and (filled + cost > room or len(ids) >= MOST_IN_UNIT):
            yield Unit(number, round, ids, filled)
            left, number = left - filled, number + 1
            ids, filled = [], 0.0
        ids.append(id_)
        filled += cost
    if ids:
        yield Unit(number, round, ids, filled)


def ranges(ids: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers as ranges, each with its first number and the one after its last."""
    found: list[list[int]] = []
    for id_ in ids:
        if found and found[-1][1] == id_:
            found[-1][1] += 1
        else:
            found.append([id_, id_ + 1])
    return found


def write_round(path: Path, begun: Round, units: Iterable[Unit]) -> None:
    """Write a round to ``path`` without its last step, which is to give it its name.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with open(path, "x") as file:
        head = {"round": begun.number, "kind": begun.kind, "inputs": begun.inputs, "changes": begun.changes}
        file.write(text_of([head]))
        for unit in units:
            line = {"unit": unit.number, "cost": round(unit.cost, 3), "ids": ranges(unit.ids)}
            file.write(text_of([line]))


def read_round(path: Path) -> tuple[Round, Iterator[Unit]]:
    """Return the round in a file, and its units; UsageError where it is damaged."""
    lines = lines_from(path)
    try:
        _, _, head = next(lines)
        begun = Round(head["round"], head["kind"], tuple(head["inputs"]), head["changes"])
    except (StopIteration, KeyError, TypeError):
        raise UsageError(f"{path} is damaged: its first line describes no round; restore the file") from None
    return begun, _units(path, begun.number, (line for _, _, line in lines))


def _units(path: Path, number: int, lines: Iterable[dict[str, Any]]) -> Iterator[Unit]:
    for line in lines:
        try:
            ids = [id_ for first, end in line["ids"] for id_ in range(first, end)]
            yield Unit(line["unit"], number, ids, line["cost"])
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{path} is damaged: {line} describes no unit; restore the file") from None
