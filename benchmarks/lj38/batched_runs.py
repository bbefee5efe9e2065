"""Clusters that one rule relaxes together: one update of the batch for each round of force calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from relax import PairStiffness
from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.core.state import take
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network

Potential = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Returns energies (n,) and gradients (n, atoms, 3) of clusters (n, atoms, 3)."""
SHRINK_BELOW = 0.8
"""Share of running clusters below which the batch is reduced to them."""


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


def model_hessian(x: np.ndarray, stiffness: PairStiffness) -> PairHessian:
    """Return the model Hessian of clusters ``x`` (n, atoms, 3), of hydrogen like the clusters ASE gets."""
    numbers, cell, pbc = np.ones(x.shape[1], int), np.zeros((3, 3)), np.zeros(3, bool)
    return PairHessian([spring_network(numbers, one, cell, pbc, stiffness) for one in x], stiffness)


def run_batch(rule: Rule, starts: np.ndarray, potential: Potential, stop: float, cap: int) -> Ends:
    """Relax every start (n, atoms, 3) with ``rule`` until the L2 norm of all forces is at most ``stop``.

    Each run has at most ``cap`` force calls, and ends when its energy is not finite.  Taking clusters out
    of the batch changes no path, since no rule lets structures depend on each other.
    """
    atoms = starts.shape[1]
    ends = Ends.at_start(starts)
    index, x = np.arange(len(starts)), starts.copy()
    running = np.ones(len(starts), bool)
    state = rule.init(x.reshape(-1, 3))
    for call in range(1, cap + 1):
        e, g = potential(x)
        norm = np.sqrt((g * g).sum(axis=(1, 2)))
        converged, broken = norm <= stop, ~np.isfinite(norm)
        ending = running & (converged | broken | (call == cap))
        which = index[ending]
        ends.x[which], ends.energies[which], ends.calls[which] = x[ending], e[ending], call
        ends.converged[which] = converged[ending]
        ends.why[which] = np.where(converged, "converged", np.where(broken, "not finite", "cap"))[ending]
        running &= ~ending
        if not running.any():
            break
        if running.mean() < SHRINK_BELOW:
            state = take(state, np.repeat(running, atoms))
            x, e, g, index = x[running], e[running], g[running], index[running]
            running = np.ones(len(x), bool)
        seg = Segments([atoms] * len(x))
        hessian = model_hessian(x, rule.stiffness) if rule.stiffness else None
        energies = np.repeat(e, atoms)[:, None]
        dx, state = rule.update(state, Point(x.reshape(-1, 3), g.reshape(-1, 3), energies, seg, hessian))
        x = np.where(running[:, None, None], x + dx.reshape(x.shape), x)
    return ends
