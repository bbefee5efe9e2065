"""What is remembered of each structure: how it fares, and where it was when it was last good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from relax.core.ragged import RaggedArrays
from relax.core.result import Stop
from relax.core.settings import STALL
from relax.engine.arrays import Coordinates, Place
from relax.engine.coordinates import BatchCoordinates
from relax.geometry.displacement import Displacements
from relax.geometry.sanity import Integrity

__all__ = ["BatchSanity", "History", "Record", "Sanity", "Snapshot"]


class Sanity(Protocol):
    """Whether structures still hang together as they did at the start."""

    def moved(self) -> np.ndarray:
        """Return how far (S,), A, neighbours can have gone apart since the last check."""
        ...

    def fault(self, s: int) -> Stop | None:
        """Check structure ``s``: return what is wrong with it, or None and count from here."""
        ...


class BatchSanity:
    """The sanity checks of the structures of a batch.

    Parameters
    ----------
    coordinates
        The structures.
    checks
        The sanity check of each.
    """

    def __init__(self, coordinates: BatchCoordinates, checks: Sequence[Integrity]) -> None:
        self.coordinates, self.checks = coordinates, list(checks)
        self.since = Displacements.of([check.checked for check in checks])

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep the ``atoms`` (N,) and the ``structures`` (S,) in these masks."""
        self.since.take(atoms, structures)
        self.checks = [check for check, stays in zip(self.checks, structures, strict=True) if stays]

    def extend(self, others: BatchSanity) -> None:
        """Add what ``others`` hold after what is here."""
        self.since.extend(others.since)
        self.checks += others.checks

    def moved(self) -> np.ndarray:
        c = self.coordinates
        return self.since.longest(c.positions, c.cells, c.constants.pbc, c.owner, c.firsts)

    def fault(self, s: int) -> Stop | None:
        fault = self.checks[s].fault(self.coordinates.shape(s))
        if fault is None:
            self.since.check(s, self.coordinates.slice(s), self.checks[s].checked)
        return fault


@dataclass
class Snapshot(RaggedArrays):
    """What structures were like, each at its own time, and what was computed for them."""

    OF_ATOMS = ("forces",)

    place: Place
    forces: np.ndarray  # (N, 3) eV/A, of the potential
    stresses: np.ndarray  # (S, 3, 3) eV/A^3, of the potential
    value: np.ndarray  # (S,) energy or enthalpy, eV; NaN where there was no such time
    fmax: np.ndarray  # (S,) eV/A
    smax: np.ndarray  # (S,) GPa

    @classmethod
    def blank(cls, coordinates: Coordinates) -> Self:
        """Return structures where they are, with nothing computed for them yet."""
        count, unknown = len(coordinates), np.full(len(coordinates), np.nan)
        return cls(
            place=coordinates.place.copy(),
            forces=np.full((len(coordinates.owner), 3), np.nan),
            stresses=np.full((count, 3, 3), np.nan),
            value=unknown,
            fmax=unknown.copy(),
            smax=unknown.copy(),
        )

    def results(self, coordinates: BatchCoordinates, s: int) -> dict[str, Any]:
        """Return what is known of structure ``s``, as an ASE calculator has it.

        That is energy (eV), forces (n, 3), eV/A, and, where there is one, stress (6,), eV/A^3.
        """
        if not np.isfinite(self.value[s]):
            return {}
        known = {
            "energy": float(coordinates.energies(self.value)[s]),
            "forces": self.forces[coordinates.slice(s)].copy(),
        }
        if np.isfinite(self.stresses[s]).all():
            known["stress"] = self.stresses[s][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return known


@dataclass
class Record(RaggedArrays):
    """How structures fare."""

    calls: np.ndarray  # (S,) force calls
    steps: np.ndarray  # (S,)
    unmoved: np.ndarray  # (S,) whether the last step was none at all
    n_small_steps: np.ndarray  # (S,) steps of next to no length in a row
    step_scale: np.ndarray  # (S,) factor of the steps, after going back
    backtracks_left: np.ndarray  # (S,) times that a structure may still go back
    moved: np.ndarray  # (S,) longest way of an atom in the last step, A; NaN before it
    energy_previous: np.ndarray  # (S,) energy or enthalpy before the last step, eV
    energy_initial: np.ndarray  # (S,) energy or enthalpy of the start, eV
    by_forces: np.ndarray  # (S,) whether steps are judged by forces alone
    wall: np.ndarray  # (S,) share of the time, s

    @classmethod
    def blank(cls, structures: int) -> Self:
        """Return the record of structures that have not been evaluated yet."""
        count, unknown = np.zeros(structures, int), np.full(structures, np.nan)
        return cls(
            calls=count,
            steps=count.copy(),
            unmoved=np.zeros(structures, bool),
            n_small_steps=count.copy(),
            step_scale=np.ones(structures),
            backtracks_left=count.copy(),
            moved=unknown,
            energy_previous=unknown.copy(),
            energy_initial=unknown.copy(),
            by_forces=np.zeros(structures, bool),
            wall=np.zeros(structures),
        )


class History:
    """The record of structures, and where they can be put back to.

    That is where each was at its last evaluation that made sense (``good``), when it last passed its sanity
    check (``whole``), and where its energy was lowest (``lowest``).
    """

    def __init__(self, coordinates: Coordinates) -> None:
        self.record = Record.blank(len(coordinates))
        self.good, self.whole, self.lowest = (Snapshot.blank(coordinates) for _ in range(3))

    def begin(self, backtracks: int) -> None:
        """Begin a run, in which structures may go back so many times."""
        record = self.record
        record.n_small_steps[:], record.step_scale[:], record.backtracks_left[:] = 0, 1.0, backtracks
        record.moved[:], record.energy_initial[:], record.unmoved[:] = np.nan, np.nan, False
        self.whole.value[:], self.lowest.value[:] = np.nan, np.nan

    def note_step(
        self,
        c: Coordinates,
        dx: np.ndarray,
        made: np.ndarray,
        values: np.ndarray,
        ended: np.ndarray,
        beside: np.ndarray,
    ) -> None:
        """Record a step from where the energies are ``values`` (S,), eV.

        Parameters
        ----------
        c
            The structures.
        dx, made
            The step that was asked for, and what constraints left of it, (R, 3), A.
        ended, beside
            Which structures (S,) have ended, and for which it was not a step of the rule.
        """
        record = self.record
        asked, left = (np.maximum.reduceat(np.abs(step).max(axis=1), c.seg.starts) for step in (dx, made))
        size = np.minimum(asked, left)  # rows of a cell that stays come back with other rounding
        way = made[c.rows[0]]
        moved = np.sqrt(np.maximum.reduceat((way * way).sum(axis=1), c.firsts))
        record.unmoved = (size == 0) & ~ended
        record.n_small_steps = np.where((size < STALL[0]) & ~beside, record.n_small_steps + 1, 0)
        record.moved = np.where(beside, np.nan, moved)
        record.energy_previous = values
        record.steps += ~ended & ~beside

    @property
    def _arrays(self) -> tuple[RaggedArrays, ...]:
        return self.record, self.good, self.whole, self.lowest

    def take(self, atoms: np.ndarray, structures: np.ndarray) -> None:
        """Keep the ``atoms`` (N,) and the ``structures`` (S,) in these masks."""
        for arrays in self._arrays:
            arrays.take(atoms, structures)

    def extend(self, others: History) -> None:
        """Add what ``others`` hold after what is here."""
        for arrays, more in zip(self._arrays, others._arrays, strict=True):
            arrays.extend(more)

    def last(self, status: str) -> Snapshot:
        """Return where a structure that ends with ``status`` is put back to."""
        return {"exploded": self.whole, "collapsed": self.whole, "uphill": self.lowest}.get(status, self.good)
