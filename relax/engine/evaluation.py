"""Force calls: ended when the time is up, kept apart where one fails, and recorded for another process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.jsonio import encode

from relax.calculators.base import Evaluation, energy_of, numbers, stress_matrix
from relax.calculators.registry import unsupported
from relax.core.errors import RelaxationStopped, one_line

__all__ = ["KeptResults", "alarm", "evaluated", "guarded", "place_of", "recalled", "recorded", "same_place"]


@contextmanager
def alarm(deadline: float | None) -> Iterator[None]:
    """Stop the block at ``deadline``, a time of ``time.perf_counter``, also where it hangs.

    Only the main thread of a process can be woken from a call that does not return; in another thread, and
    where there are no alarms, the deadline is met after the call.

    Raises
    ------
    RelaxationStopped
        The time was up.
    """
    over = False

    def ring(*_: Any) -> None:
        if not over:
            raise RelaxationStopped("timeout", "the time was up, in the middle of a force call")

    if deadline is None:
        yield
        return
    left = deadline - time.perf_counter()
    if left <= 0:
        raise RelaxationStopped("timeout", "the time was up")
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    # Again and again, for code that swallows the first.
    signal.setitimer(signal.ITIMER_REAL, left, 1.0)
    try:
        try:
            yield
        finally:
            over = True  # an alarm from here on must not keep the clock from being stopped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def guarded(ask: Callable[[], Evaluation], images: list[Atoms], rows: int) -> Evaluation:
    """Return what ``ask`` computes for ``images`` that have ``rows`` rows; an exception is their fault."""
    try:
        return ask()
    except RelaxationStopped as stop:
        evaluation = blank(rows)
        (evaluation.timeouts if stop.status == "timeout" else evaluation.faults)[0] = stop.reason
    except Exception as error:
        evaluation = blank(rows)
        # The exception of a calculator rarely says that it does not support the structure.
        reasons = (unsupported(getattr(image, "calc", None), image) for image in images)
        evaluation.faults[0] = next(filter(None, reasons), one_line(error))
    return evaluation


def blank(rows: int) -> Evaluation:
    """Return what is known of one structure of ``rows`` rows before it is evaluated."""
    return Evaluation(np.full(1, np.nan), np.full((rows, 3), np.nan), np.full((1, 3, 3), np.nan))


def evaluated(atoms: Atoms, with_stress: bool) -> Evaluation:
    """Return energy, forces and stress of ``atoms``, constraints left aside.

    The stress is asked for ``with_stress``, and otherwise there if it comes with the forces.

    Raises
    ------
    ValueError
        They are not the numbers they should be.
    """
    stress = None
    if with_stress:
        # The stress first: what can compute it gives the forces with it.
        stress = numbers("stress", atoms.get_stress(voigt=False, apply_constraint=False), (3, 3))
    forces = numbers("forces", atoms.get_forces(apply_constraint=False), (len(atoms), 3))
    energy = energy_of(atoms.calc, atoms)
    if stress is None:
        stress = stress_matrix(getattr(atoms.calc, "results", {}).get("stress"))
    return Evaluation(energy, forces, stress[None])


def calculator_words(calculator: Any) -> str | None:
    """Return what tells a calculator from others in any process; None where it does not say."""
    kind, parameters = type(calculator), getattr(calculator, "parameters", ())
    try:
        plain = encode(given) if (given := dict(parameters)) else None
    except (TypeError, ValueError):
        return None
    return plain and f"{kind.__module__}.{kind.__qualname__} {plain}"


def place_of(atoms: Atoms) -> dict[str, Any]:
    """Return which atoms there are, and where, as plain values and arrays."""
    cell, pbc = atoms.cell.array.copy(), atoms.pbc.tolist()
    return {"numbers": atoms.numbers.copy(), "positions": atoms.positions.copy(), "cell": cell, "pbc": pbc}


def same_place(place: Any, other: dict[str, Any]) -> bool:
    """Return whether a ``place`` from a file is another one, to the last bit."""
    return isinstance(place, dict) and all(np.array_equal(place.get(k, ()), a) for k, a in other.items())


def recorded(atoms: Atoms, evaluation: Evaluation) -> dict[str, Any] | None:
    """Return what was computed for ``atoms`` as plain values and arrays, for :func:`recalled`.

    None where their calculator does not say with what parameters it computes.
    """
    if (words := calculator_words(atoms.calc)) is None:
        return None
    return place_of(atoms) | {
        "calculator": words,
        "energy": float(evaluation.energies[0]),
        "forces": evaluation.forces.copy(),
        "stress": evaluation.stresses[0].copy(),
    }


def recalled(record: dict[str, Any], atoms: Atoms, with_stress: bool) -> Evaluation | None:
    """Return what was :func:`recorded` for ``atoms`` just as they are, by an equal calculator; else None."""
    words = calculator_words(atoms.calc)
    if words is None or not same_place(record, place_of(atoms)) or words != record.get("calculator"):
        return None
    try:
        energy = numbers("energy", record["energy"], (1,))
        forces = numbers("forces", record["forces"], (len(atoms), 3))
        stress = numbers("stress", record["stress"], (3, 3))
    except (KeyError, ValueError):
        return None
    if with_stress and not np.isfinite(stress).all():
        return None
    return Evaluation(energy, forces, stress[None])


class KeptResults:
    """What calculators have computed for a place, to be given back when a run returns there.

    Parameters
    ----------
    images
        Whose calculators.
    """

    def __init__(self, images: list[Atoms]) -> None:
        calculators = {id(c): c for image in images if (c := getattr(image, "calc", None))}.values()
        # Some write into the arrays that they gave.
        self.kept = [
            (c, vars(c)["atoms"], deepcopy(c.results))
            for c in calculators
            if {"atoms", "results"} <= vars(c).keys()
        ]

    def give_back(self) -> None:
        """Let the calculators know again what they had computed."""
        for calculator, atoms, results in self.kept:
            calculator.atoms, calculator.results = atoms, results
