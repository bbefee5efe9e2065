"""Autobatching: how many structures are evaluated in one call of a potential."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Iterator
from weakref import WeakKeyDictionary

import numpy as np

from relax.calculators.base import Potential

__all__ = ["PROBED", "Budget", "gpu_memory"]

LOG = logging.getLogger(__name__)

SHARE = 0.8
"""Fraction of the free memory of a GPU that is used."""

FIRST_ON_GPU = 4096.0
"""Size of the first call on a GPU.  Its memory determines the size of the next ones."""

ONE_BY_ONE = 512.0
"""Largest number of atoms in a batch if the potential is not batched: the update rules still are."""

PROBED, SWEEPS = 128, 2
"""Number of structures in a batch during a probe, and number of rounds that a probe takes."""

WORTH_A_PROBE = 16
"""Smallest number of structures for which a probe is worth its time."""

LOSS = 0.05
"""Fraction by which a call may be slower than the fastest, per size.  More structures at once save time
outside the call."""

LONGEST = 1.0
"""Duration of a call (s) above which a probe does not try larger ones, since memory might run out."""

BRIEF = 0.01
"""Duration of the calls of a round (s) up to which structures are added on a CPU: what a step does outside of
them takes nearly as long for few structures as for many."""

FOUND: WeakKeyDictionary[Potential, tuple[float, float]] = WeakKeyDictionary()
"""Limits that probes have found, and calls per round, so that each potential is probed only once."""


def gpu_memory(device: str) -> tuple[float, float]:
    """Return the free bytes on a GPU, and the largest use of memory since the last call, in bytes."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    used = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return float(free + cached), float(used)


class Budget:
    """The largest size of the structures that are evaluated at once, in the potential's ``unit``.

    On a GPU larger calls are faster, up to the memory.  The limit follows from the memory per size of the
    calls so far.

    On a CPU larger calls are faster only as long as the data fits into the caches.  The limit comes from a
    probe: the first rounds evaluate the batch in calls of 1, 2, 4, ... structures, and the largest number
    that is nearly as fast as the best one becomes the limit.  A potential is probed once.  The probe needs
    no extra calls, since the run uses the results.  Where the calls are brief, a batch has several of them.

    If memory runs out after all, the limit is lowered.

    Parameters
    ----------
    potential
        The potential.
    limit
        A fixed limit, in the potential's ``unit``.  If not given, it is determined as above.
    memory
        Function that returns the free and the used memory of a device, like :func:`gpu_memory`.

    Raises
    ------
    ValueError
        The limit is not above 0.

    Attributes
    ----------
    limit
        The largest size of a call, in the potential's ``unit``.
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
        self.upper_limit = math.inf
        self._per_unit = 0.0
        self._costs: dict[int, float] = {}  # fastest seconds per unit, by the number of structures
        self._sizes: dict[int, float] = {}
        self._last, self._sweeps = 0.0, 0
        self._calls = 1.0
        if self.to_probe and isinstance(potential, Hashable) and potential in FOUND:
            self.to_probe, (self.limit, self._calls) = False, FOUND[potential]

    @property
    def room(self) -> float:
        """The size of the structures that are relaxed at a time, in the potential's ``unit``."""
        return self.limit * self._calls

    def chunks(self, sizes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the indices (n,) of the structures of each call, in order; ``sizes`` (S,) are their sizes."""
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
        """Record a call: the number of structures, their total size, and the duration in seconds."""
        if self.on_gpu:
            free, used = self.memory(self.potential.device)
            self._per_unit = max(self._per_unit, used / size)
            if self._per_unit:
                self.limit = min(self.upper_limit, SHARE * free / self._per_unit)
                LOG.debug("a call may have %.0f %s, by the free memory", self.limit, self.potential.unit)
        elif self.to_probe:
            self._last = seconds
            self._costs[count] = min(seconds / size, self._costs.get(count, math.inf))
            self._sizes[count] = max(size, self._sizes.get(count, 0.0))

    def _settle(self) -> None:
        """End the probe, and set the limit to the best size."""
        fastest = min(self._costs.values())
        count = max(n for n, cost in self._costs.items() if cost <= (1 + LOSS) * fastest)
        size, half = self._sizes[count], self._costs.get(count // 2, math.inf)
        if count == max(self._costs) and self._costs[count] < (1 - LOSS) * half < math.inf:
            size *= 2  # the largest number was still faster than half of it, so more may be faster yet
        self.to_probe, self.limit = False, min(size, self.upper_limit)
        self._calls = max(1.0, BRIEF / max(self.limit * self._costs[count], 1e-9))
        LOG.info("calls of up to %.0f %s are the fastest", self.limit, self.potential.unit)
        if isinstance(self.potential, Hashable):
            FOUND[self.potential] = self.limit, self._calls

    def shrink(self, size: float) -> None:
        """Lower the limit after a call of this ``size`` ran out of memory."""
        self.limit = self.upper_limit = min(self.limit, self.upper_limit, size / 2)
        LOG.info("out of memory; from now on, calls of up to %.0f %s", self.limit, self.potential.unit)
