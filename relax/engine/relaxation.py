"""The engine: it relaxes structures, one force call and one step at a time.

It calls no calculator.  Whoever drives it evaluates the structures where they are::

    relaxation = Relaxation(rule, criteria, policy, coordinates, sanity, entries)
    while not done:
        relaxation.observe(what is computed at relaxation.coordinates, calls)
        stops = relaxation.finish()
        relaxation.advance()
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from relax.calculators.base import Evaluation
from relax.core import state as states
from relax.core.result import Stop
from relax.core.rule import Point, Rule
from relax.core.settings import BACKTRACKS, RECOVERABLE, Criteria
from relax.core.state import State
from relax.engine.arrays import Coordinates, Gradients
from relax.engine.history import History, Sanity
from relax.engine.minima.check import MinimumChecks, ProbeSteps
from relax.engine.minima.duplicates import Drawn, stop_duplicates
from relax.engine.minima.minimum_check import MinimumCheck, tightened
from relax.engine.termination import StopChecks, Stops, remove_nonfinite
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.wrappers import innermost, is_ascent

__all__ = ["Policy", "Relaxation"]

LOG = logging.getLogger(__name__)

E = TypeVar("E", bound=Drawn)


@dataclass(frozen=True)
class Policy:
    """What is done where a run goes wrong, or has converged.

    Parameters
    ----------
    backtrack
        Whether a run that went wrong goes back to its last good structure, and on with half the step.
    check
        How minima are checked; None where they are not.
    escape
        Whether a run steps off a saddle point that the check finds.
    guard
        Whether a structure that comes apart or whose energy runs away is stopped.  Benchmarks of rules
        may want to see where a rule goes by itself.
    """

    backtrack: bool = False
    check: MinimumCheck | None = None
    escape: bool = False
    guard: bool = True


class Relaxation(Generic[E]):
    """Structures that relax together by one rule.

    Parameters
    ----------
    rule
        The update rule as it is to be followed, see :func:`relax.rules.wrappers.for_atoms`.
    criteria
        When a relaxation is over.
    policy
        What is done where it goes wrong.
    coordinates, sanity, entries
        The structures: their rows, their sanity checks if there are any, and what else belongs to each.

    Attributes
    ----------
    stops
        Structures that have ended in this round, by their place, until they are removed.
    went_back
        Structures that went back to a good structure in this round, and why.
    """

    def __init__(
        self,
        rule: Rule,
        criteria: Criteria,
        policy: Policy,
        coordinates: Coordinates,
        sanity: Sanity | None,
        entries: Sequence[E],
    ) -> None:
        self.rule, self.policy = rule, policy
        self.coordinates, self.sanity, self.entries = coordinates, sanity, list(entries)
        self.history = History(coordinates)
        self.state: State | None = None
        self.stops: Stops
        self.went_back: Stops
        self.begin(criteria)

    def begin(self, criteria: Criteria) -> None:
        """Begin a run: the start, and what went wrong, count from here, and steps from the first run."""
        self.criteria = criteria = tightened(criteria, self.policy.check)
        self.stops, self.went_back = {}, {}
        self.history.begin(BACKTRACKS if self.policy.backtrack else 0)
        for entry in self.entries:
            entry.search, entry.escapes = None, 0
        sanity, patient = self.sanity if self.policy.guard else None, innermost(self.rule).takes_back_steps
        downhill = self.policy.guard and not is_ascent(self.rule)
        self.checks = StopChecks(self.coordinates, sanity, self.history, criteria, downhill, patient)
        self.minimum: MinimumChecks | None = None
        if self.policy.check is not None:
            stiffness = self.rule.stiffness or PairStiffness()
            self.minimum = MinimumChecks(self.policy.check, self.policy.escape, stiffness, criteria.steps)
        self.steps = ProbeSteps.none(self.coordinates)

    def join(self, others: Relaxation[E]) -> None:
        """Take in the structures of ``others``, which the coordinates and sanity checks already hold."""
        self.history.extend(others.history)
        if self.state is not None:
            self.state = states.concat([self.state, self.rule.init(others.coordinates.x)])
        self.entries += others.entries

    def keep(self, stays: np.ndarray) -> None:
        """Keep the structures in the mask ``stays`` (S,), before the coordinates do."""
        if self.state is not None:
            self.state = states.take(self.state, stays[self.coordinates.seg.owner])
        self.history.take(stays[self.coordinates.owner], stays)
        self.entries = [entry for entry, stay in zip(self.entries, stays, strict=True) if stay]
        self.stops = {}

    @property
    def probed(self) -> np.ndarray:
        """Which structures (S,) are beside where they have converged, looking for the lowest curvature."""
        return np.array([entry.search is not None for entry in self.entries])

    def observe(self, evaluation: Evaluation, calls: np.ndarray) -> Stops:
        """Take in what was computed for the structures where they are, in ``calls`` (S,) force calls.

        Returns the structures that went wrong.  Numbers of ``evaluation`` that are not finite become zeros.
        """
        c = self.coordinates
        self.went_back = {}
        self.stops = remove_nonfinite(c, evaluation)
        self.evaluation, self.values = evaluation, c.values(evaluation)
        self.gradients: Gradients = c.gradients(evaluation.forces, evaluation.stresses)
        self.history.record.calls += calls
        self.checks.observe(evaluation, self.values, self.gradients, self.probed, self.stops)
        return self.stops

    def finish(self) -> Stops:
        """Return the structures that have ended; what can go on elsewhere, or with shorter steps, does."""
        self.checks.finish(self.stops)
        stop_duplicates(self.coordinates, self.entries, self.values, self.stops)
        self.steps = ProbeSteps.none(self.coordinates)
        if self.minimum is not None:
            self.steps = self.minimum.settle(
                self.coordinates, self.entries, self.history, self.gradients, self.values, self.stops
            )
        if self._go_back(self.stops):
            self.gradients = self.coordinates.gradients(self.evaluation.forces, self.evaluation.stresses)
        return self.stops

    def advance(self) -> Stops:
        """Take a step with every structure that goes on, and return those that cannot."""
        c, record, seg = self.coordinates, self.history.record, self.coordinates.seg
        if self.state is None:
            self.state = self.rule.init(c.x)
        far = c.far & ~self.steps.which
        if far.any():
            c.rebase(far)
            self.gradients = c.gradients(self.evaluation.forces, self.evaluation.stresses)
            self.restart_rule(far)
        x, g, values = c.x, self.gradients.g, self.values[seg.owner][:, None]
        metric = None
        if (model := self.rule.stiffness) is not None:
            g = c.without_drift(g, self.criteria.fmax)
            metric = c.metric(model, g=g)
        point = Point(x, g, values, seg, metric, c.surfaces, c.known)
        dx, self.state = self.rule.update(self.state, point)
        if "by_forces" in self.state:
            record.by_forces |= ~self.steps.which & (self.state["by_forces"][seg.starts, 0] > 0)
        dx = np.where(self.steps.which[seg.owner][:, None], 0.0, dx)
        astray = self._without_nonfinite_steps(dx)
        dx = np.where(astray[seg.owner][:, None], 0.0, dx)
        dx = record.step_scale[seg.owner][:, None] * c.limit(dx) + self.steps.dx
        c.move(dx)
        ended = np.isin(np.arange(len(c)), list(self.stops))
        self.history.note_step(c, dx, c.x - x, self.values, ended, astray | self.steps.which)
        if self.steps.pushed.any():
            self.restart_rule(self.steps.pushed)
        return self.stops

    def _without_nonfinite_steps(self, dx: np.ndarray) -> np.ndarray:
        """Stop the structures whose step ``dx`` (R, 3) is not finite, and return which (S,) they are."""
        seg = self.coordinates.seg
        astray = np.asarray(np.logical_or.reduceat(~np.isfinite(dx).all(axis=1), seg.starts))
        if astray.any():
            stop: Stop = ("nonfinite", "the rule's step is not finite")
            lost: Stops = {int(s): stop for s in np.flatnonzero(astray) if s not in self.stops}
            self._go_back(lost)
            self.stops |= lost
        return astray

    def _go_back(self, stops: Stops) -> bool:
        """Put what may go on with half steps to where it was last good, and take it out of ``stops``."""
        c, history, record = self.coordinates, self.history, self.history.record
        again = np.zeros(len(c), bool)
        for s, (status, reason) in list(stops.items()):
            last = history.last(status)
            if status not in RECOVERABLE or record.backtracks_left[s] == 0 or np.isnan(last.value[s]):
                continue
            again[s], mine = True, c.slice(s)
            c.put_back(last.place, np.arange(len(c)) == s)
            self.evaluation.forces[mine] = last.forces[mine]
            self.evaluation.stresses[s], self.values[s] = last.stresses[s], last.value[s]
            record.backtracks_left[s] -= 1
            record.step_scale[s] *= 0.5
            record.n_small_steps[s], record.moved[s] = 0, np.nan
            self.went_back[s] = status, reason
            LOG.info("a structure goes back, and on with half steps: %s: %s", status, reason)
            del stops[s]
            if record.steps[s] >= self.criteria.steps:
                stops[s] = self.checks.max_steps(s, last)
                history.good.put(last, c.owner == s, np.arange(len(c)) == s)
        if again.any():
            self.restart_rule(again)
        return bool(again.any())

    def restart_rule(self, which: np.ndarray) -> None:
        """Let the rule forget the structures in the mask ``which`` (S,), but for contradictory energies."""
        if self.state is not None:
            LOG.debug("the rule forgets what it knows of %d structures", which.sum())
            kept = {name: self.state[name] for name in ("by_forces",) if name in self.state}
            blank = self.rule.init(self.coordinates.x) | kept
            self.state = states.where(which[self.coordinates.seg.owner][:, None], blank, self.state)

    def put_back(self) -> None:
        """Put the structures that have ended to the last place that was good in the sense of their status."""
        c, history = self.coordinates, self.history
        for status in {status for status, _ in self.stops.values()}:
            which = np.zeros(len(c), bool)
            which[[s for s, (ended, _) in self.stops.items() if ended == status]] = True
            c.put_back(history.last(status).place, which)
