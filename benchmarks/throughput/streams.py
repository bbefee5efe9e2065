"""A long stream of small clusters: time and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from ase import Atoms

from benchmarks.throughput.baselines import Stopwatch
from benchmarks.throughput.measurements import Row
from benchmarks.throughput.models import FMAX
from relax import relax_many
from relax.analysis.comparison.runs.processes import peak_memory

RULE = "frankenstein"
BUDGET = 4000
"""Atoms in a batch."""
SITES = np.argwhere(np.ones((3, 3, 3), bool)) - 1.0


def clusters(n: int) -> Iterator[Atoms]:
    """Yield ``n`` clusters of 5 to 12 atoms near lattice sites, for Lennard-Jones in reduced units."""
    near = SITES[np.argsort((SITES**2).sum(axis=1), kind="stable")] * 1.1
    for seed in range(n):
        rng = np.random.default_rng(seed)
        atoms = 5 + seed % 8
        yield Atoms(f"Ar{atoms}", near[:atoms] + rng.normal(0, 0.05, (atoms, 3)))


def stream(n: int) -> Row:
    """Relax a stream of ``n`` clusters; return the time and the memory it took."""
    # What is imported at the first call must not count.
    for _ in relax_many(clusters(50), "lj", RULE, fmax=FMAX, budget=BUDGET):
        pass
    before, calls, ended, tenth = peak_memory(), 0, Counter[str](), 0.0
    stopwatch = Stopwatch()
    run = relax_many(clusters(n), "lj", RULE, fmax=FMAX, budget=BUDGET)
    for count, done in enumerate(run, 1):
        calls += done.result.force_calls
        ended[done.result.status] += 1
        tenth = peak_memory() if count == max(1, n // 10) else tenth
    seconds, processor_seconds = stopwatch.read()
    return {
        "method": f"relax:{RULE}",
        "structures": n,
        "structures_per_s": n / seconds,
        "ms_per_structure": 1e3 * seconds / n,
        "processor_ms_per_structure": 1e3 * processor_seconds / n,
        "force_calls": calls / n,
        "ended": dict(ended),
        "before_MB": before,
        "after_a_tenth_MB": tenth,
        "peak_MB": peak_memory(),
    }
