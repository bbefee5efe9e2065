"""The result of a relaxation: how it ended, and the numbers behind that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LARGEST", "STATUSES", "Draw", "Result", "Status", "Stop"]

LARGEST = 1e50
"""Limit of energies (eV), forces (eV/A) and stresses (eV/A^3).  Larger ones count as infinite, since their
squares might overflow."""

Status = Literal[
    "running",
    "refused",
    "converged",
    "saddle",
    "duplicate",
    "max_steps",
    "nonfinite",
    "exploded",
    "collapsed",
    "uphill",
    "stalled",
    "calculator_error",
    "timeout",
    "interrupted",
    "worker_lost",
]
STATUSES: tuple[str, ...] = get_args(Status)

Stop = tuple[Status, str]
"""How a relaxation ended, and why in words."""


@dataclass(frozen=True)
class Draw:
    """How one of several starts of the same structure ended.

    Parameters
    ----------
    seed
        Of the rattle of the start; None for the structure as it was given.
    status, reason, force_calls, fmax, spacegroup, curvature, escapes
        As in :class:`Result`; ``spacegroup`` is that of the end.
    energy
        Energy (enthalpy under pressure) of the end, eV.
    atoms
        An ``ase.Atoms``: where it ended, with energy, forces and stress if there are any.
    """

    seed: int | None
    status: Status
    reason: str
    force_calls: int
    fmax: float
    energy: float
    spacegroup: str
    curvature: float
    escapes: int
    atoms: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Result:
    """How one relaxation ended.

    Parameters
    ----------
    status
        How the run ended:

        - ``converged``: every stop criterion is met;
        - ``saddle``: converged, but the minimum check found a mode along which the energy falls;
        - ``duplicate``: of one of several draws, close to a minimum that another one has found;
        - ``max_steps``: the number of steps is used up;
        - ``nonfinite``: an energy, force or stress is NaN or infinite;
        - ``exploded``: an atom lost all its neighbours, or the volume grew too much;
        - ``collapsed``: atoms overlap, or the volume shrank too much;
        - ``uphill``: the energy is above that of the start;
        - ``stalled``: the steps became too small before convergence;
        - ``calculator_error``: the calculator raised an exception;
        - ``timeout``: the time limit was reached;
        - ``interrupted``: the run was stopped from outside;
        - ``refused``: a batch does not support this structure, its constraints or its cell;
        - ``worker_lost``: in a campaign, two processes died that relaxed it;
        - ``running``: the run has not ended.
    reason
        The same in words, with the atom and the number that decided.
    force_calls
        Evaluations counted at the calculator.
    steps
        Steps of the optimizer.
    fmax
        Longest force on an atom of the final structure, eV/A.  With an ASE cell filter: longest row, cell
        rows included.
    smax
        Residual stress, GPa: its largest component, with the pressure added and held components left out.
        NaN if no stress was computed.
    energy_first, energy_last
        Energy of the first and of the final structure, eV; under pressure, the enthalpy.  Where a calculator
        has two energies, as with smearing, it is the one that the forces are the slope of.
    volume_ratio
        Final volume of the cell over the first; NaN without a cell.
    shortest
        Shortest distance between atoms, as a fraction of the sum of their covalent radii.
    spacegroup_first, spacegroup_last
        Space groups of the first and of the final structure, as spglib finds them within its tolerance.
        Empty if the structure is not a crystal or has more than 1000 atoms.
    wall_time
        Seconds from the first force call to the end.
    curvature
        Lowest curvature that was found at the final structure, eV/A^2; NaN if it was not checked.
    frequency
        The same as a frequency, THz: that of the mean mass of the atoms that move along the mode, and
        negative where the energy falls along it.  NaN where the mode is mostly a strain.
    mode
        Direction of the lowest curvature, of length one, in the coordinates of the optimizer: rows of atoms
        (N, 3) and, if the cell relaxes, of its strain (3, 3).
    escapes
        How often the run left a saddle point and went on.
    conservative
        Whether the forces agreed with the energies.  False where they did not, several times beyond the
        noise, and where the run was told not to use energies.
    prior_calls
        Force calls of the cheap calculator, where there is one beside that which counts.
    draws
        How each start ended, if there were several (``draws=``); all of ``force_calls``, ``steps`` and
        ``wall_time`` then are sums over them, and the rest is of the lowest.
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
    frequency: float = math.nan
    mode: np.ndarray | None = field(default=None, repr=False, compare=False)
    escapes: int = 0
    conservative: bool = True
    prior_calls: int = 0
    draws: tuple[Draw, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the status is ``converged``."""
        return self.status == "converged"
