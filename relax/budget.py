"""How much of a batch goes through a potential at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from relax.potentials.potential import Potential

__all__ = ["Budget", "gpu_memory"]

SHARE = 0.8
"""Part of the free memory of a GPU that is filled."""

GAIN = 0.05
"""What more structures at once must save, per structure, to be worth it."""

WORSE = 1.5
"""How much slower than the best, per structure, is no use going on from."""

PROBED = 32
"""Most structures of a probe."""

FOUND: WeakKeyDictionary[Potential, float] = WeakKeyDictionary()
"""The limits that probes have found: a potential is probed once."""

LONGEST = 5.0
"""Seconds after which a probe tries nothing larger."""

ONE_BY_ONE = 512.0
"""Atoms held at once for a potential that takes one structure after the other: rules like company."""

FIRST_ON_GPU = 4096.0
"""Size of the first call on a GPU, from which the memory of the next ones is reckoned."""


def gpu_memory(device: str) -> tuple[float, float]:
    """Return the bytes that may be used on a GPU, and those that the calls since the last question used."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    used = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return float(free + cached), float(used)


class Budget:
    """The largest size, in the potential's ``unit``, of what is evaluated at once.

    On a GPU more at once is faster until memory ends: the limit follows from the memory that the calls
    so far took for their size.  On a CPU more at once is faster only until the caches end: a probe, before
    the first step, tries 1, 2, 4, ... of the structures at hand and takes the smallest number that is
    nearly as fast as the best; it is done once for a potential.  Wherever there was not enough memory after
    all, the limit is lowered.

    Parameters
    ----------
    potential
        What is asked.
    limit
        The size, if it is not to be found out.
    memory
        What tells of the memory of a device, see :func:`gpu_memory`.
    """

    def __init__(
        self,
        potential: Potential,
        limit: float | None = None,
        memory: Callable[[str], tuple[float, float]] = gpu_memory,
    ) -> None:
        if limit is not None and not limit > 0:
            raise ValueError(f"budget = {limit!r} is not allowed; give a number of {potential.unit} above 0")
        self.on_gpu = limit is None and potential.device != "cpu" and potential.batched
        self.to_probe = limit is None and potential.device == "cpu" and potential.batched
        self.potential = potential
        self.limit = math.inf if limit is None else float(limit)
        if self.to_probe and isinstance(potential, Hashable) and potential in FOUND:
            self.to_probe, self.limit = False, FOUND[potential]
        if limit is None and not potential.batched:
            self.limit = ONE_BY_ONE
        if self.on_gpu:
            self.limit = FIRST_ON_GPU
        self.device, self.memory = potential.device, memory
        self.ceiling = math.inf
        self.per_unit = 0.0

    def probe(self, sizes: Sequence[float], evaluate: Callable[[int], None]) -> None:
        """Find the limit on a CPU: ``evaluate(n)`` does, for nothing, the first n structures of ``sizes``."""
        self.to_probe = False
        costs: dict[float, float] = {}
        began, count = time.perf_counter(), 1
        while count <= min(len(sizes), PROBED) and time.perf_counter() - began < LONGEST:
            size, start = float(sum(sizes[:count])), time.perf_counter()
            evaluate(count)
            costs[size] = (time.perf_counter() - start) / size
            if costs[size] > WORSE * min(costs.values()):
                break
            count *= 2
        good = [size for size, cost in costs.items() if cost <= (1 + GAIN) * min(costs.values())]
        self.limit = 1.01 * min(good)
        if isinstance(self.potential, Hashable):
            FOUND[self.potential] = self.limit

    def learn(self, size: float) -> None:
        """On a GPU, take note of the memory that a call of this ``size`` took."""
        if not self.on_gpu:
            return
        free, used = self.memory(self.device)
        self.per_unit = max(self.per_unit, used / size)
        if self.per_unit:
            self.limit = min(self.ceiling, SHARE * free / self.per_unit)

    def shrink(self, size: float) -> None:
        """Take note that a call of this ``size`` found too little memory."""
        self.limit = self.ceiling = min(self.limit, self.ceiling, size / 2)

    def chunks(self, sizes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the places (n,) of structures of these ``sizes`` (S,) that go together, in order."""
        first, total = 0, 0.0
        for place, size in enumerate(sizes):
            if place > first and total + size > self.limit:
                yield np.arange(first, place)
                first, total = place, 0.0
            total += size
        if len(sizes):
            yield np.arange(first, len(sizes))
