"""Runs of an optimizer from many clusters, in several processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np

from benchmarks.lj38.batched_runs import Ends, run_batch
from relax.analysis.comparison.minimizers.construction import rule_named
from relax.analysis.comparison.minimizers.names import is_foreign
from relax.analysis.comparison.runs import processes

STOP, CAP = 0.01, 10_000
PART, FOREIGN_PART = 200, 20
"""Clusters that a process gets at a time: of our rules, which relax them together, and of the others."""


class Part(NamedTuple):
    """Some of the starts (n, atoms, 3) of one optimizer."""

    optimizer: str
    number: int
    starts: np.ndarray


class Done(NamedTuple):
    """How the runs of a part, or of an optimizer, ended, and the seconds they took."""

    optimizer: str
    number: int
    ends: Ends
    seconds: float


def run_optimizer(name: str, starts: np.ndarray, stop: float, cap: int) -> Ends:
    """Relax every start (n, atoms, 3) until the L2 norm of all forces is at most ``stop``."""
    if is_foreign(name):
        from benchmarks.lj38.baselines import run_one_by_one

        return run_one_by_one(name, starts, stop, cap)
    with np.errstate(all="ignore"):  # overflow is recorded as a failure
        return run_batch(rule_named(name), starts, stop, cap)


def run_part(part: Part) -> Done:
    """Run a part."""
    began = time.perf_counter()
    ends = run_optimizer(part.optimizer, part.starts, STOP, CAP)
    return Done(part.optimizer, part.number, ends, time.perf_counter() - began)


def parts_of(name: str, starts: np.ndarray) -> list[Part]:
    """Return the parts of one optimizer."""
    size = FOREIGN_PART if is_foreign(name) else PART
    return [Part(name, i, starts[cut : cut + size]) for i, cut in enumerate(range(0, len(starts), size))]


def run_all(names: Sequence[str], starts: np.ndarray, jobs: int) -> Generator[Done | None]:
    """Yield all runs of an optimizer when they are complete, and None for every other part that is."""
    parts = [part for name in names for part in parts_of(name, starts)]
    missing = Counter(part.optimizer for part in parts)
    done: dict[str, dict[int, Done]] = {name: {} for name in names}
    with closing(processes.in_processes(run_part, parts, jobs)) as results:
        for one in results:
            done[one.optimizer][one.number] = one
            if len(done[one.optimizer]) < missing[one.optimizer]:
                yield None
                continue
            found = done.pop(one.optimizer)
            ordered = [found[i] for i in range(len(found))]
            ends = Ends(*(np.concatenate(arrays) for arrays in zip(*(p.ends for p in ordered), strict=True)))
            yield Done(one.optimizer, 0, ends, sum(p.seconds for p in ordered))
