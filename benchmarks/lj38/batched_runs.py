"""Clusters that one rule relaxes together, by the engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms

from benchmarks.lj38.clusters import lennard_jones
from relax.calculators import Evaluation, Geometry
from relax.core.rule import Rule
from relax.core.settings import Criteria
from relax.engine.batch.run import BatchRun
from relax.engine.entries import Intake
from relax.engine.relaxation import Policy
from relax.rules.wrappers import innermost

WORDS = {"converged": "converged", "max_steps": "cap", "nonfinite": "not finite"}


class Ends(NamedTuple):
    """Where n runs ended.

    Attributes
    ----------
    x
        Positions (n, atoms, 3).
    energies
        (n,).
    calls
        Force calls (n,), the first included.
    converged
        (n,) of bool.
    why
        (n,) of str: ``"converged"``, ``"cap"``, ``"not finite"``, or the exception that ended the run.
    """

    x: np.ndarray
    energies: np.ndarray
    calls: np.ndarray
    converged: np.ndarray
    why: np.ndarray

    @classmethod
    def at_start(cls, starts: np.ndarray) -> Ends:
        """Return the ends of runs from ``starts`` (n, atoms, 3) that have made no force call."""
        n = len(starts)
        return cls(
            starts.copy(), np.full(n, np.nan), np.zeros(n, int), np.zeros(n, bool), np.full(n, "cap", "U40")
        )


class Clusters:
    """The Lennard-Jones energy of free clusters of one size, as a potential."""

    unit = "atoms"
    device = "cpu"
    batched = True

    def admit(self, key: int, atoms: Atoms) -> float:
        return len(atoms)

    def release(self, key: int) -> None:
        """Do nothing: nothing is kept."""

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        n = len(geometry.keys)
        energies, gradients = lennard_jones(geometry.positions.reshape(n, -1, 3))
        return Evaluation(energies, -gradients.reshape(-1, 3), np.full((n, 3, 3), np.nan))


def run_batch(rule: Rule, starts: np.ndarray, stop: float, cap: int) -> Ends:
    """Relax every start (n, atoms, 3) with ``rule`` until the L2 norm of all forces is at most ``stop``.

    Each run has at most ``cap`` force calls, and ends when a number is not finite.  It is not stopped for
    coming apart: that is looked at afterwards.
    """
    criteria = Criteria(fmax=np.inf, steps=cap - 1, fnorm=stop)
    run = BatchRun(Clusters(), rule, criteria, Policy(guard=False), Intake(innermost(rule)), np.inf)
    ends = Ends.at_start(starts)
    # Of hydrogen, like the clusters that ASE's optimizers get.
    for done in run.run(Atoms(f"H{len(x)}", x) for x in starts):
        s, result = done.index, done.result
        ends.x[s], ends.energies[s], ends.calls[s] = (
            done.atoms.positions,
            result.energy_last,
            result.force_calls,
        )
        ends.converged[s], ends.why[s] = result.converged, WORDS.get(result.status, result.reason[:40])
    return ends
