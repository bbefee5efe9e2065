"""One structure that is relaxed in place, call by call, by the engine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax.calculators.base import CallCounter, Evaluation
from relax.core.result import Result, Stop
from relax.core.rule import Rule
from relax.core.settings import Criteria
from relax.core.state import State
from relax.engine.entries import Entry
from relax.engine.evaluation import KeptResults, alarm, guarded, place_of, recalled, recorded
from relax.engine.relaxation import Policy, Relaxation
from relax.optimizers.ase_rows import check_images, first_of
from relax.optimizers.replay import Replay
from relax.optimizers.structure import AseStructure, AtomsStructure

__all__ = ["SingleRun"]

RUNNING: Stop = ("running", "the run has not ended")


class SingleRun:
    """The run of one structure: what is evaluated, when, and how it ended.

    Parameters
    ----------
    rule, policy
        As in :class:`~relax.engine.relaxation.Relaxation`.
    structure
        What is relaxed, in place.
    symprec
        Tolerance (A) of the space groups in the result.

    Attributes
    ----------
    known
        Whether the structure has been evaluated where it is.
    stop
        How the run ended.
    first
        Where the structure was when the run began; of a run that goes on, when the one before it began.
    earlier, record
        What another process computed last, from which this one goes on, and what this one did; None where it
        has to be computed again.
    """

    def __init__(
        self, rule: Rule, policy: Policy, structure: AtomsStructure | AseStructure, symprec: float
    ) -> None:
        self.rule, self.policy, self.structure = rule, policy, structure
        self.entry = Entry(0, first_of(structure.images).copy(), symprec)
        self.counter, self.criteria = CallCounter(), Criteria()
        self.stop, self.known = RUNNING, False
        self._fault: Stop | None = None
        self._relaxation: Relaxation[Entry] | None = None
        self._state: State | None = None
        self._kept: KeptResults | None = None
        self.first = place_of(self.entry.first)
        self.earlier: dict[str, Any] | None = None
        self.record: dict[str, Any] | None = None
        self._recalled = False
        self._deadline: float | None = None
        self._started = self._ended = 0.0
        self._energy_first = float("nan")

    @property
    def relaxation(self) -> Relaxation[Entry]:
        """The engine; it compares the structure with what it was when this was first asked for."""
        if self._relaxation is None:
            sanity, self.entry.sanity = self.structure.sanity()
            self._relaxation = Relaxation(
                self.rule, self.criteria, self.policy, self.structure.coordinates, sanity, [self.entry]
            )
            self._relaxation.state = self._state
        return self._relaxation

    @property
    def state(self) -> State | None:
        """The state of the rule."""
        return self._state if self._relaxation is None else self._relaxation.state

    @state.setter
    def state(self, state: State | None) -> None:
        self._state = state
        if self._relaxation is not None:
            self._relaxation.state = state

    @property
    def probing(self) -> bool:
        """Whether the structure is beside where it has converged, looking for the lowest curvature."""
        return self.entry.search is not None

    def result(self, steps: int) -> Result:
        """Return how the run ended, or how it stands, after ``steps`` steps."""
        image, until = first_of(self.structure.images), self._ended or time.perf_counter()
        wall = until - self._started if self._started else 0.0
        if self._relaxation is None:
            return replace(self.entry.unknown(image, self.stop), steps=steps, wall_time=wall)
        result = self.entry.result(image, self._relaxation.history, 0, self.stop)
        cheap = self.structure.prior_calls
        return replace(
            result, steps=steps, energy_first=self._energy_first, wall_time=wall, prior_calls=cheap
        )

    def computed(self) -> dict[str, Any]:
        """Return energy, forces and stress of plain atoms where the run ended, as far as they are known."""
        if self._relaxation is None or not isinstance(self.structure, AtomsStructure):
            return {}
        return self._relaxation.history.last(self.stop[0]).results(self.structure.coordinates, 0)

    def begin(self, criteria: Criteria, timeout: float | None, steps: int) -> None:
        """Begin a run after ``steps`` steps; it evaluates anew, for the calculator may have changed.

        Raises ValueError for a criterion for the stress where no cell relaxes.
        """
        criteria.check_cell(bool(self.structure.coordinates.relaxes[0]))
        self.criteria, self.known = criteria, False
        self.stop, self._ended = RUNNING, 0.0
        self._deadline = None if timeout is None else time.perf_counter() + timeout
        self.structure.settle()
        self.structure.begin(criteria.fmax, self.state is None)
        if self._relaxation is not None:
            self._relaxation.begin(criteria)
            self._relaxation.history.record.steps[0] = steps

    def observe(self) -> Stop | None:
        """Evaluate the structure where it is, unless that is known, and return what went wrong."""
        if self.structure.changed():
            self.known = False
            if self._relaxation is not None:
                self._relaxation.history.record.unmoved[0] = False
        if self.known:
            return self._fault
        if self._relaxation is None and (fault := check_images(self.structure.images)):
            return fault
        relaxation = self.relaxation
        record, good = relaxation.history.record, relaxation.history.good
        before = self.counter.calls
        if record.unmoved[0] and self.structure.plain:
            evaluation = self.structure.again(good)
        else:
            self._started = self._started or time.perf_counter()
            evaluation = self._recall() or guarded(self._evaluate, self.structure.images, len(good.forces))
            plain = isinstance(self.structure, AtomsStructure)
            self.record = recorded(self.structure.images[0], evaluation) if plain else None
        stops = relaxation.observe(evaluation, np.array([self.counter.calls - before]))
        self.known, self._fault = True, stops.get(0)
        if self._fault is not None:
            self.record = None
        if self._fault is None and np.isnan(self._energy_first):
            self._energy_first = float(record.energy_initial[0])
        return self._fault

    def _recall(self) -> Evaluation | None:
        """Return what the process from which this one goes on has computed here, if it has."""
        earlier, self.earlier = self.earlier, None
        self._recalled, structure = False, self.structure
        if earlier is None or not isinstance(structure, AtomsStructure):
            return None
        evaluation = recalled(earlier, structure.atoms, structure.with_stress)
        self._recalled = evaluation is not None
        return evaluation

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have the atoms show what was computed for them within the block, also if another process did it."""
        if not (self._recalled and self.known and isinstance(self.structure, AtomsStructure)):
            yield
            return
        atoms, good = self.structure.atoms, self.relaxation.history.good
        own = atoms.calc
        atoms.calc = SinglePointCalculator(atoms, **good.results(self.structure.coordinates, 0))
        try:
            yield
        finally:
            atoms.calc = own

    def _evaluate(self) -> Evaluation:
        with alarm(self._deadline), self.counter.watching([image.calc for image in self.structure.images]):
            return self.structure.evaluate()

    def replay(self, frames: Sequence[Atoms]) -> None:
        """Let the rule see the structure in ``frames``, with the forces and energies that these have.

        Raises
        ------
        TypeError
            The structure is no plain ``Atoms``.
        ValueError
            A frame is of other atoms, or has no forces.
        """
        self.state = Replay(self.rule, self.structure).learned(frames)
        self.known = False

    @property
    def steps(self) -> int:
        """Steps of the rule; those of the minimum check do not count."""
        return int(self.relaxation.history.record.steps[0])

    def finish(self, stop: Stop | None) -> Stop | None:
        """Return how the run has ended, after a ``stop`` that was observed, if any.

        What can go on elsewhere, or with shorter steps, is put there.
        """
        if self._relaxation is None:
            return stop
        relaxation = self._relaxation
        stop = relaxation.finish().get(0)
        if stop is not None:
            relaxation.put_back()
        else:
            self._fault = None  # it went back, if there was one
        self.structure.write()
        if not relaxation.steps.which[0] or relaxation.steps.pushed[0]:
            self._give_back()
        elif self._kept is None:
            self._kept = KeptResults(self.structure.images)
        return stop

    def _give_back(self) -> None:
        if self._kept is not None:
            self._kept.give_back()
            self._kept = None

    def else_converged(self) -> bool:
        """Whether all criteria but that on the forces were met when this was last evaluated."""
        if self._relaxation is None or np.isnan(self._relaxation.history.good.value[0]):
            return True
        return bool(self._relaxation.checks.met(np.zeros(1))[0])

    def advance(self) -> Stop | None:
        """Take a step from what was observed, and return why the run cannot go on."""
        stop = self.relaxation.advance().get(0)
        if stop is not None:
            self.relaxation.put_back()
        self.structure.write()
        self.known = False
        return stop

    def end(self, stop: Stop) -> None:
        """Take note of how the run has ended."""
        self.stop, self._ended, self._deadline = stop, time.perf_counter(), None

    def interrupt(self) -> None:
        """Go back to the last good structure: what was being evaluated is not what the result is of."""
        if self._relaxation is not None and np.isfinite(self._relaxation.history.good.value[0]):
            self._relaxation.stops = {0: ("interrupted", "")}
            self._relaxation.put_back()
            self.structure.write()
            self._give_back()
