"""When a relaxation is over."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Criteria"]


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
