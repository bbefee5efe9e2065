"""Force calls: counted at the calculator, ended when the time is up, and kept apart where one fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry, Potential, energy_of, numbers, stress_matrix
from relax.calculators.batch_size import Budget
from relax.calculators.registry import unsupported
from relax.calculators.splitting import chosen, unknown
from relax.core.errors import OutOfMemory, RelaxationStopped, one_line
from relax.engine.coordinates import BatchCoordinates
from relax.engine.history import Snapshot

__all__ = ["BatchCalls", "CallCounter", "alarm", "evaluated", "guarded", "with_stress"]


class CallCounter:
    """Counts the evaluations of ASE calculators, at the calculator."""

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def watching(self, calculators: list[Any]) -> Iterator[None]:
        """Count every ``calculate`` of ``calculators`` within the block."""
        watched = {id(c): c for c in calculators if hasattr(c, "calculate")}.values()
        before = [(c, vars(c).get("calculate")) for c in watched]
        for calculator in watched:
            calculator.calculate = self._counted(calculator.calculate)
        try:
            yield
        finally:
            for calculator, own in before:
                if own is None:
                    del calculator.calculate
                else:
                    calculator.calculate = own

    def _counted(self, calculate: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return calculate(*args, **kwargs)

        return counted


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

    def ring(*_: Any) -> None:
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
        yield
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


class BatchCalls:
    """The force calls of a batch: as many structures at once as there is room for.

    Parameters
    ----------
    potential
        What computes.
    budget
        How much it takes at once, in its unit; found out, if None.
    stress
        Whether the stress is computed of cells that are held too.
    """

    def __init__(self, potential: Potential, budget: float | None, stress: bool = False) -> None:
        self.potential, self.budget, self.stress = potential, Budget(potential, budget), stress

    def evaluate(
        self, c: BatchCoordinates, sizes: np.ndarray, good: Snapshot, unmoved: np.ndarray
    ) -> tuple[Evaluation, np.ndarray]:
        """Return what the potential computes for all structures, and the force calls (S,) that it took.

        It is not asked again of the structures ``unmoved`` (S,), as a rule that takes back a step may leave
        one: what it said of them is in ``good``.

        Parameters
        ----------
        sizes
            The sizes of the structures (S,) in the unit of the potential.
        """
        geometry = c.geometry()
        self.evaluation, self.calls = unknown(geometry), np.zeros(len(c), int)
        if unmoved.any():
            atoms = unmoved[c.owner]
            energies = c.energies(good.value)
            self.evaluation.energies[unmoved] = energies[unmoved]
            self.evaluation.forces[atoms] = good.forces[atoms]
            self.evaluation.stresses[unmoved] = good.stresses[unmoved]
        asked = with_stress(c, self.stress)
        for stress in (True, False):
            alike = np.flatnonzero((asked == stress) & ~unmoved)
            for chunk in self.budget.chunks(sizes[alike]):
                self._ask(geometry, alike[chunk], stress, sizes)
        return self.evaluation, self.calls

    def _ask(self, geometry: Geometry, places: np.ndarray, stress: bool, sizes: np.ndarray) -> None:
        """Fill in what the potential says of the structures at ``places``, together or else by halves."""
        size, began, evaluation = float(sizes[places].sum()), time.perf_counter(), self.evaluation
        try:
            some, atoms = chosen(geometry, np.isin(np.arange(len(geometry.keys)), places))
            found = checked(self.potential.evaluate(some, stress), some)
        except OutOfMemory as error:
            self.budget.shrink(size)
            fault = " ".join(str(error).split()) or "out of memory"
        except Exception as error:
            fault = one_line(error)
        else:
            self.budget.learn(len(places), size, time.perf_counter() - began)
            evaluation.energies[places] = found.energies
            evaluation.forces[atoms] = found.forces
            evaluation.stresses[places] = found.stresses
            evaluation.faults |= {int(places[s]): words for s, words in found.faults.items()}
            self.calls[places] += 1
            return
        if len(places) == 1:
            evaluation.faults[int(places[0])] = fault
            self.calls[places] += 1
            return
        half = len(places) // 2
        self._ask(geometry, places[:half], stress, sizes)
        self._ask(geometry, places[half:], stress, sizes)


def checked(found: Evaluation, geometry: Geometry) -> Evaluation:
    """Return what a potential has ``found``, as arrays of the shapes that they should have.

    Raises
    ------
    ValueError
        It is not the numbers it should be.
    """
    count = len(geometry.keys)
    return Evaluation(
        numbers("energies", found.energies, (count,)),
        numbers("forces", found.forces, (len(geometry.positions), 3)),
        numbers("stresses", found.stresses, (count, 3, 3)),
        found.faults,
        found.timeouts,
    )


def with_stress(c: BatchCoordinates, always: bool) -> np.ndarray:
    """Return of which structures (S,) the stress is computed.

    Those are the ones whose cell relaxes or, if ``always``, all that are periodic in a cell with a volume.
    """
    return np.asarray(c.relaxes | (always & c.constants.pbc.any(axis=1) & (c.volumes > 1e-6)))


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
