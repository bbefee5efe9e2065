"""MACE in two precisions: float32 far from where a relaxation stops, and float64 near it."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.models.mace import MACE, unbatched
from relax.calculators.splitting import chosen, parts, unknown
from relax.core.errors import CalculatorError

__all__ = ["MixedPrecision"]

NEAR, MARGIN = 0.2, 2.0
"""Longest force on an atom (eV/A) below which a structure is near its stop, and the least multiple of the
``fmax`` of the relaxation that this is."""

SOON = 2.0
"""Below this multiple of it the next call is in float64."""


class MixedPrecision:
    """A MACE model in float32 for structures far from their stop, and in float64 for all others.

    A structure is far until its longest force is below :data:`NEAR`.  The call that finds this is repeated in
    float64, and counts as two; mostly the one before has found that it is nearly so, and the next is in
    float64 at once.  From then on all calls of the structure are in float64, so that whether it has converged
    is judged by these, and so are the energy, forces and stress that are reported of it.  A structure that
    ends without ever coming near, at the limit of steps, has those of float32.  One with constraints, whose
    longest force says nothing, is computed in float64 from the start.

    Each structure is judged by itself, so that it takes the same course whatever is beside it.

    Parameters
    ----------
    single, double
        MACECalculators of the same model, in float32 and in float64.

    Raises
    ------
    CalculatorError
        The model cannot be batched, see :func:`relax.calculators.models.mace.unbatched`.
    """

    unit = "edges"
    batched = True

    def __init__(self, single: Any, double: Any) -> None:
        if why := unbatched(double):
            raise CalculatorError(f"mixed precision is for batched MACE models: this is {why}")
        self.double = MACE(double)
        self.single = MACE(single, lists=self.double.lists)
        self.device = self.double.device
        self.near = NEAR
        self._far: set[int] = set()

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time since the start, s, by task."""
        return {what: spent + self.single.seconds[what] for what, spent in self.double.seconds.items()}

    def aim(self, fmax: float) -> None:
        """Take in the longest force that counts as converged, eV/A."""
        self.near = max(NEAR, MARGIN * fmax)

    def admit(self, key: int, atoms: Atoms) -> float:
        size = self.double.admit(key, atoms)
        if not atoms.constraints:
            self._far.add(key)
        return size

    def release(self, key: int) -> None:
        self.double.release(key)
        self._far.discard(key)

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        far = np.array([key in self._far for key in geometry.keys])
        exact, evaluation = ~far, unknown(geometry)
        if far.any():
            _into(evaluation, self.single, geometry, far, stress)
            squares = (evaluation.forces**2).sum(axis=1)
            longest = np.sqrt([squares[rows].max() for rows in parts(geometry)])
            # What is not a number in float32 may be one in float64.
            exact |= ~(longest >= self.near)
            self._far -= {
                key
                for key, force in zip(geometry.keys, longest, strict=True)
                if not force >= SOON * self.near
            }
            evaluation.calls = {int(s): 2 for s in np.flatnonzero(far & exact)}
        if exact.any():
            _into(evaluation, self.double, geometry, exact, stress)
        return evaluation


def _into(evaluation: Evaluation, model: MACE, geometry: Geometry, mask: np.ndarray, stress: bool) -> None:
    """Write into ``evaluation`` what ``model`` says of the structures that ``mask`` (S,) selects."""
    some, rows = chosen(geometry, mask)
    found, places = model.evaluate(some, stress), np.flatnonzero(mask)
    evaluation.energies[mask], evaluation.forces[rows] = found.energies, found.forces
    evaluation.stresses[mask] = found.stresses
    for place in places.tolist():
        evaluation.faults.pop(place, None)
    evaluation.faults |= {int(places[s]): words for s, words in found.faults.items()}
