"""All clusters of a rule advanced together: one update of a batch for each round of force calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.core.state import take
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network
from relax.preconditioner.pair_stiffness import PairStiffness

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def metric_of(x: np.ndarray, stiffness: PairStiffness) -> PairHessian:
    """Return the metric of clusters ``x`` (n, atoms, 3) of the element that ASE is told they are of."""
    numbers, nowhere, never = np.ones(x.shape[1], int), np.zeros((3, 3)), np.zeros(3, bool)
    return PairHessian([spring_network(numbers, one, nowhere, never, stiffness) for one in x], stiffness)


class Ends(NamedTuple):
    """Where n runs ended."""

    x: np.ndarray  # (n, atoms, 3)
    energies: np.ndarray  # (n,)
    calls: np.ndarray  # (n,) force calls, the first included
    converged: np.ndarray  # (n,) bool
    why: np.ndarray  # (n,) str: "converged", "cap", "not finite", or the error that ended the run


def advance(rule: Rule, starts: np.ndarray, evaluate: Evaluate, stop: float, cap: int) -> Ends:
    """Run ``rule`` from every start (n, atoms, 3) until the L2 norm of all forces is <= ``stop``.

    At most ``cap`` force calls each.  A cluster whose energy is no longer a number is given up.  The
    finished leave the batch once they are a fifth of it, which changes no path: no rule lets one
    structure see another.
    """
    n, atoms, _ = starts.shape
    ends = Ends(
        starts.copy(), np.full(n, np.nan), np.zeros(n, int), np.zeros(n, bool), np.full(n, "cap", "U40")
    )
    who, x = np.arange(n), starts.copy()
    running = np.ones(n, bool)
    state = rule.init(x.reshape(-1, 3))
    for call in range(1, cap + 1):
        e, g = evaluate(x)
        norm = np.sqrt((g * g).sum(axis=(1, 2)))
        met, lost = norm <= stop, ~np.isfinite(norm)
        leaving = running & (met | lost | (call == cap))
        here = who[leaving]
        ends.x[here], ends.energies[here], ends.calls[here] = x[leaving], e[leaving], call
        ends.converged[here] = met[leaving]
        ends.why[here] = np.where(met, "converged", np.where(lost, "not finite", "cap"))[leaving]
        running &= ~leaving
        if not running.any():
            break
        if running.mean() < 0.8:
            state = take(state, np.repeat(running, atoms))
            x, e, g, who = x[running], e[running], g[running], who[running]
            running = np.ones(len(x), bool)
        rows = (-1, 3)
        seg = Segments([atoms] * len(x))
        metric = metric_of(x, rule.stiffness) if rule.stiffness else None
        point = Point(x.reshape(rows), g.reshape(rows), np.repeat(e, atoms)[:, None], seg, metric)
        dx, state = rule.update(state, point)
        x = np.where(running[:, None, None], x + dx.reshape(x.shape), x)
    return ends
