"""What a relaxation says about how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

__all__ = ["LARGEST", "STATUSES", "Result", "Status", "Stop"]

LARGEST = 1e50
"""Energy (eV), force (eV/A) and stress (eV/A^3) that are as good as infinite: squares might overflow."""

Status = Literal[
    "running",
    "refused",
    "converged",
    "saddle",
    "max_steps",
    "nonfinite",
    "exploded",
    "collapsed",
    "uphill",
    "stalled",
    "calculator_error",
    "timeout",
    "interrupted",
]
STATUSES: tuple[str, ...] = get_args(Status)

Stop = tuple[Status, str]
"""How a relaxation ended, and why in words."""


@dataclass(frozen=True)
class Result:
    """The verdict on one relaxation.

    Parameters
    ----------
    status
        ``converged``; ``saddle``: converged, but the energy falls along a mode that was looked for;
        ``max_steps``; ``nonfinite``: an energy or force was not a number;
        ``exploded``: an atom lost all its neighbours or the volume ran away; ``collapsed``: atoms came on
        top of each other or the cell shrank to nothing; ``uphill``: the energy is above that of the start;
        ``stalled``: the steps shrank to nothing short of convergence; ``calculator_error``: the calculator
        raised; ``timeout``: the time was up; ``interrupted``: the run was left before its end;
        ``refused``: of a batch, a structure, a constraint or a cell that it cannot take;
        ``running``: no end yet.
    reason
        The same in words, with the atom and the number that decided.
    force_calls
        Evaluations counted at the calculator.
    steps
        Steps the optimizer took.
    fmax
        Longest force on an atom of the structure handed back, eV/A; with an ASE cell filter, longest row,
        those of the cell included.
    smax
        Residual stress: its largest component in GPa, pressure added and what is held taken out; not a
        number where no stress was computed.
    energy_first, energy_last
        Energy of the first structure and of the one handed back, eV; the enthalpy, under pressure.
    volume_ratio
        Volume of the cell over that at the start; not a number without a cell.
    shortest
        Shortest distance, as a share of the sum of the covalent radii of its atoms.
    spacegroup_first, spacegroup_last
        Space groups before and after, as spglib finds them within its tolerance; empty for what is no
        crystal, and above 1000 atoms.
    wall_time
        Seconds from the first force call to the end.
    curvature
        Lowest curvature of the energy that was found at the structure handed back, eV/A^2; not a number
        where none was looked for.
    mode
        The direction of the lowest curvature, of length one: rows of atoms (N, 3) and, where the cell
        relaxes, of its strain (3, 3), in the coordinates of the optimizer.
    escapes
        Times that a saddle point was left.
    """

    status: Status
    reason: str
    force_calls: int = 0
    steps: int = 0
    fmax: float = math.nan
    smax: float = math.nan
    energy_first: float = math.nan
    energy_last: float = math.nan
    volume_ratio: float = math.nan
    shortest: float = math.nan
    spacegroup_first: str = ""
    spacegroup_last: str = ""
    wall_time: float = 0.0
    curvature: float = math.nan
    mode: np.ndarray | None = field(default=None, repr=False, compare=False)
    escapes: int = 0

    @property
    def converged(self) -> bool:
        """Whether the run met its criterion with the structure in one piece."""
        return self.status == "converged"
