"""Runs of any optimizer on any structure: what each asked of the calculator, and how it left off.

Force calls are counted at the calculator: a ``calculate`` at a new geometry is one.  A run that asks for
more than the cap is stopped there.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize.optimize import Optimizer

from relax.core.errors import RelaxationStopped
from relax.optimizers.named import RuleOptimizer

WILD = 30.0
"""Change of the volume at which a run is stopped: a model may need all memory to say nothing of use."""

T = TypeVar("T")


class CapReached(Exception):
    """The run has used up its force calls."""


class Meter(Calculator):
    """A calculator that asks another one, and counts, times and caps what it is asked.

    Each run has one of its own, so that nothing is left from the last.
    """

    atoms: Any

    def __init__(
        self, inner: Any, start: Atoms, cap: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = inner
        # ASE's preconditioned optimizers insist on a free energy, which forces are the slope of.
        self.implemented_properties = [*inner.implemented_properties, "free_energy"]
        self.volume = start.get_volume() if start.cell.rank == 3 else None
        self.cap = cap
        self.clock = clock
        self.calls = 0
        self.seconds = 0.0
        self.fault: Exception | None = None
        self.seen: Atoms | None = None
        self.answer: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        if system_changes:
            self.admit(self.atoms)
            self.calls += 1
        start = self.clock()
        try:
            self.inner.calculate(self.atoms, properties, system_changes)
        except Exception as error:
            self.refuse(error)
        finally:
            self.seconds += self.clock() - start
        self.results |= self.inner.results
        if "energy" in self.results:
            self.results.setdefault("free_energy", self.results["energy"])
        numbers = [self.results[key] for key in ("energy", "forces", "stress") if key in self.results]
        if not all(np.isfinite(number).all() for number in numbers):
            self.refuse(RelaxationStopped("nonfinite", "an energy, force or stress is not a number"))
        self.seen, self.answer, self.fault = self.atoms.copy(), dict(self.results), None

    def admit(self, atoms: Atoms) -> None:
        """Refuse a call that is one too many, or at a cell that has run away."""
        if self.calls == self.cap:
            self.refuse(CapReached(f"{self.cap} force calls"))
        ratio = atoms.get_volume() / self.volume if self.volume else 1.0
        if not 1 / WILD < ratio < WILD:
            words = f"the volume is {ratio:.3g} times that of the start"
            self.refuse(RelaxationStopped("exploded" if ratio > 1 else "collapsed", words))

    def refuse(self, fault: Exception) -> None:
        """Raise ``fault``, and remember it until an answer is good again: an optimizer may catch it.

        The last structure that was answered for is the one to be judged, without another call.
        """
        self.fault, self.atoms, self.results = fault, self.seen, self.answer
        raise fault


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what optimizers and models print and warn of to themselves."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Course:
    """How a run went, before its end is judged."""

    atoms: Atoms  # where it ended, with its calculator, which has no cap any more
    calls: int
    seconds_calculator: float
    seconds_outside: float
    fault: Exception | None
    told: tuple[str, str]  # what the optimizer gives as status and reason

    def look(self, at: Callable[[Atoms], T], blank: T) -> tuple[T, Exception | None]:
        """Return what ``at`` makes of the end, ``blank`` if it fails, and what went wrong first."""
        with quietly():
            try:
                return at(self.atoms), self.fault
            except Exception as raised:
                return blank, self.fault or raised


def course_of(
    make: Callable[[Atoms], Optimizer],
    start: Atoms,
    calculator: Any,
    fmax: float,
    cap: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Course:
    """Relax a copy of ``start`` with the optimizer that ``make`` returns, and say how that went.

    Parameters
    ----------
    fmax
        Largest row of the gradient at which the optimizer is to stop, eV/A.
    cap
        Most force calls.
    clock
        What seconds are read from.
    """
    atoms = start.copy()
    atoms.calc = meter = Meter(calculator, start, cap, clock)
    fault, told = None, ("", "")
    with quietly():
        began = clock()
        try:
            optimizer = make(atoms)
            # A step to where the last one was costs no force call, so that steps need the cap too.
            optimizer.run(fmax=fmax, steps=cap)
            if isinstance(optimizer, RuleOptimizer):
                told = optimizer.result.status, optimizer.result.reason
        except Exception as raised:
            fault = raised
        calls, seconds = meter.calls, meter.seconds
        outside = clock() - began - seconds
        fault = meter.fault or fault
        if fault is not None and meter.seen is not None:
            atoms.set_cell(meter.seen.cell)
            atoms.set_positions(meter.seen.positions)
    meter.cap = math.inf
    return Course(atoms, calls, seconds, outside, fault, told)
