"""What is said of each structure of a batch after a force call: go on, or how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relax.calculators.base import Evaluation
from relax.core.result import LARGEST, Status
from relax.core.settings import ABOVE_START, LOOK_EVERY, STALL, UPHILL, Criteria
from relax.engine.coordinates import Batch, Gradients
from relax.engine.history import History, Snapshot
from relax.geometry.sanity import Integrity

__all__ = ["Jury", "Verdicts"]

Verdicts = dict[int, tuple[Status, str]]
"""Structures that have ended, by their place in the batch: how, and in words why."""


class Jury:
    """Judges structures as :class:`relax.optimizers.watch.Watch` and ``RuleOptimizer`` do one.

    Parameters
    ----------
    criteria
        When a relaxation is over.
    downhill
        Whether the energy is to fall.
    patient
        Whether one step far uphill is let pass, for the rule to undo it.
    """

    def __init__(self, criteria: Criteria, downhill: bool, patient: bool = False) -> None:
        self.criteria, self.downhill, self.patient = criteria, downhill, patient

    def judge(
        self,
        batch: Batch,
        integrity: Sequence[Integrity],
        history: History,
        answer: Evaluation,
        probed: np.ndarray,
    ) -> tuple[Verdicts, Gradients]:
        """Return which structures have ended, and the gradient; take note of the rest in ``history``.

        Of those that are ``probed`` (S,), beside where they have converged, note is taken only of what ends
        them.  The numbers of ``answer`` that cannot be reckoned with become zeros.
        """
        verdicts = self._senseless(batch, answer)
        record, natoms = history.record, batch.fixed.lengths
        value = batch.values(answer)
        slopes = batch.slopes(answer.forces, answer.stresses)
        now = Snapshot(
            batch.place.x, batch.place.strain, batch.place.reference,
            answer.forces, answer.stresses, value, slopes.fmax, slopes.smax,
        )  # fmt: skip

        new = np.isnan(history.whole.value)
        left = ~probed & self._mask(batch, without=verdicts)
        _put(history.whole, now, batch, left & new)
        for s in np.flatnonzero(left & (record.way(batch) > LOOK_EVERY)):
            self._look(int(s), batch, integrity, history, now, verdicts)
        left = ~probed & self._mask(batch, without=verdicts)
        record.first = np.where(left & np.isnan(record.first), value, record.first)
        limit = record.first + UPHILL * natoms
        far = value > limit
        if self.patient:
            far &= record.before > limit
        for s in np.flatnonzero(left & far):
            self._uphill(int(s), value, record.first, natoms, UPHILL, verdicts)

        left = ~probed & self._mask(batch, without=verdicts)
        _put(history.good, now, batch, left)
        lower = np.isnan(history.lowest.value) | (value <= history.lowest.value)
        _put(history.lowest, now, batch, left & lower)
        self._finish(batch, integrity, history, now, slopes, left, verdicts)
        return verdicts, slopes

    def _finish(
        self,
        batch: Batch,
        integrity: Sequence[Integrity],
        history: History,
        now: Snapshot,
        slopes: Gradients,
        left: np.ndarray,
        verdicts: Verdicts,
    ) -> None:
        criteria, record, natoms = self.criteria, history.record, batch.fixed.lengths
        converged = left & self._met(batch, history, now, slopes)
        stalled = left & ~converged & (record.still >= STALL[1])
        last = left & ~converged & (record.steps >= criteria.steps)
        for s in map(int, np.flatnonzero(converged | stalled | last)):
            self._look(s, batch, integrity, history, now, verdicts)
            if converged[s]:
                self._uphill(s, now.value, record.first, natoms, ABOVE_START, verdicts)
            if s not in verdicts:
                verdicts[s] = self._end(s, converged[s], stalled[s], batch, record.steps[s], slopes)
        late = record.wall > (np.inf if criteria.timeout is None else criteria.timeout)
        for s in map(int, np.flatnonzero(late)):
            verdicts.setdefault(s, ("timeout", f"its share of the time was up: {record.wall[s]:.3g} s"))

    def _end(
        self, s: int, converged: bool, stalled: bool, batch: Batch, steps: int, slopes: Gradients
    ) -> tuple[Status, str]:
        relaxes = batch.fixed.relaxes[s]
        if converged:
            stress = f", residual stress {slopes.smax[s]:.3g} GPa" if relaxes else ""
            return "converged", f"no force above {self.criteria.fmax} eV/A{stress}"
        if stalled:
            return "stalled", "{1} steps below {0} A".format(*STALL)
        stress = f", stress {slopes.smax[s]:.3g} GPa" if relaxes else ""
        return "max_steps", f"fmax is {slopes.fmax[s]:.4g} eV/A{stress} after {steps} steps"

    def _met(self, batch: Batch, history: History, now: Snapshot, slopes: Gradients) -> np.ndarray:
        """Return which structures (S,) meet the criteria."""
        criteria, record = self.criteria, history.record
        if criteria.smax is None:
            met = (slopes.fmax <= criteria.fmax) & (slopes.implied <= criteria.fmax)
        else:
            met = (slopes.fmax <= criteria.fmax) & ~(slopes.smax > criteria.smax)
        if np.isfinite([criteria.energy_change, criteria.displacement]).any():
            change = np.abs(now.value - record.before) / batch.fixed.lengths
            met &= (change <= criteria.energy_change) & (record.moved <= criteria.displacement)
        return np.asarray(met)

    def _look(
        self,
        s: int,
        batch: Batch,
        integrity: Sequence[Integrity],
        history: History,
        now: Snapshot,
        verdicts: Verdicts,
    ) -> None:
        """Look whether structure ``s`` hangs together."""
        fault = integrity[s].fault(batch.shape(s))
        if fault is not None:
            verdicts[s] = fault
            return
        history.record.look(s, batch.slice(s), integrity[s])
        # What is about to fly apart still hangs together, but is no place to go back to.
        if not (self.downhill and now.value[s] > history.whole.value[s]):
            only = np.zeros(len(batch), bool)
            only[s] = True
            _put(history.whole, now, batch, only)

    def _uphill(
        self,
        s: int,
        value: np.ndarray,
        first: np.ndarray,
        natoms: np.ndarray,
        limit: float,
        verdicts: Verdicts,
    ) -> None:
        rise = (value[s] - first[s]) / natoms[s]
        if self.downhill and rise > limit:
            verdicts.setdefault(s, ("uphill", f"the energy is {rise:.3g} eV/atom above that of the start"))

    @staticmethod
    def _mask(batch: Batch, without: Verdicts) -> np.ndarray:
        left = np.ones(len(batch), bool)
        left[list(without)] = False
        return left

    @staticmethod
    def _senseless(batch: Batch, answer: Evaluation) -> Verdicts:
        """Return the verdicts on structures of which nothing can be said, and put zeros in their place."""
        verdicts: Verdicts = {s: ("calculator_error", words) for s, words in answer.faults.items()}
        relaxes = batch.fixed.relaxes
        stresses = ~(np.abs(answer.stresses) < LARGEST).all(axis=(1, 2)) & relaxes
        forces = ~(np.abs(answer.forces) < LARGEST)
        of_structure = np.logical_or.reduceat(forces.any(axis=1), batch.firsts)
        energies = ~(np.abs(answer.energies) < LARGEST)
        for s in map(int, np.flatnonzero(stresses | of_structure | energies)):
            mine = batch.slice(s)
            if stresses[s]:
                bad = answer.stresses[s][~(np.abs(answer.stresses[s]) < LARGEST)][0]
                words = f"a component of the stress is {bad}"
            elif of_structure[s]:
                row, component = np.argwhere(forces[mine])[0]
                words = f"the force on row {row} is {answer.forces[mine][row, component]}"
            else:
                words = f"the energy is {answer.energies[s]} eV"
            verdicts.setdefault(s, ("nonfinite", words))
        for s in verdicts:
            answer.energies[s], answer.forces[batch.slice(s)], answer.stresses[s] = 0.0, 0.0, 0.0
        return verdicts


def _put(snapshot: Snapshot, now: Snapshot, batch: Batch, which: np.ndarray) -> None:
    if which.any():
        snapshot.put(now, which[batch.owner], which)
