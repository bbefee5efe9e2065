"""How much of a batch goes through a potential at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from weakref import WeakKeyDictionary

import numpy as np

from relax.calculators.base import Potential

__all__ = ["PROBED", "Budget", "gpu_memory"]

SHARE = 0.8
"""Part of the free memory of a GPU that is filled."""

FIRST_ON_GPU = 4096.0
"""Size of the first call on a GPU, from which the memory of the next ones is reckoned."""

ONE_BY_ONE = 512.0
"""Atoms held at once for a potential that takes one structure after the other: rules like company."""

PROBED, SWEEPS = 128, 2
"""Structures that enter for a probe, and how often they are used for one."""

WORTH_A_PROBE = 16
"""Structures from which on it pays to find out how many go together best."""

LOSS = 0.05
"""How much slower than the best a call may be for more structures at once, which cost less outside it."""

LONGEST = 1.0
"""Seconds of a call beyond which no larger one is tried: it might be memory that ends first."""

FOUND: WeakKeyDictionary[Potential, float] = WeakKeyDictionary()
"""The limits that probes have found: a potential is probed once."""


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
    so far took for their size.  On a CPU more at once is faster only until the caches end: in a probe, the
    first rounds cut the batch into 1, 2, 4, ... structures, and the largest number that is nearly as
    fast as the best is kept to; it is done once for a potential, and no call of it is for nothing.
    Wherever there was not enough memory after all, the limit is lowered.

    Parameters
    ----------
    potential
        What is asked.
    limit
        The size, if it is not to be found out.
    memory
        What tells of the memory of a device, see :func:`gpu_memory`.

    Raises
    ------
    ValueError
        The limit is not a number above 0.
    """

    def __init__(
        self,
        potential: Potential,
        limit: float | None = None,
        memory: Callable[[str], tuple[float, float]] = gpu_memory,
    ) -> None:
        if limit is not None and not limit > 0:
            raise ValueError(f"budget = {limit!r} is not allowed; give a number of {potential.unit} above 0")
        open_ended = limit is None and potential.batched
        self.on_gpu = open_ended and potential.device != "cpu"
        self.to_probe = open_ended and potential.device == "cpu"
        self.limit = math.inf if limit is None else float(limit)
        if limit is None and not potential.batched:
            self.limit = ONE_BY_ONE
        if self.on_gpu:
            self.limit = FIRST_ON_GPU
        self.potential, self.memory = potential, memory
        self.ceiling = math.inf
        self._per_unit = 0.0
        self._costs: dict[int, float] = {}  # fastest seconds per unit, by the number of structures
        self._sizes: dict[int, float] = {}
        self._last, self._sweeps = 0.0, 0
        if self.to_probe and isinstance(potential, Hashable) and potential in FOUND:
            self.to_probe, self.limit = False, FOUND[potential]

    def chunks(self, sizes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the places (n,) of structures of these ``sizes`` (S,) that go together, in order."""
        probes = self.to_probe and len(sizes) >= WORTH_A_PROBE
        first, count = 0, 1
        while first < len(sizes):
            within = int((np.cumsum(sizes[first:]) <= self.limit).sum())
            last = min(first + count, len(sizes)) if probes else first + max(1, within)
            yield np.arange(first, last)
            first = last
            count *= 2 if self._last < LONGEST else 1
        if probes:
            self._sweeps += 1
            if self._sweeps == SWEEPS:
                self._settle()

    def learn(self, count: int, size: float, seconds: float) -> None:
        """Take note of a call: its structures, their size, and the time that it took."""
        if self.on_gpu:
            free, used = self.memory(self.potential.device)
            self._per_unit = max(self._per_unit, used / size)
            if self._per_unit:
                self.limit = min(self.ceiling, SHARE * free / self._per_unit)
        elif self.to_probe:
            self._last = seconds
            self._costs[count] = min(seconds / size, self._costs.get(count, math.inf))
            self._sizes[count] = max(size, self._sizes.get(count, 0.0))

    def _settle(self) -> None:
        """Keep to what was found to be best."""
        fastest = min(self._costs.values())
        count = max(n for n, cost in self._costs.items() if cost <= (1 + LOSS) * fastest)
        size, half = self._sizes[count], self._costs.get(count // 2, math.inf)
        if count == max(self._costs) and self._costs[count] < (1 - LOSS) * half < math.inf:
            size *= 2  # there were too few to see the end of what twice as many save
        self.to_probe, self.limit = False, min(size, self.ceiling)
        if isinstance(self.potential, Hashable):
            FOUND[self.potential] = self.limit

    def shrink(self, size: float) -> None:
        """Take note that a call of this ``size`` found too little memory."""
        self.limit = self.ceiling = min(self.limit, self.ceiling, size / 2)
