"""ASE's and SciPy's optimizers on clusters, one by one, with force calls counted at the calculator.

A run stops where the optimizer itself looks at convergence: after every force call for the codes that
make one a step, after every line search for the others, as their users see it.  Trial points of line
searches are counted all the same.  SciPy's L-BFGS-B never looks at the L2 norm; it is stopped at the
force call that meets it, as in OptBench.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.utils.abc import Optimizable

from benchmarks.clusters import lennard_jones
from benchmarks.lockstep import Ends

ASE: dict[str, tuple[str, str]] = {
    "FIRE": ("ase.optimize", "FIRE"),
    "FIRE2": ("ase.optimize", "FIRE2"),
    "BFGS": ("ase.optimize", "BFGS"),
    "LBFGS": ("ase.optimize", "LBFGS"),
    "LBFGSLineSearch": ("ase.optimize", "LBFGSLineSearch"),
    "BFGSLineSearch": ("ase.optimize", "BFGSLineSearch"),
    "GoodOldQuasiNewton": ("ase.optimize", "GoodOldQuasiNewton"),
    "MDMin": ("ase.optimize", "MDMin"),
    "CG": ("ase.optimize.sciopt", "SciPyFminCG"),
}
"""Module and class of ASE's optimizers, by the name the benchmarks give them."""


class CapReached(Exception):
    """The run has used up its force calls."""


class NotFinite(Exception):
    """The energy or the forces are no longer numbers."""


class StopMet(Exception):
    """The forces are small enough; for codes that do not look at them this way."""


class Surface(Optimizable):
    """A cluster's energy as ASE's optimizers ask for it; each new position costs one force call.

    ``ase.Atoms`` with a calculator would count the same calls, but spends ten times the force call on
    finding out whether the atoms have moved.
    """

    def __init__(self, start: np.ndarray, cap: int) -> None:
        self.x = start.ravel().copy()
        self.cap = cap
        self.calls = 0
        self.seen = np.full(self.x.size, np.nan)
        self.energy, self.gradient, self.norm = math.nan, np.empty(0), math.inf

    def look(self) -> None:
        """Make the force call, unless the last one was here."""
        if np.array_equal(self.x, self.seen):
            return
        if self.calls == self.cap:
            raise CapReached
        energies, gradients = lennard_jones(self.x.reshape(1, -1, 3))
        self.calls += 1
        self.seen = self.x.copy()
        self.energy, self.gradient = float(energies[0]), gradients.ravel()
        self.norm = float(np.linalg.norm(self.gradient))
        if not math.isfinite(self.norm):
            raise NotFinite

    def ndofs(self) -> int:
        return self.x.size

    def get_x(self) -> np.ndarray:
        return self.x.copy()

    def set_x(self, x: np.ndarray) -> None:
        self.x = np.array(x, dtype=float)

    def get_value(self) -> float:
        self.look()
        return self.energy

    def get_gradient(self) -> np.ndarray:
        self.look()
        return self.gradient.copy()

    def iterimages(self) -> Iterator[Any]:
        """Yield nothing: no trajectory is written."""
        return iter(())

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        """Whether the L2 norm of all forces, in place of the largest force, is at most ``fmax``."""
        return bool(np.linalg.norm(gradient) <= fmax)


def ase_class(name: str) -> Any:
    """Return ASE's class of that name; its only change is a faster loop, of equal result, in one."""
    module, attribute = ASE[name]
    found: Any = getattr(importlib.import_module(module), attribute)
    if name != "GoodOldQuasiNewton":
        return found

    class GoodOldQuasiNewton(found):  # type: ignore[misc]
        """Updates its Hessian as an array, where ASE has a double loop over 114 x 114 numbers."""

        def update_hessian_bfgs(self, pos: np.ndarray, G: np.ndarray) -> None:
            dgrad, dpos = G - self.oldG, pos - self.oldpos
            dotg, tvec = np.dot(dgrad, dpos), np.dot(dpos, self.hessian)
            dott = np.dot(dpos, tvec)
            if abs(dott) > self.eps and abs(dotg) > self.eps:
                self.hessian += np.outer(dgrad, dgrad) / dotg - np.outer(tvec, tvec) / dott

    return GoodOldQuasiNewton


def run_ase(name: str, surface: Surface, stop: float) -> bool:
    """Run one of ASE's optimizers, with its defaults, until the L2 norm of all forces is <= ``stop``."""
    # A step to where the last one was costs no force call, so that steps need the cap too.
    return bool(ase_class(name)(surface, logfile=None).run(fmax=stop, steps=surface.cap))


def run_scipy(method: str, surface: Surface, stop: float) -> bool:
    """Run a method of ``scipy.optimize.minimize`` with its defaults, but for its own criteria: none."""
    from scipy.optimize import minimize

    def energy_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        surface.set_x(x)
        surface.look()
        if surface.norm <= stop:
            raise StopMet
        return surface.energy, surface.gradient.copy()

    endless = {"ftol": 0.0, "gtol": 0.0, "maxiter": 10**9, "maxfun": 10**9}
    try:
        minimize(energy_and_gradient, surface.get_x(), jac=True, method=method, options=endless)
    except StopMet:
        return True
    return False


def one_by_one(name: str, starts: np.ndarray, stop: float, cap: int) -> Ends:
    """Run ``ase:NAME`` or ``scipy:METHOD`` from every start (n, atoms, 3), as :func:`advance` runs a rule.

    Whatever an optimizer raises ends that one run, which has then not converged.
    """
    kind, own = name.split(":")
    run = {"ase": run_ase, "scipy": run_scipy}[kind]
    n = len(starts)
    ends = Ends(
        starts.copy(), np.full(n, np.nan), np.zeros(n, int), np.zeros(n, bool), np.full(n, "cap", "U40")
    )
    for i, start in enumerate(starts):
        surface = Surface(start, cap)
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                met = run(own, surface, stop)
                why = "converged" if met else "gave up"
            except CapReached:
                met, why = False, "cap"
            except NotFinite:
                met, why = False, "not finite"
            except Exception as error:
                met, why = False, type(error).__name__
        ends.x[i], ends.energies[i], ends.calls[i] = (
            surface.seen.reshape(-1, 3),
            surface.energy,
            surface.calls,
        )
        ends.converged[i], ends.why[i] = met, why
        if surface.calls:
            ends.x[i] = surface.seen.reshape(-1, 3)
    return ends
