"""What is to be handed out: units, and after deaths of processes the structures of a unit one by one.

A process may die of a structure, or of something else.  A unit of which two processes have died is looked at:
each of its structures is relaxed alone.  One of which two processes die then is lost.  The others are relaxed
together once more, so that they come out as if nothing had happened.  If two more processes die of that, its
structures are relaxed one by one for good: together they may need more memory than there is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from relax.campaign.store.deaths import Deaths
from relax.campaign.store.rounds import Unit

__all__ = ["Queue", "Task"]

SUSPECT = 2
"""Deaths of processes after which a unit is looked at, and a structure is lost."""


class Task(NamedTuple):
    """A unit to be relaxed, or one structure of it.

    Parameters
    ----------
    unit
        The unit.
    ids
        The structures of it.
    alone
        Whether it is one structure apart from the others.
    counts
        Whether the result counts, even if the structure is apart from others with which it is computed.
    """

    unit: Unit
    ids: Sequence[int]
    alone: bool = False
    counts: bool = True


class Queue:
    """The tasks of a driver that wait, the most expensive first.

    Parameters
    ----------
    deaths
        What has happened before.
    """

    def __init__(self, deaths: Deaths) -> None:
        self.deaths = deaths
        self._waiting: list[tuple[float, int, int, Task]] = []
        self._looked_at: dict[int, set[int]] = {}
        self._times: Counter[int] = Counter()
        self._members: dict[int, Sequence[int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, unit: Unit, ids: Sequence[int]) -> None:
        """Take in a unit of which ``ids`` are to be relaxed, whose deaths before count."""
        # A range takes no memory for each structure.
        self._members[unit.number] = ids if isinstance(ids, range) else tuple(ids)
        died = self.deaths.units[unit.number]
        if died >= SUSPECT:
            suspects = {i for i in ids if (unit.number, i) not in self.deaths.cleared}
            if suspects:
                self._look_at(unit, suspects)
                return
            self._times[unit.number], self.deaths.units[unit.number] = 1, died - SUSPECT
        self._push_unit(unit)

    def next(self) -> Task:
        """Take the next task out."""
        return heapq.heappop(self._waiting)[-1]

    def again(self, task: Task) -> None:
        """Put back a task that has not been done, and of which nobody has died."""
        self._push(task)

    def died(self, task: Task) -> tuple[int, ...]:
        """Take note of a process that has died of a task; return the structures that are lost."""
        unit = task.unit.number
        if not task.alone:
            self.deaths.units[unit] += 1
            self._push_unit(task.unit)
            return ()
        (id_,) = task.ids
        self.deaths.alone[unit, id_] += 1
        if self.deaths.alone[unit, id_] < SUSPECT:
            self._push(task)
            return ()
        self._members[unit] = tuple(i for i in self._members[unit] if i != id_)
        self._seen(task)
        return (id_,)

    def ended(self, task: Task) -> None:
        """Take note of a task that is done."""
        if task.alone:
            self._seen(task)
        else:
            self._forget(task.unit.number)

    def _push_unit(self, unit: Unit) -> None:
        ids = self._members[unit.number]
        if self.deaths.units[unit.number] >= SUSPECT:
            self._look_at(unit, set(ids))
        elif ids:
            self._push(Task(unit, ids))

    def _look_at(self, unit: Unit, suspects: set[int]) -> None:
        """Have ``suspects`` relaxed alone, for good if that has been done before."""
        self._times[unit.number] += 1
        self._looked_at[unit.number] = set(suspects)
        for id_ in suspects:
            self._push(Task(unit, (id_,), alone=True, counts=self._times[unit.number] > 1))

    def _seen(self, task: Task) -> None:
        """Take note that a structure has been looked at; after the last one, its unit is relaxed again."""
        unit = task.unit.number
        left = self._looked_at[unit]
        left.discard(task.ids[0])
        if left:
            return
        del self._looked_at[unit]
        if task.counts or not self._members[unit]:
            self._forget(unit)
            return
        self.deaths.units[unit] = 0
        self._push(Task(task.unit, self._members[unit]))

    def _forget(self, unit: int) -> None:
        self._members.pop(unit, None)
        self._times.pop(unit, None)

    def _push(self, task: Task) -> None:
        key = (-task.unit.cost, task.unit.number, task.ids[0])
        heapq.heappush(self._waiting, (*key, task))
