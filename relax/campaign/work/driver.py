"""The driver of a campaign: hands out orders as workers become free, and notes what becomes of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from typing import Any

from relax.campaign.store.index import Index
from relax.campaign.store.lease import Lease, is_held
from relax.campaign.store.results import ResultsWriter, lost_line
from relax.campaign.store.rounds import Unit
from relax.campaign.work.limits import Limits
from relax.campaign.work.order import Order, Report
from relax.campaign.work.process import fill
from relax.campaign.work.queue import Queue, Task
from relax.core.errors import UsageError, one_line
from relax.core.process import Interrupts

__all__ = ["Driver"]

AHEAD = 2
"""Orders on their way for each worker: one that it fills, and one that waits."""

LOOK_EVERY = 1.0
"""Longest time between two looks at the clock and at signals, s."""

MOST_DEATHS = 25
"""Deaths of processes, without an order filled between them, after which something else must be wrong."""

MARGIN = 1.5
"""How much longer than expected an order may take that is handed out before the time is up."""


class Driver:
    """Hands out the units of a campaign to the workers of an engine.

    Parameters
    ----------
    index
        The index of the campaign.
    lease
        The right to drive it.
    executor
        The engine.
    workers
        Returns how many workers the engine has at the moment.
    limits
        What it keeps to.
    interrupts
        The signals that tell it to stop.
    told
        Is called now and then, such as to show how things stand.
    """

    def __init__(
        self,
        index: Index,
        lease: Lease,
        executor: Executor,
        workers: Callable[[], int],
        limits: Limits,
        interrupts: Interrupts,
        told: Callable[[], None] | None = None,
    ) -> None:
        self.index, self.lease, self.executor, self.workers = index, lease, executor, workers
        self.limits, self.interrupts, self.told = limits, interrupts, told
        self.queue = Queue(index.deaths())
        self._flying: dict[Future[Any], Task] = {}
        self._known: set[int] = set()
        self._changes = index.changes()
        self._writer: ResultsWriter | None = None
        self._fault, self._deaths = "", 0
        self._cost, self._seconds = 0.0, 0.0
        self._stop_at = float("inf")

    def run(self) -> int | None:
        """Hand out all units, until there are none left or the driver is told to stop.

        Returns
        -------
        int or None
            The number of the signal that has told it to stop; 0 where its time was up; None where it is done.

        Raises
        ------
        UsageError
            The engine does not work, or a worker cannot go on: no calculator, no room on the disk.
        """
        told_by: int | None = None
        self._find_units()
        with self.interrupts.held():
            while self._flying or (self.queue and not self.stopping):
                try:
                    with self.interrupts.allowed():
                        wait(self._flying, LOOK_EVERY if self._flying else 0, FIRST_COMPLETED)
                except KeyboardInterrupt as stop:
                    if self.stopping:
                        break
                    told_by = stop.args[0] if stop.args else 2
                    self._stop()
                self._take_ended()
                if time.monotonic() > self.limits.until - self.limits.grace and not self.stopping:
                    told_by = 0
                    self._stop()
                if time.monotonic() > self._stop_at:
                    break
                if not self.stopping:
                    self._hand_out()
                if self.queue and not self._flying and not self.stopping:
                    told_by = 0  # nothing of what is left would be done in time
                    break
                if self.told:
                    self.told()
        if self._writer:
            self._writer.close()
        if self._fault:
            raise UsageError(self._fault)
        return told_by

    @property
    def stopping(self) -> bool:
        """Whether no more orders are handed out."""
        return self._stop_at < float("inf")

    def _stop(self, fault: str = "") -> None:
        """Hand out no more orders, and have the workers give back theirs."""
        self._fault = self._fault or fault
        self._stop_at = time.monotonic() + self.limits.grace
        self.lease.stop()
        for future in self._flying:
            future.cancel()

    def _find_units(self) -> None:
        """Take in the units that are to be done; some may have been added."""
        self.index.catch_up()
        part, parts = self.limits.shard
        for unit in self.index.units():
            if unit.number % parts == part and unit.number not in self._known:
                self._known.add(unit.number)
                lost = self.index.lost(unit)
                self.queue.add(unit, [i for i in unit.ids if i not in lost] if lost else unit.ids)
        self._changes = self.index.changes()

    def _hand_out(self) -> None:
        """Send orders to the engine as long as it has room, and there is time."""
        if not is_held(self.lease.path, self.lease.token):
            self._stop("another driver has taken over this campaign")
            return
        if not self.queue and not self._flying:
            self._find_units()
        while self.queue and len(self._flying) < AHEAD * max(self.workers(), 1):
            task = self.queue.next()
            if not self._fits(task.unit):
                self.queue.again(task)
                return
            try:
                future = self.executor.submit(fill, self._order(task).to_plain())
            except Exception as error:  # whatever an engine raises that has ended
                self.queue.again(task)
                self._stop(f"the engine takes no more orders: {one_line(error)}")
                return
            self._flying[future] = task

    def _fits(self, unit: Unit) -> bool:
        """Return whether a unit may be done before the time is up."""
        expected = unit.cost * self._seconds / self._cost if self._cost else 0.0
        return time.monotonic() + MARGIN * expected < self.limits.until - self.limits.grace

    def _order(self, task: Task) -> Order:
        missing = self.index.missing(task.unit) if len(task.ids) > 1 else list(task.ids)
        return Order(
            str(self.index.folder.path), self.lease.name, self.lease.token, task.unit.number,
            task.unit.round, self.index.places(list(task.ids)), missing, task.alone, task.counts,
            self._changes.get(task.unit.round, {}), self.limits.call_limit, self.limits.threads,
            self.index.folder.made_in,
        )  # fmt: skip

    def _take_ended(self) -> None:
        for future in [future for future in self._flying if future.done()]:
            task, report = self._flying.pop(future), _report(future)
            if report.kind == "ended":
                self._deaths = 0
                self._cost += task.unit.cost * len(task.ids) / len(task.unit.ids)
                self._seconds += report.seconds
                self.queue.ended(task)
            elif report.kind in ("died", "lost"):
                self._take_death(task, report)
            else:
                self.queue.again(task)
                if report.kind == "fault" and not self.stopping:
                    self._stop(report.words)

    def _take_death(self, task: Task, report: Report) -> None:
        self._deaths += 1
        if self._deaths >= MOST_DEATHS and not self.stopping:
            self._stop(
                f"{self._deaths} processes in a row have died; of the last one is known: {report.words}"
            )
        self.index.catch_up()
        if report.kind == "lost" and not self._has_begun(task):
            self.queue.again(task)
            return
        for id_ in self.queue.died(task):
            if self._writer is None:
                self._writer = ResultsWriter(self.index.folder)
            with contextlib.suppress(StopIteration):
                given = next(self.index.given([id_]))
                self._writer.add([lost_line(id_, task.unit.round, given["digest"], report.words)])

    def _has_begun(self, task: Task) -> bool:
        """Return whether a process has begun with a task, and that is not among the deaths that are known."""
        now, known = self.index.deaths(), self.queue.deaths
        if task.alone:
            key = task.unit.number, task.ids[0]
            return now.alone[key] > known.alone[key]
        return now.units[task.unit.number] > known.units[task.unit.number]


def _report(future: Future[Any]) -> Report:
    """Return what has become of an order; ``lost`` is one that the engine does not know of."""
    try:
        return Report(**future.result())
    except CancelledError:
        return Report("back")
    except ImportError as error:
        return Report("fault", f"the workers of the engine cannot load relax: {one_line(error)}")
    except Exception as error:
        return Report("lost", f"the engine has lost the worker: {one_line(error)}")
