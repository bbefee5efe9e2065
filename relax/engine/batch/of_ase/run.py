"""Structures that optimizers of ASE relax one after the other, judged by the engine."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from relax.calculators.base import Evaluation
from relax.core.errors import UnsupportedStructure, UsageError, one_line
from relax.core.result import Stop
from relax.engine.batch.of_ase.names import without_warnings
from relax.engine.batch.of_ase.rule import AseRule
from relax.engine.batch.run import BatchRun
from relax.engine.entries import Relaxed
from relax.engine.termination import remove_nonfinite

__all__ = ["AseRun"]


class Ended(Exception):
    """The engine has ended the run of an optimizer, or has moved the structure away from it."""


class EngineCalculator(Calculator):
    """A calculator that asks the engine.

    Parameters
    ----------
    ask
        Returns the results for atoms.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 - as ASE has it

    def __init__(self, ask: Callable[[Atoms], dict[str, Any]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ask = ask

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = self.ask(atoms)


class AseRun(BatchRun):
    """The loop around one potential and one optimizer of ASE, which has a structure for itself.

    The optimizer moves atoms of its own, whose calculator makes its force calls here.  After each step of the
    optimizer the engine takes in what was computed there, as after a step of a rule; of the trials of a line
    search it checks only that they are numbers.
    """

    rule: AseRule
    _evaluation: Evaluation

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.most = 1
        self._before: np.ndarray | None = None  # where the optimizer has made its last step
        self._since = 0.0  # what of the time has been noted

    def _round(self) -> Iterator[Relaxed]:
        """Follow an optimizer from where the structure is until it ends, or the engine has it begin anew."""
        assert self.relaxation is not None
        self._since, self._before = time.perf_counter(), None
        stop: Stop | None = None
        try:
            self._follow_optimizer()
        except Ended:
            pass
        except UsageError:
            raise
        except UnsupportedStructure as error:
            stop = "refused", str(error)
        except Exception as error:
            stop = "stalled", f"{self.rule.name} has given up: {one_line(error)}"
        else:
            stop = "stalled", f"{self.rule.name} makes no further step"
        if stop is not None and not self.relaxation.stops:
            self.relaxation.stops = {0: stop}
        self._note_time()
        if self.relaxation.stops:
            yield from self._leave()

    def _follow_optimizer(self) -> None:
        start = self.entries[0].start
        assert start is not None
        atoms = self.coordinates.atoms(0)
        atoms.calc = EngineCalculator(self._computed)
        # Line searches print what they think of a step, and standard output may be JSON.
        with without_warnings(), contextlib.redirect_stdout(sys.stderr):
            optimizer = self.rule.optimizer(start, atoms, self.intake.symprec)
            optimizer.attach(self._step_ended)  # called at the start, too
            optimizer.run(fmax=0.0)  # the engine decides

    def _computed(self, atoms: Atoms) -> dict[str, Any]:
        """Return what the potential computes for ``atoms``, as an ASE calculator has it."""
        assert self.relaxation is not None
        if self.relaxation.stops:  # some optimizers go on after an exception
            raise Ended
        self.coordinates.read_from(atoms, 0)
        evaluation, calls = self._call()
        self.relaxation.history.record.calls += calls
        self.relaxation.stops = remove_nonfinite(self.coordinates, evaluation)
        if self.relaxation.stops:
            raise Ended
        self._evaluation, energy = evaluation, float(evaluation.energies[0])
        found = {"energy": energy, "free_energy": energy, "forces": evaluation.forces.copy()}
        if np.isfinite(evaluation.stresses).all():
            found["stress"] = full_3x3_to_voigt_6_stress(evaluation.stresses[0])
        return found

    def _call(self) -> tuple[Evaluation, np.ndarray]:
        """Make a force call for the structure where the engine has it."""
        assert self.relaxation is not None
        self._note_time()
        with self.monitor.interruptible():
            made = self.calls.evaluate(self.coordinates, self.sizes, self.relaxation.history)
        self._note_time()
        return made

    def _step_ended(self) -> None:
        """Have the engine judge the place to which the optimizer has gone, the last that was evaluated."""
        assert self.relaxation is not None
        self._whole = False
        relaxation, c, calls = self.relaxation, self.coordinates, np.zeros(1, int)
        if self._before is not None:
            nobody, step = np.zeros(1, bool), c.x - self._before
            relaxation.history.note_step(c, step, step, relaxation.values, nobody, nobody)
            # A trial that comes next may be elsewhere, whatever the step was.
            relaxation.history.record.unmoved[:] = False
        self._before = c.x
        evaluation = self._evaluation
        while not self._judge(evaluation, calls) and relaxation.probed[0]:
            relaxation.advance()
            self._whole = True
            evaluation, calls = self._call()
            self._whole = False
        pushed = relaxation.steps.pushed[0]
        if pushed:
            relaxation.advance()
        self._whole = True
        if relaxation.stops or pushed:
            raise Ended

    def _note_time(self) -> None:
        assert self.relaxation is not None
        now = time.perf_counter()
        self.relaxation.history.record.wall += now - self._since
        self._since = now
