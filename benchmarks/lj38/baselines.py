"""ASE's and SciPy's optimizers on clusters, one by one, with force calls counted at the energy.

A run stops where the optimizer itself checks convergence: after every force call for those that make one
per step, after every line search for the others.  Trial points of line searches are counted.  SciPy's
L-BFGS-B never computes the L2 norm; it is stopped at the force call that meets the criterion, as in
OptBench.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.utils.abc import Optimizable

from benchmarks.lj38.batched_runs import Ends
from benchmarks.lj38.clusters import lennard_jones
from relax.analysis.comparison.runs.call_counter import CapReached
from relax.engine.batch.of_ase.names import ase_class


class NotFinite(Exception):
    """The energy or the forces are not finite."""


class Converged(Exception):
    """The criterion is met; for optimizers that do not check it."""


class ClusterEnergy(Optimizable):
    """The energy of a cluster for ASE's optimizers; each new geometry costs one force call.

    ``ase.Atoms`` with a calculator would count the same calls, but takes ten times as long as a force call
    to find out whether the atoms have moved.
    """

    def __init__(self, start: np.ndarray, cap: int) -> None:
        self.x = start.ravel().copy()
        self.cap = cap
        self.calls = 0
        self.evaluated = np.full(self.x.size, np.nan)
        self.energy, self.gradient, self.norm = math.nan, np.empty(0), math.inf

    def evaluate(self) -> None:
        """Make the force call, unless the last one was at the same geometry."""
        if np.array_equal(self.x, self.evaluated):
            return
        if self.calls == self.cap:
            raise CapReached
        energies, gradients = lennard_jones(self.x.reshape(1, -1, 3))
        self.calls += 1
        self.evaluated = self.x.copy()
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
        self.evaluate()
        return self.energy

    def get_gradient(self) -> np.ndarray:
        self.evaluate()
        return self.gradient.copy()

    def iterimages(self) -> Iterator[Any]:
        """Yield nothing: no trajectory is written."""
        return iter(())

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        """Return whether the L2 norm of all forces, and not the largest force, is at most ``fmax``."""
        return bool(np.linalg.norm(gradient) <= fmax)


def run_ase(name: str, cluster: ClusterEnergy, stop: float) -> bool:
    """Run an optimizer of ASE with its defaults until the L2 norm of all forces is at most ``stop``."""
    # A step back to the last geometry costs no force call, so that steps need a limit as well.
    return bool(ase_class(name)(cluster, logfile=None).run(fmax=stop, steps=cluster.cap))


def run_scipy(method: str, cluster: ClusterEnergy, stop: float) -> bool:
    """Run a method of ``scipy.optimize.minimize`` with its defaults, but without its own criteria."""
    from scipy.optimize import minimize

    def energy_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        cluster.set_x(x)
        cluster.evaluate()
        if cluster.norm <= stop:
            raise Converged
        return cluster.energy, cluster.gradient.copy()

    no_criteria = {"ftol": 0.0, "gtol": 0.0, "maxiter": 10**9, "maxfun": 10**9}
    try:
        minimize(energy_and_gradient, cluster.get_x(), jac=True, method=method, options=no_criteria)
    except Converged:
        return True
    return False


def run_one_by_one(name: str, starts: np.ndarray, stop: float, cap: int) -> Ends:
    """Run ``ase:NAME`` or ``scipy:METHOD`` from every start (n, atoms, 3); the criterion is that of rules.

    An exception ends only the run in which it is raised, which has then not converged.
    """
    package, own = name.split(":")
    run = {"ase": run_ase, "scipy": run_scipy}[package]
    ends = Ends.at_start(starts)
    for i, start in enumerate(starts):
        cluster = ClusterEnergy(start, cap)
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                ends.converged[i] = run(own, cluster, stop)
                ends.why[i] = "converged" if ends.converged[i] else "gave up"
            except CapReached:
                ends.why[i] = "cap"
            except NotFinite:
                ends.why[i] = "not finite"
            except Exception as error:
                ends.why[i] = type(error).__name__
        ends.energies[i], ends.calls[i] = cluster.energy, cluster.calls
        if cluster.calls:
            ends.x[i] = cluster.evaluated.reshape(-1, 3)
    return ends
