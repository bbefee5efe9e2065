"""A calculator that counts, times and limits the force calls of a run.

A ``calculate`` at a new geometry is one force call.  With a ``stop`` the calculator also ends the run, at the
first force call that fulfils it, so that every optimizer stops by the same test.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from relax.core.errors import RelaxationStopped

MAX_VOLUME_CHANGE = 30.0
"""Factor of the volume beyond which a run is stopped: a model may then need more memory than there is."""


class CapReached(Exception):
    """The run has used up its force calls."""


class StopReached(Exception):
    """The last force call fulfils the test that ends the run."""


Stop = Callable[[Atoms, dict[str, Any]], bool]
"""Whether a run ends at a force call, from the structure and the calculator's results."""


@dataclass(frozen=True)
class ForcesBelow:
    """The test that no force on an atom, constraints considered, is above ``fmax`` (eV/A)."""

    fmax: float

    def __call__(self, atoms: Atoms, results: dict[str, Any]) -> bool:
        if "forces" not in results:
            return False
        forces = np.array(results["forces"])
        for constraint in atoms.constraints:
            constraint.adjust_forces(atoms, forces)
        return bool(np.linalg.norm(forces, axis=1).max() <= self.fmax)


class CallCounter(Calculator):
    """A calculator that calls another one, and counts, times and limits the calls.

    Parameters
    ----------
    inner
        The calculator to call.
    start
        The structure at the start of the run.
    cap
        Largest number of force calls; one more raises :class:`CapReached`.
    clock
        Function that returns the time, s.
    stop
        Test that ends the run: a call that fulfils it counts, and then raises :class:`StopReached`, as does
        every call after it, which is not made.  None: the optimizer decides.

    Attributes
    ----------
    calls, seconds
        Number of force calls, and the time spent in them.
    seconds_stop
        Time that the test took, which is neither the calculator's nor the optimizer's.
    fault
        The exception of the last call, None if it succeeded.
    evaluated
        The last structure for which the calculator returned finite numbers.
    """

    atoms: Any

    def __init__(
        self,
        inner: Any,
        start: Atoms,
        cap: float,
        clock: Callable[[], float] = time.perf_counter,
        stop: Stop | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = inner
        # ASE's preconditioned optimizers require a free energy: forces are its derivative.
        self.implemented_properties = [*inner.implemented_properties, "free_energy"]
        self.volume = start.get_volume() if start.cell.rank == 3 else None
        self.cap = cap
        self.clock = clock
        self.stop = stop
        self.calls = 0
        self.seconds = self.seconds_stop = 0.0
        self.fault: Exception | None = None
        self.evaluated: Atoms | None = None
        self.last_results: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        if system_changes:
            if isinstance(self.fault, StopReached):
                self.fail(self.fault)
            self.check_limits(self.atoms)
            self.calls += 1
        start = self.clock()
        try:
            self.inner.calculate(self.atoms, properties, system_changes)
        except Exception as error:
            self.fail(error)
        finally:
            self.seconds += self.clock() - start
        self.results |= self.inner.results
        if "energy" in self.results:
            self.results.setdefault("free_energy", self.results["energy"])
        numbers = [self.results[key] for key in ("energy", "forces", "stress") if key in self.results]
        if not all(np.isfinite(number).all() for number in numbers):
            self.fail(RelaxationStopped("nonfinite", "an energy, force or stress is not a number"))
        self.evaluated, self.last_results, self.fault = self.atoms.copy(), dict(self.results), None
        if self.stop is not None and self.stopped(self.stop, self.evaluated):
            self.fail(StopReached("the run has ended"))

    def stopped(self, stop: Stop, atoms: Atoms) -> bool:
        """Return whether the last call fulfils the test."""
        start = self.clock()
        found = stop(atoms, self.last_results)
        self.seconds_stop += self.clock() - start
        return found

    def release(self) -> None:
        """Let whoever examines the end of the run make further calls."""
        self.cap, self.stop, self.fault = np.inf, None, None

    def check_limits(self, atoms: Atoms) -> None:
        """Raise an exception for a call beyond the cap, or for a volume that has changed too much."""
        if self.calls == self.cap:
            self.fail(CapReached(f"{self.cap} force calls"))
        ratio = atoms.get_volume() / self.volume if self.volume else 1.0
        if not 1 / MAX_VOLUME_CHANGE < ratio < MAX_VOLUME_CHANGE:
            words = f"the volume is {ratio:.3g} times that of the start"
            self.fail(RelaxationStopped("exploded" if ratio > 1 else "collapsed", words))

    def fail(self, fault: Exception) -> None:
        """Raise ``fault``, and keep it until a call succeeds again, since an optimizer may catch it.

        The results become those of the last call that succeeded, so that the end of the run can be
        examined without another call.
        """
        self.fault, self.atoms, self.results = fault, self.evaluated, self.last_results
        raise fault


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Hide warnings and whatever optimizers and models print."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
