"""The stop criteria: whether a structure goes on after a force call, or how it has ended."""

from __future__ import annotations

import numpy as np

from relax.calculators.base import Evaluation
from relax.core.result import LARGEST, Stop
from relax.core.settings import ABOVE_START, LOOK_EVERY, STALL, UPHILL, Criteria
from relax.engine.arrays import Coordinates, Gradients
from relax.engine.history import History, Sanity, Snapshot

__all__ = ["StopChecks", "Stops", "remove_nonfinite"]

Stops = dict[int, Stop]
"""Structures that have ended, by their place in the batch."""


class StopChecks:
    """The checks of a round, in two parts: of what was computed, and of whether that is the end.

    Parameters
    ----------
    coordinates, sanity, history
        The structures; without ``sanity`` checks none is stopped for coming apart.
    criteria
        When a relaxation is over.
    downhill
        Whether the energy is to fall.
    patient
        Whether one step far uphill is let pass, for the rule to take it back.
    """

    def __init__(
        self,
        coordinates: Coordinates,
        sanity: Sanity | None,
        history: History,
        criteria: Criteria,
        downhill: bool,
        patient: bool,
    ) -> None:
        self.coordinates, self.sanity, self.history = coordinates, sanity, history
        self.criteria, self.downhill, self.patient = criteria, downhill, patient

    def observe(
        self,
        evaluation: Evaluation,
        value: np.ndarray,
        gradients: Gradients,
        probed: np.ndarray,
        stops: Stops,
    ) -> None:
        """Add to ``stops`` the structures that came apart or ran uphill, and remember the others.

        Of those that are ``probed`` (S,), beside where they have converged, nothing is remembered.
        """
        c, history, record = self.coordinates, self.history, self.history.record
        self.now = Snapshot(
            c.place, evaluation.forces, evaluation.stresses, value, gradients.fmax, gradients.smax
        )
        self.gradients = gradients
        left = ~probed & self._mask(stops)
        self._put(history.whole, left & np.isnan(history.whole.value))
        if self.sanity is not None:
            for s in np.flatnonzero(left & (self.sanity.moved() > LOOK_EVERY)):
                self._check_sanity(int(s), stops)
        left = ~probed & self._mask(stops)
        record.energy_initial = np.where(left & np.isnan(record.energy_initial), value, record.energy_initial)
        limit = record.energy_initial + UPHILL * c.natoms
        far = value > limit
        if self.patient:
            far &= record.energy_previous > limit
        far &= ~record.by_forces
        for s in np.flatnonzero(left & far):
            self._check_uphill(int(s), UPHILL, stops)
        self.left = ~probed & self._mask(stops)
        self._put(history.good, self.left)
        lower = np.isnan(history.lowest.value) | (value <= history.lowest.value)
        self._put(history.lowest, self.left & lower)

    def finish(self, stops: Stops) -> None:
        """Add to ``stops`` the structures that have converged, stalled, or taken all their steps or time."""
        criteria, record = self.criteria, self.history.record
        converged = self.left & self.met()
        stalled = self.left & ~converged & (record.n_small_steps >= STALL[1])
        last = self.left & ~converged & (record.steps >= criteria.steps)
        for s in map(int, np.flatnonzero(converged | stalled | last)):
            if s in stops:
                continue
            self._check_sanity(s, stops)
            if converged[s]:
                self._check_uphill(s, ABOVE_START, stops)
            if s in stops:
                continue
            if converged[s]:
                stops[s] = "converged", self.converged_words(s)
            elif stalled[s]:
                stops[s] = "stalled", "{1} steps below {0} A".format(*STALL)
            else:
                stops[s] = self.max_steps(s, self.now)
        if criteria.timeout is not None:
            for s in map(int, np.flatnonzero(record.wall > criteria.timeout)):
                words = f"the time attributed to it was up: {record.wall[s]:.3g} s"
                stops.setdefault(s, ("timeout", words))

    def met(self, fmax: np.ndarray | None = None) -> np.ndarray:
        """Return which structures (S,) meet the criteria, with their own longest forces or ``fmax`` (S,)."""
        criteria, record, gradients = self.criteria, self.history.record, self.gradients
        met = (gradients.fmax if fmax is None else fmax) <= criteria.fmax
        if criteria.smax is None:
            met &= gradients.implied <= criteria.fmax
        else:
            met &= ~(self.coordinates.relaxes & (gradients.smax > criteria.smax))
        if np.isfinite(criteria.fnorm):
            rows = gradients.g[self.coordinates.rows[0]]
            squares = np.add.reduceat((rows * rows).sum(axis=1), self.coordinates.firsts)
            met &= np.sqrt(squares) <= criteria.fnorm
        if np.isfinite([criteria.energy_change, criteria.displacement]).any():
            change = np.abs(self.now.value - record.energy_previous) / self.coordinates.natoms
            met &= (change <= criteria.energy_change) & (record.moved <= criteria.displacement)
        return np.asarray(met)

    def converged_words(self, s: int) -> str:
        """Return in words how structure ``s`` has converged."""
        if self.coordinates.is_held(s):
            return "nothing is free to move: all atoms are fixed"
        relaxes = self.coordinates.relaxes[s]
        stress = f", residual stress {self.gradients.smax[s]:.3g} GPa" if relaxes else ""
        return f"no force above {self.criteria.fmax} eV/A{stress}"

    def max_steps(self, s: int, at: Snapshot) -> Stop:
        """Return that structure ``s``, which is where it is in ``at``, has taken all its steps."""
        stress = f", stress {at.smax[s]:.3g} GPa" if np.isfinite(at.smax[s]) else ""
        steps = self.history.record.steps[s]
        return "max_steps", f"fmax is {at.fmax[s]:.4g} eV/A{stress} after {steps} steps"

    def _check_sanity(self, s: int, stops: Stops) -> None:
        fault = None if self.sanity is None else self.sanity.fault(s)
        if fault is not None:
            stops[s] = fault
        # What is about to fly apart still hangs together, but is no place to go back to.
        elif not (self.downhill and self.now.value[s] > self.history.whole.value[s]):
            self._put(self.history.whole, np.arange(len(self.coordinates)) == s)

    def _check_uphill(self, s: int, limit: float, stops: Stops) -> None:
        """Stop structure ``s`` where its energy is more than ``limit``, eV/atom, above that of the start."""
        start = self.history.record.energy_initial[s]
        rise = (self.now.value[s] - start) / self.coordinates.natoms[s]
        downhill = self.downhill and not self.history.record.by_forces[s]
        if downhill and rise > limit:
            stops.setdefault(s, ("uphill", f"the energy is {rise:.3g} eV/atom above that of the start"))

    def _mask(self, without: Stops) -> np.ndarray:
        left = np.ones(len(self.coordinates), bool)
        left[list(without)] = False
        return left

    def _put(self, snapshot: Snapshot, which: np.ndarray) -> None:
        if which.any():
            snapshot.put(self.now, which[self.coordinates.owner], which)


def remove_nonfinite(c: Coordinates, evaluation: Evaluation) -> Stops:
    """Return the structures with a fault or a number that is not finite, and put zeros in place of theirs."""
    stops: Stops = {s: ("timeout", words) for s, words in evaluation.timeouts.items()}
    stops |= {s: ("calculator_error", words) for s, words in evaluation.faults.items()}
    stresses = ~(np.abs(evaluation.stresses) < LARGEST).all(axis=(1, 2)) & c.relaxes
    forces = ~(np.abs(evaluation.forces) < LARGEST)
    of_structure = np.logical_or.reduceat(forces.any(axis=1), c.firsts)
    energies = ~(np.abs(evaluation.energies) < LARGEST)
    for s in map(int, np.flatnonzero(stresses | of_structure | energies)):
        mine = c.slice(s)
        if stresses[s]:
            bad = evaluation.stresses[s][~(np.abs(evaluation.stresses[s]) < LARGEST)][0]
            words = f"a component of the stress is {bad}"
        elif of_structure[s]:
            row, component = np.argwhere(forces[mine])[0]
            words = f"the force on row {row} is {evaluation.forces[mine][row, component]}"
        else:
            words = f"the energy is {evaluation.energies[s]} eV"
        stops.setdefault(s, ("nonfinite", words))
    for s in stops:
        evaluation.energies[s], evaluation.forces[c.slice(s)], evaluation.stresses[s] = 0.0, 0.0, 0.0
    return stops
