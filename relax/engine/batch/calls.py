"""The force calls of a batch: as many structures at once as there is room for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from relax.calculators.base import Evaluation, Geometry, Potential, numbers
from relax.calculators.batch_size import Budget
from relax.calculators.splitting import chosen, unknown
from relax.core.errors import OutOfMemory, RelaxationStopped, one_line
from relax.engine.coordinates import BatchCoordinates
from relax.engine.evaluation import alarm
from relax.engine.history import History

__all__ = ["BatchCalls", "with_stress"]


class BatchCalls:
    """The force calls of a batch.

    Parameters
    ----------
    potential
        What computes.
    budget
        How much it takes at once, in its unit; found out, if None.
    timeout
        Time of each structure, s.  A call is ended when that of all structures in it is up.
    stress
        Whether the stress is computed of cells that are held too.

    Attributes
    ----------
    seconds
        Time (S,) of the last evaluation: the share of each structure, by size, in that of its calls, s.
    """

    def __init__(
        self,
        potential: Potential,
        budget: float | None,
        timeout: float | None = None,
        stress: bool = False,
    ) -> None:
        self.potential, self.budget = potential, Budget(potential, budget)
        self.timeout, self.stress = timeout, stress

    def evaluate(
        self, c: BatchCoordinates, sizes: np.ndarray, history: History
    ) -> tuple[Evaluation, np.ndarray]:
        """Return what the potential computes for all structures, and the force calls (S,) that it took.

        It is not asked again of a structure that has not moved, as a rule that takes back a step may leave
        one: what it said of that is in ``history``.

        Parameters
        ----------
        sizes
            The sizes of the structures (S,) in the unit of the potential.
        """
        geometry, good, unmoved = c.geometry(), history.good, history.record.unmoved
        self._begin(geometry)
        if self.timeout is not None:
            self.left = self.timeout - history.record.wall
        if unmoved.any():
            atoms = unmoved[c.owner]
            energies = c.energies(good.value)
            self.evaluation.energies[unmoved] = energies[unmoved]
            self.evaluation.forces[atoms] = good.forces[atoms]
            self.evaluation.stresses[unmoved] = good.stresses[unmoved]
        asked = with_stress(c, self.stress)
        for stress in (True, False):
            alike = np.flatnonzero((asked == stress) & ~unmoved)
            for chunk in self._chunks(sizes[alike]):
                self._ask(geometry, alike[chunk], stress, sizes)
        return self.evaluation, self.calls

    def ask(self, geometry: Geometry, sizes: np.ndarray) -> Evaluation:
        """Return what the potential computes for structures that do not relax, such as points on a grid.

        Parameters
        ----------
        geometry
            S structures, which the potential has admitted.
        sizes
            Their sizes (S,) in the unit of the potential.
        """
        self._begin(geometry)
        for chunk in self._chunks(sizes):
            self._ask(geometry, chunk, False, sizes)
        return self.evaluation

    def _begin(self, geometry: Geometry) -> None:
        """Know nothing of the structures yet."""
        count = len(geometry.keys)
        self.evaluation, self.calls = unknown(geometry), np.zeros(count, int)
        self.seconds, self.left = np.zeros(count), np.full(count, math.inf)

    def _chunks(self, sizes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the indices (n,) of the structures of each call; a call that hangs is then that of one."""
        if self.potential.batched:
            yield from self.budget.chunks(sizes)
        else:
            yield from np.arange(len(sizes))[:, None]

    def _ask(self, geometry: Geometry, places: np.ndarray, stress: bool, sizes: np.ndarray) -> None:
        """Fill in what the potential says of the structures at ``places``, together or else by halves."""
        size, began, evaluation = float(sizes[places].sum()), time.perf_counter(), self.evaluation
        shares = sizes[places] / size
        longest = float((self.left[places] / shares).max())
        try:
            some, atoms = chosen(geometry, np.isin(np.arange(len(geometry.keys)), places))
            try:
                # Without any time there is still the first call of a structure.
                with alarm(began + longest if 0 < longest < math.inf else None):
                    found = checked(self.potential.evaluate(some, stress), some)
            finally:
                self.seconds[places] += shares * (time.perf_counter() - began)
        except RelaxationStopped as stop:
            evaluation.timeouts |= {int(place): stop.reason for place in places}
            self.calls[places] += 1
            return
        except OutOfMemory as error:
            self.budget.shrink(size)
            fault = " ".join(str(error).split()) or "out of memory"
        except Exception as error:
            fault = one_line(error)
        else:
            self.budget.learn(len(places), size, time.perf_counter() - began)
            evaluation.energies[places] = found.energies
            evaluation.forces[atoms] = found.forces
            evaluation.stresses[places] = found.stresses
            evaluation.faults |= {int(places[s]): words for s, words in found.faults.items()}
            self.calls[places] += [found.calls.get(s, 1) for s in range(len(places))]
            return
        if len(places) == 1:
            evaluation.faults[int(places[0])] = fault
            self.calls[places] += 1
            return
        half = len(places) // 2
        self._ask(geometry, places[:half], stress, sizes)
        self._ask(geometry, places[half:], stress, sizes)


def checked(found: Evaluation, geometry: Geometry) -> Evaluation:
    """Return what a potential has ``found``, as arrays of the shapes that they should have.

    Raises
    ------
    ValueError
        It is not the numbers it should be.
    """
    count = len(geometry.keys)
    return Evaluation(
        numbers("energies", found.energies, (count,)),
        numbers("forces", found.forces, (len(geometry.positions), 3)),
        numbers("stresses", found.stresses, (count, 3, 3)),
        found.faults,
        found.timeouts,
        found.calls,
    )


def with_stress(c: BatchCoordinates, always: bool) -> np.ndarray:
    """Return of which structures (S,) the stress is computed.

    Those are the ones whose cell relaxes or, if ``always``, all that are periodic in a cell with a volume.
    """
    return np.asarray(c.relaxes | (always & c.constants.pbc.any(axis=1) & (c.volumes > 1e-6)))
