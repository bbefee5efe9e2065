"""A watch over what an ASE optimizer evaluates: counts the calls, and stops a run that went wrong."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import OptimizableFilter
from ase.optimize.optimize import OptimizableAtoms
from ase.utils.abc import Optimizable

from relax.core.errors import RelaxationStopped
from relax.core.result import LARGEST
from relax.core.settings import ABOVE_START, LOOK_EVERY, UPHILL
from relax.geometry.cell import GPA
from relax.geometry.sanity import Integrity, Shape
from relax.optimizers.crystal import Crystal

__all__ = ["CallCounter", "Snapshot", "Watch"]


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


@dataclass(frozen=True)
class Snapshot:
    """What a structure, or each image of a band, was like at one time."""

    positions: list[np.ndarray]
    cells: list[np.ndarray]
    energy: float  # eV
    fmax: float  # eV/A
    smax: float  # GPa

    def shows(self, images: list[Atoms]) -> bool:
        """Whether the ``images`` are where they were."""
        return all(
            np.array_equal(atoms.positions, positions) and np.array_equal(atoms.cell.array, cell)
            for atoms, positions, cell in zip(images, self.positions, self.cells, strict=True)
        )

    def put_back(self, images: list[Atoms]) -> None:
        """Put the ``images`` back to where they were."""
        for atoms, positions, cell in zip(images, self.positions, self.cells, strict=True):
            if not np.array_equal(atoms.cell.array, cell):
                atoms.set_cell(cell, apply_constraint=False)
            atoms.set_positions(positions, apply_constraint=False)


class Watch(Optimizable):
    """An ``Optimizable`` that evaluates another one, and lets nothing bad through.

    Raises
    ------
    RelaxationStopped
        From ``get_gradient`` and ``get_value``: the calculator raised, its answer is not a number, the
        structure flew apart or collapsed, the energy ran away upwards, or the time was up.
    """

    def __init__(self, inner: Optimizable, downhill: bool = True, patient: bool = False) -> None:
        self.inner = inner
        self.patient = patient  # lets one step far uphill pass, for the rule to undo it
        self.counter = CallCounter()
        self.integrity: list[Integrity] = []
        self.started = 0.0
        self.deadline: float | None = None
        self.energy_first = self.energy = self.fmax = self.smax = float("nan")
        self.energy_before = float("nan")  # at the start of this run
        self.good: Snapshot | None = None
        self.whole: Snapshot | None = None
        self.lowest: Snapshot | None = None
        # Bands and dimers have a memory of their own: the same place need not have the same gradient.
        self.plain = isinstance(inner, Crystal | OptimizableFilter) or (
            isinstance(inner, OptimizableAtoms) and isinstance(inner.atoms, Atoms)
        )
        self.downhill = downhill and self.plain
        self._gradient: np.ndarray | None = None

    def ndofs(self) -> int:
        return int(self.inner.ndofs())

    def get_x(self) -> np.ndarray:
        return np.asarray(self.inner.get_x(), dtype=float)

    def set_x(self, x: np.ndarray) -> None:
        self.inner.set_x(x)

    def iterimages(self) -> Any:
        return self.inner.iterimages()

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        return bool(self.inner.converged(gradient, fmax))

    def gradient_norm(self, gradient: np.ndarray) -> float:
        return float(self.inner.gradient_norm(gradient))

    def begin(self) -> None:
        """Begin a run: evaluate anew, even where nothing has moved, for the calculator may have changed."""
        self.forget()
        self.energy_before, self.lowest, self.whole = float("nan"), None, None

    def forget(self) -> None:
        """Evaluate anew, even where nothing has moved."""
        self._gradient = None

    def get_gradient(self) -> np.ndarray:
        images = self.images()
        if self._gradient is not None and self._seen(images):
            return self._gradient.copy()
        self.look_at_start(images)
        gradient = self._evaluate("get_gradient")
        if gradient.shape != (self.ndofs(),):
            words = f"{gradient.size} numbers for the forces, not {self.ndofs()}"
            raise RelaxationStopped("calculator_error", words)
        bad = np.flatnonzero(~(np.abs(gradient) < LARGEST))
        if len(bad):
            raise RelaxationStopped("nonfinite", f"the force on row {bad[0] // 3} is {-gradient[bad[0]]}")
        # Only with both numbers is a structure good; every optimizer asks for the energy anyway.
        now = self._snapshot(images, self._finite_energy(), self.gradient_norm(gradient))
        self.look(now)
        if np.isnan(self.energy_before):
            self.energy_before = now.energy
        again = self.good is not None and self.good.energy - self.energy_before > UPHILL * len(images[0])
        if again or not self.patient:
            self._look_uphill(now.energy, UPHILL)
        self.good, self._gradient = now, gradient
        self.energy, self.fmax, self.smax = now.energy, now.fmax, now.smax
        if self.lowest is None or now.energy <= self.lowest.energy:
            self.lowest = now
        if np.isnan(self.energy_first):
            self.energy_first = self.energy
        return gradient.copy()

    @contextmanager
    def aside(self) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
        """Evaluate gradients elsewhere within the block, and be back where one was after it.

        What is seen there counts as force calls and for nothing else.  The calculators are given back what
        they had said of the place, so that nobody needs to ask again.
        """
        x, good = self.get_x(), self.good
        calculators = {id(c): c for image in self.images() if (c := getattr(image, "calc", None))}.values()
        told = [
            (c, vars(c)["atoms"], deepcopy(c.results))  # some write into the arrays that they gave
            for c in calculators
            if {"atoms", "results"} <= vars(c).keys()
        ]

        def gradient(there: np.ndarray) -> np.ndarray:
            self.inner.set_x(there)
            found = self._evaluate("get_gradient")
            if not (np.abs(found) < LARGEST).all():
                raise RelaxationStopped("nonfinite", "a force beside the stationary point is not finite")
            return found

        try:
            yield gradient
        finally:
            self.inner.set_x(x)
            if good is not None and not good.shows(self.images()):
                good.put_back(self.images())
            for calculator, atoms, results in told:
                calculator.atoms, calculator.results = atoms, results
            if isinstance(self.inner, Crystal):
                self.inner.fmax, self.inner.smax = self.fmax, self.smax

    def get_value(self) -> float:
        if self._gradient is not None and self.good is not None and self._seen(self.images()):
            return self.good.energy
        return self._finite_energy()

    def _seen(self, images: list[Atoms]) -> bool:
        """Whether the last evaluation was of these ``images`` and still holds."""
        return self.plain and self.good is not None and self.good.shows(images)

    def _snapshot(self, images: list[Atoms], energy: float, fmax: float) -> Snapshot:
        positions = [atoms.positions.copy() for atoms in images]
        cells = [atoms.cell.array.copy() for atoms in images]
        return Snapshot(positions, cells, energy, fmax, self._residual_stress(images[0]))

    def _residual_stress(self, atoms: Atoms) -> float:
        """Return the largest component of the stress in GPa, where one has been computed."""
        if isinstance(self.inner, Crystal) and self.inner.freedom is not None:
            return self.inner.smax
        of_filter = getattr(getattr(self.inner, "filterobj", None), "stress", None)
        stress = getattr(atoms.calc, "results", {}).get("stress") if of_filter is None else of_filter
        if stress is None or not atoms.pbc.any() or np.shape(stress) not in ((6,), (3, 3)):
            return float("nan")
        return float(np.abs(stress).max()) / GPA

    def _finite_energy(self) -> float:
        answer = self._evaluate("get_value")
        if answer.size != 1:
            raise RelaxationStopped("calculator_error", f"{answer.size} numbers for the energy")
        energy = float(answer.item())
        if not abs(energy) < LARGEST:
            raise RelaxationStopped("nonfinite", f"the energy is {energy} eV")
        return energy

    def _evaluate(self, what: str) -> np.ndarray:
        if not self.started:
            self.started = time.perf_counter()
        calculators = [image.calc for image in self.images()]
        try:
            with alarm(self.deadline), self.counter.watching(calculators):
                answer = np.asarray(getattr(self.inner, what)())
            if answer.dtype.kind not in "iuf":
                raise TypeError(f"the calculator gives {answer.dtype}, not numbers")
            return answer.astype(float)
        except RelaxationStopped:
            raise
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            raise RelaxationStopped("calculator_error", f"{type(error).__name__}: {words}") from error

    def images(self) -> list[Atoms]:
        # An NEB's own iterimages yields copies without their calculators, and only after its first forces.
        neb = getattr(self.inner, "neb", None)
        images = self.inner.iterimages() if neb is None else neb.images
        return [getattr(image, "atoms", image) for image in images]

    def look_at_start(self, images: list[Atoms]) -> None:
        """Measure the structure before anything has moved, and stop one that is no structure."""
        if self.integrity:
            return
        for i, atoms in enumerate(images):
            if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
                raise RelaxationStopped("nonfinite", f"a position or the cell of image {i} is not finite")
        self.integrity = [Integrity(atoms) for atoms in images]
        for before in self.integrity:
            if fault := before.at_start():
                raise RelaxationStopped(*fault)

    def look(self, now: Snapshot | None = None, closely: bool = False) -> None:
        """Stop a structure that flew apart or collapsed; ``closely`` looks however little has moved."""
        now = now or self.good
        pairs = list(zip(self.integrity, self.images(), strict=True))
        if self.whole is None:
            self.whole = now
        if closely or any(before.moved(atoms) > LOOK_EVERY for before, atoms in pairs):
            for before, atoms in pairs:
                if fault := before.fault(Shape.of(atoms)):
                    raise RelaxationStopped(*fault)
            # What is about to fly apart still hangs together, but is no place to go back to.
            if not (self.downhill and now and self.whole and now.energy > self.whole.energy):
                self.whole = now

    def look_uphill(self) -> None:
        """Stop a run that is about to converge above where it started."""
        self._look_uphill(self.energy, ABOVE_START)

    def _look_uphill(self, energy: float, limit: float) -> None:
        rise = energy - self.energy_before
        natoms = len(self.images()[0])
        if self.downhill and rise > limit * natoms:
            words = f"the energy is {rise / natoms:.3g} eV/atom above that of the start"
            raise RelaxationStopped("uphill", words)

    def restore(self, status: str) -> None:
        """Put back the last structure that was good in the sense in which this one is not."""
        good = {"exploded": self.whole, "collapsed": self.whole, "uphill": self.lowest}
        snapshot = good.get(status, self.good)
        if snapshot is not None:
            snapshot.put_back(self.images())
            self.energy, self.fmax, self.smax = snapshot.energy, snapshot.fmax, snapshot.smax
