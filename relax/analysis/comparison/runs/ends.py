"""Where a run ended, whichever minimizer made it, and the stop that is the same for all.

A row is the force on an atom, without what constraints hold back, or one of the three rows of the cell
gradient of ``FrechetCellFilter`` where the cell relaxes.  These are for the cell of the start or that of the
end as reference, whichever gives the smaller one: the strain since the start must not decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax.analysis.comparison.runs.call_counter import ForcesBelow, Stop
from relax.analysis.comparison.runs.run import FinalState, Run, overlap, relax_counted
from relax.engine.batch.of_ase.cell_filter import cell_filter

VOLUME = (0.2, 5.0)
"""Volumes, as multiples of that of the start, outside which a crystal has collapsed or exploded."""


def damage(atoms: Atoms, start: Atoms) -> tuple[str, str]:
    """Return status and reason where the crystal exploded or collapsed, else two empty words."""
    ratio = atoms.get_volume() / start.get_volume()
    if not VOLUME[0] < ratio < VOLUME[1]:
        status = "exploded" if ratio > 1 else "collapsed"
        return status, f"the volume is {ratio:.3g} times that of the start"
    return overlap(atoms)


def largest_row(atoms: Atoms, start: Atoms) -> float:
    """Return the largest row (eV/A) of forces and cell gradient, the smaller one of both references."""
    rows = []
    for cell in (start.cell, atoms.cell):
        filtered = cell_filter(atoms)
        filtered.orig_cell = cell
        rows.append(float(np.linalg.norm(filtered.get_forces(), axis=1).max()))
    return min(rows)


def rows_below(fmax: float, start: Atoms, cell: bool) -> Stop:
    """Return the test that no row of forces, and of the cell gradient if the ``cell`` relaxes, is above.

    Parameters
    ----------
    fmax
        Largest row, eV/A.
    start
        The structure at the start of the run.
    """
    if not cell:
        return ForcesBelow(fmax)

    def stop(atoms: Atoms, results: dict[str, Any]) -> bool:
        if "forces" not in results or "stress" not in results:
            return False
        known = atoms.copy()
        known.calc = SinglePointCalculator(known, **{key: results[key] for key in ("forces", "stress")})
        return largest_row(known, start) <= fmax

    return stop


def final_state(atoms: Atoms, start: Atoms, cell: bool) -> FinalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    energy = round(float(atoms.get_potential_energy()) / len(atoms), 6)
    if cell:
        return FinalState(largest_row(atoms, start), energy, damage(atoms, start))
    return FinalState(float(np.linalg.norm(atoms.get_forces(), axis=1).max()), energy, overlap(atoms))


def run_and_examine(
    make: Callable[[Atoms], Any],
    start: Atoms,
    calculator: Any,
    *,
    cell: bool,
    fmax: float,
    cap: int,
    first_call: bool = True,
) -> tuple[Run, FinalState, Exception | None]:
    """Relax a copy of ``start``; return the run, the state of its end, and the first exception.

    Parameters
    ----------
    make
        Returns the minimizer of the atoms that it is given.
    cell
        Whether the cell relaxes.
    fmax
        Largest row at which the run ends, eV/A.
    cap
        Largest number of force calls.
    first_call
        Whether the run ends at the first force call within ``fmax``, or when the minimizer ends it.
    """
    stop = rows_below(fmax, start, cell) if first_call else None
    made = relax_counted(make, start, calculator, fmax, cap, stop=stop)
    return made, *made.examine(lambda atoms: final_state(atoms, start, cell), FinalState())
