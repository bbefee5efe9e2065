"""One run of an optimizer: how it is made, and how its end is classified, without trusting the optimizer.

The statuses are

- ``converged``: the largest row of the gradient is at most ``fmax``;
- ``cap``: the force calls were used up;
- ``nonfinite``: an energy, force or stress was not a number;
- ``exploded``, ``collapsed``: the volume has changed too much, or two atoms are nearer than
  :data:`OVERLAP` times the sum of their covalent radii;
- ``error``: the optimizer or the calculator raised an exception;
- ``gave up``: the optimizer stopped elsewhere.  Where one of ours stopped because it saw an explosion, a
  collapse or a number that is not finite, the status is the one it reports.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from relax.analysis.comparison.minimizers.several_draws import SeveralDraws
from relax.analysis.comparison.runs.call_counter import (
    CallCounter,
    CapReached,
    ForcesBelow,
    Stop,
    StopReached,
    silenced,
)
from relax.core.errors import RelaxationStopped
from relax.optimizers.base import RuleOptimizer

OVERLAP = 0.4
TOLERANCE = 1e-3
"""Relative tolerance of ``fmax`` when it is checked again: cells are rounded."""
STRICTER = 1e-3
"""Part of ``fmax`` at which an optimizer stops where the calculator is to end the run before."""

State = TypeVar("State")


@dataclass(frozen=True)
class Run:
    """A run that has ended, before its end is classified.

    Attributes
    ----------
    atoms
        The final structure; its calculator has no cap any more.
    calls
        Force calls.
    seconds_calculator, seconds_outside
        Time in the calculator, and in the optimizer.
    fault
        The exception that ended the run, if any.
    reported
        Status and reason according to the optimizer, if it is one of ours.
    """

    atoms: Atoms
    calls: int
    seconds_calculator: float
    seconds_outside: float
    fault: Exception | None
    reported: tuple[str, str]

    def examine(self, function: Callable[[Atoms], State], default: State) -> tuple[State, Exception | None]:
        """Return ``function`` of the final structure, or ``default`` if it fails, and the first exception."""
        with silenced():
            try:
                return function(self.atoms), self.fault
            except Exception as raised:
                return default, self.fault or raised


@dataclass(frozen=True)
class FinalState:
    """What is checked of every final structure.

    Attributes
    ----------
    row
        Largest row of the gradient, eV/A.
    energy
        eV/atom.
    damage
        Status and reason, where the structure is not a meaningful one any more.
    """

    row: float = math.inf
    energy: float | None = None
    damage: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: the entries of a row that every benchmark has for each run.

    Attributes
    ----------
    reason
        In words, empty for a run that converged.
    energy
        eV/atom.
    """

    status: str
    reason: str
    calls: int
    energy: float | None
    seconds_calculator: float
    seconds_outside: float

    @classmethod
    def of(cls, made: Run, state: FinalState, fault: Exception | None, fmax: float, *own: Any) -> Self:
        """Return how a run ended from what was found at its end; ``own`` are the entries of a subclass."""
        return cls(
            *classify(state, fault, made.reported, fmax),
            made.calls,
            state.energy,
            round(made.seconds_calculator, 4),
            round(made.seconds_outside, 4),
            *own,
        )


def relax_counted(
    make: Callable[[Atoms], Any],
    start: Atoms,
    calculator: Any,
    fmax: float,
    cap: int,
    clock: Callable[[], float] = time.perf_counter,
    stop: Stop | None = None,
) -> Run:
    """Relax a copy of ``start`` with the optimizer that ``make`` returns.

    Parameters
    ----------
    fmax
        Largest row of the gradient at which the optimizer stops, eV/A; with a ``stop`` most go on, see
        :func:`own_fmax`.
    cap
        Largest number of force calls.
    clock
        Function that returns the time, s.
    stop
        Test that ends the run at the first force call that fulfils it; None: the optimizer decides.
    """
    atoms = start.copy()
    atoms.calc = counter = CallCounter(calculator, start, cap, clock, stop)
    fault, reported = None, ("", "")
    with silenced():
        began = clock()
        try:
            optimizer = make(atoms)
            # A step back to the last geometry costs no force call, so that steps need a limit as well.
            optimizer.run(fmax=own_fmax(optimizer, fmax, stop), steps=cap)
            if isinstance(optimizer, RuleOptimizer | SeveralDraws):
                reported = optimizer.result.status, optimizer.result.reason
        except Exception as raised:
            fault = raised
        calls, seconds = counter.calls, counter.seconds
        outside = clock() - began - seconds - counter.seconds_stop
        fault = counter.fault or fault
        if fault is not None and counter.evaluated is not None:
            atoms.set_cell(counter.evaluated.cell)
            atoms.set_positions(counter.evaluated.positions, apply_constraint=False)  # they follow the cell
        if isinstance(fault, StopReached):
            fault, reported = None, ("", "")
    counter.release()
    return Run(atoms, calls, seconds, outside, fault, reported)


def own_fmax(optimizer: Any, fmax: float, stop: Stop | None) -> float:
    """Return the largest row (eV/A) at which an optimizer stops where ``stop`` ends the run at ``fmax``.

    It is stricter, since some have criteria of their own for the cell.  Ours have the same criterion where
    only atoms move, and it tells them which forces are errors (``without_drift``).
    """
    same = isinstance(optimizer, RuleOptimizer) and isinstance(stop, ForcesBelow)
    return fmax if stop is None or same else STRICTER * fmax


def classify(
    state: FinalState, fault: Exception | None, reported: tuple[str, str], fmax: float
) -> tuple[str, str]:
    """Return status and reason of a run, see the module."""
    if isinstance(fault, RelaxationStopped):
        return fault.status, fault.reason
    if state.damage[0]:
        return state.damage
    if isinstance(fault, CapReached):
        return "cap", f"the largest row is {state.row:.3g} eV/A"
    if fault is not None:
        return "error", f"{type(fault).__name__}: {' '.join(str(fault).split())}"
    if state.row <= fmax * (1 + TOLERANCE):
        return "converged", ""
    status, reason = reported
    named = status in ("exploded", "collapsed", "nonfinite")
    return status if named else "gave up", reason or f"the largest row is {state.row:.3g} eV/A"


def overlap(atoms: Atoms) -> tuple[str, str]:
    """Return status and reason where two atoms overlap, else two empty words."""
    if len(neighbor_list("i", atoms, list(OVERLAP * covalent_radii[atoms.numbers]))):
        return "collapsed", f"two atoms are nearer than {OVERLAP} of their covalent radii"
    return "", ""


def end_arrays(structures: Sequence[str], ends: Sequence[RunEnd]) -> dict[str, Any]:
    """Return the entries of a row: an array for each field, and the ``reasons`` of failures by structure."""
    names = [field.name for field in fields(ends[0]) if field.name != "reason"]
    reasons = {name: end.reason for name, end in zip(structures, ends, strict=True) if end.reason}
    return {name: [getattr(end, name) for end in ends] for name in names} | {"reasons": reasons}
