"""The settings of a relaxation: stop criteria, and limits beyond which a run has failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

__all__ = [
    "ABOVE_START",
    "BACKTRACKS",
    "LOOK_EVERY",
    "RECOVERABLE",
    "STALL",
    "UPHILL",
    "Criteria",
    "check_batch_size",
    "check_on_bad",
    "check_start",
]

STALL = (1e-9, 10)
"""A run has stalled after this number of consecutive steps shorter than this length: (A, steps)."""

BACKTRACKS = 8
"""How often a failed run may go back to its last good structure."""

RECOVERABLE = ("nonfinite", "exploded", "collapsed", "uphill")
"""Statuses that shorter steps may avoid."""

LOOK_EVERY = 0.5
"""How far (A) an atom may move before the structure is checked for lost bonds and overlaps again."""

UPHILL = 10.0
"""Energy above the start (eV/atom) at which a descent has failed.  It must not be smaller: under hundreds
of GPa the first step may rise by 1 eV/atom, and the next step comes down again."""

ABOVE_START = 1e-3
"""Energy above the start (eV/atom) at which a run does not count as converged.  It must not be smaller:
the noise of float32 models is larger than their rounding."""


@dataclass(frozen=True)
class Criteria:
    """Stop criteria.  A run has converged once all the given ones are met.

    Parameters
    ----------
    fmax
        Longest force on an atom that counts as converged, eV/A.
    steps
        Largest number of steps.
    smax
        Largest component of the residual stress that counts as converged, GPa, if the cell relaxes.  If
        not given, the criterion of ASE's cell filters holds: the longest row of the stress, times the
        volume per atom, is at most ``fmax``.
    energy_change, displacement
        Energy change (eV/atom) and longest displacement of an atom (A) in the last step that count as
        converged.
    timeout
        Time limit, s.
    fnorm
        Norm of the forces on all atoms of a structure together that counts as converged, eV/A.

    Raises
    ------
    TypeError
        A criterion is no number.
    ValueError
        A criterion is negative or NaN.
    """

    fmax: float = 0.05
    steps: int = 500
    smax: float | None = None
    energy_change: float = math.inf
    displacement: float = math.inf
    timeout: float | None = None
    fnorm: float = math.inf

    def __post_init__(self) -> None:
        for name in ("fmax", "steps", "smax", "energy_change", "displacement", "timeout", "fnorm"):
            value = getattr(self, name)
            if value is None and name in ("smax", "timeout"):
                continue
            words = f"{name} = {value!r} is not allowed; give a number of 0 or more"
            if isinstance(value, bool) or not isinstance(value, Real):
                raise TypeError(words)
            if not float(value) >= 0:
                raise ValueError(words)

    def check_cell(self, relaxes: bool) -> None:
        """Raise ValueError if there is a criterion for the stress of a cell, and none that ``relaxes``."""
        if self.smax is not None and not relaxes:
            raise ValueError(f"smax = {self.smax} GPa needs a cell that relaxes; give cell=True, or no smax")


def check_start(symmetry: str, rattle: float) -> None:
    """Raise ValueError if ``symmetry`` or ``rattle`` (A) is not allowed, or both exclude each other."""
    if symmetry not in ("keep", "free"):
        raise ValueError(f"symmetry = {symmetry!r} is not allowed; give 'keep' or 'free'")
    if not (math.isfinite(rattle) and rattle >= 0):
        raise ValueError(f"rattle = {rattle!r} is not allowed; give a length in A, 0 or more")
    if rattle and symmetry == "keep":
        raise ValueError("rattle breaks the symmetry that symmetry='keep' preserves; give one of them")


def check_on_bad(on_bad: str, allowed: tuple[str, ...] = ("stop", "backtrack", "raise")) -> None:
    """Raise ValueError if the policy ``on_bad`` is not one of ``allowed``."""
    if on_bad not in allowed:
        words = ", ".join(repr(word) for word in allowed[:-1]) + f" or {allowed[-1]!r}"
        raise ValueError(f"on_bad = {on_bad!r} is not allowed; give {words}")


def check_batch_size(batch_size: int | None) -> None:
    """Raise ValueError if ``batch_size`` is neither None nor a whole number of 1 or more."""
    if batch_size is not None and not (isinstance(batch_size, int) and batch_size >= 1):
        raise ValueError(f"batch_size = {batch_size!r} is not allowed; give a whole number of 1 or more")
