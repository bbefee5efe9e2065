"""Several starts of each structure: how they differ, and which of their ends counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ase import Atoms

from relax.core.result import Draw

if TYPE_CHECKING:
    from relax.engine.entries import Relaxed

__all__ = ["AMPLITUDE", "Draws"]

AMPLITUDE = 0.1
"""Standard deviation (A) by which draws are rattled, if no other is given."""


@dataclass(frozen=True)
class Draws:
    """The starts of each structure: the structure as given, and rattled.

    Parameters
    ----------
    count
        How many.
    rattle
        Standard deviation of each component of a displacement, A, see
        :func:`~relax.geometry.perturb.rattle`.  If it is 0, the first start is the structure as given, and
        that of the others is :data:`AMPLITUDE`.
    seed
        Seed of the rattle of the first; that of each other is larger by one.

    Raises
    ------
    ValueError
        ``count`` is not a whole number above 0.
    """

    count: int = 1
    rattle: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.count, int) and self.count >= 1):
            raise ValueError(f"draws = {self.count!r} is not allowed; give a whole number of 1 or more")

    def amplitude(self, draw: int) -> float:
        """Return by how much the start ``draw`` is rattled, A."""
        return self.rattle or (AMPLITUDE if draw else 0.0)

    @property
    def largest(self) -> float:
        """By how much any start is rattled, A."""
        return self.amplitude(self.count - 1)

    def starts(self, structures: Iterable[Atoms]) -> Iterator[Atoms]:
        """Yield each structure as often as there are draws of it."""
        for atoms in structures:
            for _ in range(self.count):
                yield atoms

    def lowest(self, ends: Iterable[Relaxed]) -> Iterator[Relaxed]:
        """Yield the lowest of the ends of each structure, with all of them in its result.

        The ends are in any order, and ``index`` counts all starts; in what is yielded, it counts structures.
        Only ends that have converged count, if there are any; next, saddle points.  Where there is one draw
        of each, the ends are yielded as they are.
        """
        if self.count == 1:
            yield from ends
            return
        waiting: dict[int, dict[int, Relaxed]] = {}
        for end in ends:
            structure, draw = divmod(end.index, self.count)
            family = waiting.setdefault(structure, {})
            family[draw] = end
            if len(family) == self.count:
                yield self._together(structure, [family[draw] for draw in range(self.count)])
                del waiting[structure]

    def _together(self, structure: int, ends: list[Relaxed]) -> Relaxed:
        """Return the lowest of the ``ends``, one of each draw, as that of the ``structure``."""
        best = min(ends, key=_preference)
        result = replace(
            best.result,
            force_calls=sum(end.result.force_calls for end in ends),
            steps=sum(end.result.steps for end in ends),
            wall_time=sum(end.result.wall_time for end in ends),
            prior_calls=sum(end.result.prior_calls for end in ends),
            draws=tuple(self._drawn(draw, end) for draw, end in enumerate(ends)),
        )
        return replace(best, index=structure, result=result)

    def _drawn(self, draw: int, end: Relaxed) -> Draw:
        result = end.result
        return Draw(
            self.seed + draw if self.amplitude(draw) else None,
            result.status,
            result.reason,
            result.force_calls,
            result.fmax,
            result.energy_last,
            result.spacegroup_last,
            result.curvature,
            result.escapes,
            end.atoms,
        )


def _preference(end: Relaxed) -> tuple[int, float]:
    """Return what is smaller for an end that is preferred to another one."""
    status, energy = end.result.status, end.result.energy_last
    rank = {"converged": 0, "saddle": 1, "duplicate": 3}.get(status, 2)
    return rank, energy if math.isfinite(energy) else math.inf
