"""Hessians by finite differences of forces, by calls that are not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

STEP = 0.01
"""Displacement of an atom, A."""


def hessian_by_differences(calculator: Any) -> Callable[[Atoms], np.ndarray]:
    """Return a function of a structure that returns its Hessian (3N, 3N), eV/A^2.

    Each column is a central difference of forces, constraints left aside: 6N calls.

    Parameters
    ----------
    calculator
        Computes the forces; beneath a counter, its own calculator does.
    """
    calculator = getattr(calculator, "inner", calculator)

    def hessian(atoms: Atoms) -> np.ndarray:
        moved = atoms.copy()
        moved.calc = calculator
        columns = []
        for i, j in np.ndindex(len(atoms), 3):
            forces = []
            for step in (STEP, -STEP):
                moved.positions = atoms.positions
                moved.positions[i, j] += step
                forces.append(moved.get_forces(apply_constraint=False))
            columns.append((forces[1] - forces[0]).ravel() / (2 * STEP))
        return np.array(columns)

    return hessian
