"""The settings of a relaxation: when it is over, and when it has gone wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "ABOVE_START",
    "BACKTRACKS",
    "LOOK_EVERY",
    "RECOVERABLE",
    "STALL",
    "UPHILL",
    "Criteria",
    "check_on_bad",
    "check_start",
]

STALL = (1e-9, 10)
"""A step below this length (A), so many times running, is a stall."""

BACKTRACKS = 8
"""Times that a run that went wrong goes back to its last good structure."""

RECOVERABLE = ("nonfinite", "exploded", "collapsed", "uphill")
"""Ends that shorter steps may avoid."""

LOOK_EVERY = 0.5
"""How far (A) an atom may go before the structure is checked for lost bonds and overlaps again."""

UPHILL = 10.0
"""Energy (eV/atom) above the start from which a descent does not come back; a first step from a start
under hundreds of GPa may cost one, and be made good by the next."""

ABOVE_START = 1e-3
"""Energy (eV/atom) above the start at which no run counts as converged; float32 models are noisier
than their rounding."""


@dataclass(frozen=True)
class Criteria:
    """When a relaxation has converged, all of what is given being met, and when it ends in any case.

    Parameters
    ----------
    fmax
        Longest force on an atom that counts as converged, eV/A.
    steps
        Most steps to take.
    smax
        Largest component of the residual stress that counts as converged, GPa, where the cell
        relaxes.  If not given, what ``fmax`` implies in ASE's cell filters: the longest row of the
        stress, times the volume of an atom, is at most ``fmax``.
    energy_change, displacement
        Energy change (eV/atom) and longest displacement of an atom (A) of the last step that
        count as converged.
    timeout
        Seconds after which the run ends.

    Raises
    ------
    ValueError
        A criterion is not a number of 0 or more.
    """

    fmax: float = 0.05
    steps: int = 500
    smax: float | None = None
    energy_change: float = math.inf
    displacement: float = math.inf
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("fmax", "steps", "smax", "energy_change", "displacement", "timeout"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} = {value!r} is not allowed; give a number of 0 or more")


def check_start(symmetry: str, rattle: float) -> None:
    """Raise ValueError for what cannot be done to a structure before its first step."""
    if symmetry not in ("keep", "free"):
        raise ValueError(f"symmetry = {symmetry!r} is not allowed; give 'keep' or 'free'")
    if not (math.isfinite(rattle) and rattle >= 0):
        raise ValueError(f"rattle = {rattle!r} is not allowed; give a length in A, 0 or more")
    if rattle and symmetry == "keep":
        raise ValueError("rattle breaks the symmetry that symmetry='keep' is to keep; give one of them")


def check_on_bad(on_bad: str, allowed: tuple[str, ...] = ("stop", "backtrack", "raise")) -> None:
    """Raise ValueError for a policy that is not among those ``allowed``."""
    if on_bad not in allowed:
        words = ", ".join(repr(word) for word in allowed[:-1]) + f" or {allowed[-1]!r}"
        raise ValueError(f"on_bad = {on_bad!r} is not allowed; give {words}")
