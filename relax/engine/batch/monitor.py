"""What is done beside a relaxation of many structures: logs, trajectories, displays, interruptions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax.core import state as states

if TYPE_CHECKING:
    from relax.engine.entries import Entry
    from relax.engine.relaxation import Relaxation

__all__ = ["Monitor", "Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """How a structure stands after a step.

    Parameters
    ----------
    index
        Its place among the structures given, as in :class:`~relax.engine.entries.Relaxed`.
    steps, force_calls
        Steps taken, and evaluations.
    energy
        Energy (enthalpy under pressure), eV.
    fmax, smax
        Longest force on an atom, eV/A, and largest component of the residual stress, GPa; NaN without one.
    relaxation, place
        The engine, until its next round, and the place of the structure there.
    """

    index: int
    steps: int
    force_calls: int
    energy: float
    fmax: float
    smax: float
    relaxation: Relaxation[Entry]
    place: int

    @property
    def radius(self) -> float:
        """The trust radius of the last step, A; NaN before the first, and with a rule that has none."""
        state, rows = self.relaxation.state, self.relaxation.coordinates.seg.slice(self.place)
        radii = states.found(state, "radius") if state is not None and self.steps else None
        return float("nan") if radii is None else float(radii[rows.start, 0])

    def atoms(self) -> Atoms:
        """Return a copy of the structure, with energy, forces and stress if there are any."""
        coordinates: Any = self.relaxation.coordinates
        atoms: Atoms = coordinates.atoms(self.place)
        results = self.relaxation.checks.now.results(coordinates, self.place)
        atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms


class Monitor:
    """Follows a batch; a subclass overrides what it needs.

    Attributes
    ----------
    follows
        Whether it is told of each step of each structure.
    """

    follows = False

    def interruptible(self) -> contextlib.AbstractContextManager[None]:
        """Return the context of a force call, and of reading structures: both may take long.

        Where KeyboardInterrupt or UsageError is raised within it, the structures that are being relaxed end
        as ``interrupted``, and are yielded before it goes on.
        """
        return contextlib.nullcontext()

    def follow(self, standing: Standing) -> None:
        """Take note of a structure after a step, and where it started; trials of a minimum check are none."""


def standings(relaxation: Relaxation[Entry]) -> Iterator[Standing]:
    """Yield how the structures stand that have just been evaluated, and have gone on since the last time."""
    now, record = relaxation.checks.now, relaxation.history.record
    fresh = ~relaxation.probed & (record.steps > [entry.told for entry in relaxation.entries])
    fresh[list(relaxation.stops)] = False
    for s in map(int, np.flatnonzero(fresh)):
        entry = relaxation.entries[s]
        entry.told = int(record.steps[s])
        yield Standing(
            entry.index, entry.told, int(record.calls[s]), float(now.value[s]), float(now.fmax[s]),
            float(now.smax[s]), relaxation, s,
        )  # fmt: skip
