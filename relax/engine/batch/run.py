"""The loop around one potential and one rule, in which structures come and go."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms

from relax.calculators.base import Aimed, Evaluation, Potential
from relax.calculators.batch_size import PROBED
from relax.core.errors import UsageError
from relax.core.rule import Rule
from relax.core.settings import Criteria
from relax.engine.batch.beside import Beside
from relax.engine.batch.calls import BatchCalls
from relax.engine.batch.monitor import Monitor, standings
from relax.engine.coordinates import BatchCoordinates
from relax.engine.entries import Entry, Intake, Relaxed
from relax.engine.history import BatchSanity
from relax.engine.relaxation import Policy, Relaxation
from relax.engine.termination import Stops

__all__ = ["BatchRun"]


class BatchRun:
    """The loop around one potential and one rule.

    Parameters
    ----------
    potential, rule, criteria, policy
        What computes, how steps are made, when a structure has ended, and what is done where one goes wrong.
    intake
        What is done to structures before they enter.
    budget, batch_size
        How much the potential evaluates at once, and how many structures are relaxed at a time, see
        :func:`~relax.engine.api.relax_many`.
    monitor
        What is done beside it.
    beside
        What the rule may learn from beside the potential.

    Attributes
    ----------
    relaxation
        The structures that are being relaxed; None where there are none.
    """

    def __init__(
        self,
        potential: Potential,
        rule: Rule,
        criteria: Criteria,
        policy: Policy,
        intake: Intake,
        budget: float | None = None,
        batch_size: int | None = None,
        monitor: Monitor | None = None,
        beside: Beside = Beside(),  # noqa: B008 - it is frozen
    ) -> None:
        self.potential, self.rule, self.criteria, self.policy = potential, rule, criteria, policy
        criteria.check_cell(intake.relaxes_cells)
        if isinstance(potential, Aimed):
            potential.aim(criteria.fmax)
        self.intake, self.calls = intake, BatchCalls(potential, budget, criteria.timeout, intake.stress)
        self.monitor, self.beside = monitor or Monitor(), beside
        # Where one structure waits for another, an interruption should find as few as possible begun.
        self.most = batch_size or (math.inf if potential.batched else 1)
        self.relaxation: Relaxation[Entry] | None = None
        self.coordinates: BatchCoordinates
        self.sanity: BatchSanity
        self._arrivals: list[Entry] = []
        self._next: Entry | None = None

    @property
    def entries(self) -> list[Entry]:
        """The structures that are being relaxed."""
        return [] if self.relaxation is None else self.relaxation.entries

    @property
    def _taken(self) -> list[Entry]:
        """The structures that were taken and are not in the batch yet."""
        return [*self._arrivals, *([self._next] if self._next else [])]

    @property
    def active(self) -> int:
        """The number of structures that are being relaxed."""
        return len(self.entries)

    def run(self, structures: Iterable[Atoms]) -> Iterator[Relaxed]:
        """Relax ``structures``, and yield each as it ends; after an interruption, those that have begun."""
        source = enumerate(structures)
        self.relaxation, self._arrivals, self._next, self._whole = None, [], None, True
        try:
            while True:
                for entered in self._enter(source, sum(entry.size for entry in self.entries)):
                    if isinstance(entered, Relaxed):
                        yield entered
                    else:
                        self._arrivals.append(entered)
                if self._arrivals:
                    arrivals, self._arrivals = self._arrivals, []
                    self._join(arrivals)
                if not self.entries:
                    return
                yield from self._round()
        except (KeyboardInterrupt, UsageError):
            if self._whole:
                if self._taken:
                    self._join(self._taken)
                    self._arrivals, self._next = [], None
                yield from self._interrupted()
            raise
        finally:
            for entry in [*self.entries, *self._taken]:
                self._release(entry)
            self.relaxation, self._arrivals, self._next = None, [], None

    def _enter(self, source: Iterator[tuple[int, Atoms]], filled: float) -> Iterator[Entry | Relaxed]:
        """Yield entries until the batch is full, and the results of what cannot become one."""
        count, budget = len(self.entries), self.calls.budget
        while filled < budget.room and count < self.most:
            if self._next is None:
                with self.monitor.interruptible():
                    following = next(source, None)
                if following is None:
                    return
                entered = self.intake.accept(*following, self.potential)
                if isinstance(entered, Relaxed):
                    yield entered
                    continue
                self._next = entered
                assert entered.start is not None
                with self.monitor.interruptible():
                    self.beside.begin(entered.start, self.criteria.fmax)
            if filled and filled + self._next.size > budget.room:
                return
            filled += self._next.size
            entry, self._next = self._next, None
            yield entry
            count += 1
            if budget.to_probe and count >= PROBED:
                return

    def _join(self, arrivals: list[Entry]) -> None:
        coordinates = BatchCoordinates([entry.start for entry in arrivals if entry.start is not None])
        sanity = BatchSanity(coordinates, [entry.sanity for entry in arrivals if entry.sanity is not None])
        joining = Relaxation(self.rule, self.criteria, self.policy, coordinates, sanity, arrivals)
        if self.relaxation is not None:
            self.relaxation.join(joining)
            self.sanity.extend(sanity)
            self.coordinates.extend(coordinates)
        else:
            self.relaxation, self.coordinates, self.sanity = joining, coordinates, sanity
        self.sizes = np.array([entry.size for entry in self.entries])

    def _round(self) -> Iterator[Relaxed]:
        """Make a force call and a step for each structure."""
        assert self.relaxation is not None
        began, shares = time.perf_counter(), self.sizes / self.sizes.sum()
        relaxation, record, c = self.relaxation, self.relaxation.history.record, self.coordinates
        with self.monitor.interruptible():
            evaluation, calls = self.calls.evaluate(c, self.sizes, relaxation.history)
        self._whole = False
        record.wall += self.calls.seconds
        began += self.calls.seconds.sum()
        self._judge(evaluation, calls)
        stops = relaxation.advance()
        record.wall += shares * (time.perf_counter() - began)
        left = self._leave() if stops else []
        self._whole = True
        yield from left

    def _judge(self, evaluation: Evaluation, calls: np.ndarray) -> Stops:
        """Take in what was computed, in ``calls`` (S,) force calls; return the structures that have ended."""
        assert self.relaxation is not None
        self.relaxation.observe(evaluation, calls)
        if self.monitor.follows:
            for standing in standings(self.relaxation):
                self.monitor.follow(standing)
        return self.relaxation.finish()

    def _interrupted(self) -> list[Relaxed]:
        """Return the structures that are being relaxed, each where it was last good."""
        if self.relaxation is None:
            return []
        steps = self.relaxation.history.record.steps
        self.relaxation.stops = {
            s: ("interrupted", f"stopped from outside after {steps[s]} steps") for s in range(len(steps))
        }
        return self._leave()

    def _release(self, entry: Entry) -> None:
        """Let the potentials forget a structure."""
        assert entry.start is not None
        self.potential.release(entry.start.key)
        if entry.start.surface is not None:
            entry.start.surface.release()

    def _leave(self) -> list[Relaxed]:
        """Take the structures that have ended out of the batch, and return them."""
        assert self.relaxation is not None
        coordinates, relaxation = self.coordinates, self.relaxation
        stops, history = relaxation.stops, relaxation.history
        relaxation.put_back()
        leaving = [self.entries[s].leave(coordinates, history, s, stop) for s, stop in sorted(stops.items())]
        stays = np.ones(len(coordinates), bool)
        stays[list(stops)] = False
        for entry, stay in zip(self.entries, stays, strict=True):
            if not stay:
                self._release(entry)
        if stays.any():
            relaxation.keep(stays)
            self.sanity.take(stays[coordinates.owner], stays)
            coordinates.take(stays)
            self.sizes = self.sizes[stays]
        else:
            self.relaxation = None
        return leaving
