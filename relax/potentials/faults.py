"""Keeping what is wrong with one structure from the others beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relax.packages import words_of
from relax.potentials.geometries import chosen, finite, unknown
from relax.potentials.potential import Answer, Geometry, OutOfMemory

__all__ = ["asked"]


def asked(ask: Callable[[Geometry], Answer], geometry: Geometry) -> Answer:
    """Return what ``ask`` says of the structures that are finite, and NaN for the others.

    Where ``ask`` raises an exception, it is asked of each structure alone, and the exception is a fault of
    the structures that it comes with.

    Raises
    ------
    OutOfMemory
        From ``ask``.
    """
    answer = unknown(geometry)
    _fill(answer, ask, geometry, finite(geometry))
    return answer


def _fill(answer: Answer, ask: Callable[[Geometry], Answer], geometry: Geometry, mask: np.ndarray) -> None:
    places = np.flatnonzero(mask).tolist()
    if not places:
        return
    some, rows = chosen(geometry, mask)
    try:
        said = ask(some)
    except OutOfMemory:
        raise
    except Exception as error:
        if len(places) == 1:
            answer.faults[places[0]] = words_of(error)
            return
        for place in places:
            _fill(answer, ask, geometry, np.arange(len(mask)) == place)
        return
    answer.energies[mask], answer.forces[rows], answer.stresses[mask] = (
        said.energies,
        said.forces,
        said.stresses,
    )
    answer.faults.update({places[k]: why for k, why in said.faults.items()})
