"""The minimum check in a batch: structures are probed where they have converged, and pushed off saddles."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relax.engine.arrays import Coordinates, Gradients
from relax.engine.history import History
from relax.engine.minima.lowest_mode import Probe
from relax.engine.minima.minimum_check import MinimumCheck
from relax.engine.minima.motions import rigid
from relax.engine.termination import Stops
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["MinimumChecks", "MinimumSearch", "ProbeSteps"]

LOG = logging.getLogger(__name__)


@dataclass
class MinimumSearch:
    """The search for the lowest curvature at a place where a structure has converged."""

    probe: Probe
    g: np.ndarray  # (R, 3) eV/A, the gradient there
    value: float  # eV, the energy or enthalpy there; NaN where steps are judged by forces alone
    reason: str  # in words, how it has converged

    def learn(self, g: np.ndarray, value: float) -> None:
        """Take in the gradient (R, 3), eV/A, and the energy or enthalpy, eV, where the probe has looked."""
        assert self.probe.direction is not None
        rise = value - self.value
        if math.isnan(rise):
            rise = 0.5 * float(((g + self.g) * self.probe.direction).sum())
        self.probe.learn(g - self.g, rise)


class Searched(Protocol):
    """A structure with what is known of the curvature where it is."""

    search: MinimumSearch | None
    escapes: int


@dataclass
class ProbeSteps:
    """What structures do in place of a step of the rule."""

    which: np.ndarray  # (S,) those that do
    pushed: np.ndarray  # (S,) those that leave a saddle
    dx: np.ndarray  # (R, 3) A, from where they have converged

    @classmethod
    def none(cls, coordinates: Coordinates) -> ProbeSteps:
        """Return that all structures follow the rule."""
        nobody = np.zeros(len(coordinates), bool)
        return cls(nobody, nobody.copy(), np.zeros((coordinates.seg.rows, 3)))


class MinimumChecks:
    """Looks for the lowest curvature where structures have converged, with one force call of each in a round.

    Parameters
    ----------
    check
        How.
    escape
        Whether saddles are left.
    stiffness
        What the metric is made of.
    steps
        Most steps of a structure: one that has taken them leaves no saddle any more.
    """

    def __init__(self, check: MinimumCheck, escape: bool, stiffness: PairStiffness, steps: int) -> None:
        self.check, self.escape, self.stiffness, self.steps = check, escape, stiffness, steps
        self.words = ""  # of the last saddle that was left

    def settle(
        self,
        coordinates: Coordinates,
        entries: Sequence[Searched],
        history: History,
        gradients: Gradients,
        values: np.ndarray,
        stops: Stops,
    ) -> ProbeSteps:
        """Take in what was computed for structures that are probed, and probe those that have just converged.

        The former are put back to where they have converged.  Those that go on are taken out of ``stops``,
        and the others get their status.

        Raises
        ------
        ValueError
            A structure has no model Hessian.
        """
        steps = ProbeSteps.none(coordinates)
        probed = np.array([entry.search is not None for entry in entries])
        for s in map(int, np.flatnonzero(probed)):
            search = entries[s].search
            assert search is not None
            if s in stops:
                history.record.backtracks_left[s] = 0  # shorter steps are no help here
            else:
                search.learn(gradients.g[coordinates.seg.slice(s)], float(values[s]))
                stops[s] = "converged", search.reason
        if probed.any():
            coordinates.put_back(history.good.place, probed)
        converged = [s for s, (status, _) in stops.items() if status == "converged"]
        for s in [s for s in converged if not coordinates.is_held(s)]:
            entry, rows = entries[s], coordinates.seg.slice(s)
            if entry.search is None:
                value = math.nan if history.record.by_forces[s] else float(values[s])
                entry.search = self._begin(coordinates, s, gradients.g[rows], value, stops[s][1])
            search = entry.search
            if search.probe.direction is not None:
                steps.which[s], steps.dx[rows] = True, search.probe.direction
                del stops[s]
            elif search.probe.push is None:
                stops[s] = "converged", f"{search.reason}, {search.probe.words}"
            elif self._leaves(entry, history.record.steps[s]):
                steps.which[s] = steps.pushed[s] = True
                steps.dx[rows] = search.probe.push
                self.words = search.probe.words
                LOG.info("a structure leaves a saddle point: %s", self.words)
                entry.search, entry.escapes = None, entry.escapes + 1
                del stops[s]
            else:
                times = f", after {entry.escapes} escapes" if entry.escapes else ""
                stops[s] = "saddle", search.probe.words + times
        if steps.pushed.any():
            rows = steps.pushed[coordinates.seg.owner]
            steps.dx[rows] = coordinates.limit(steps.dx)[rows]
        return steps

    def _leaves(self, entry: Searched, steps: int) -> bool:
        return self.escape and steps < self.steps and entry.escapes < self.check.escapes

    def _begin(
        self, coordinates: Coordinates, s: int, g: np.ndarray, value: float, reason: str
    ) -> MinimumSearch:
        """Return the search at structure ``s``, which has converged where it is."""
        metric = coordinates.metric(self.stiffness, [s])
        if metric is None:
            kind = type(getattr(coordinates, "target", coordinates)).__name__
            raise ValueError(f"a minimum check needs Atoms or a filter of their cell, not a {kind}")
        positions, turns = coordinates.rigid_body(s)
        motions = rigid(positions, len(g), turns)
        images = coordinates.symmetry(s, self.check.symprec)
        probe = Probe(self.check, metric, coordinates.free_rows(s), motions, g.copy(), images)
        return MinimumSearch(probe, g.copy(), value, reason)
