"""Hessians by finite differences of forces, by calls that are not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

STEP = 0.005
"""Displacement of an atom, A."""


def hessian_by_differences(calculator: Any) -> Callable[[Atoms], np.ndarray]:
    """Return a function of a structure that returns its Hessian (3N, 3N), eV/A^2.

    Each row is a difference of forces, constraints left aside, over one step: 3N + 1 calls.

    Parameters
    ----------
    calculator
        Computes the forces; beneath a counter, its own calculator does.
    """
    calculator = getattr(calculator, "inner", calculator)

    def hessian(atoms: Atoms) -> np.ndarray:
        moved = atoms.copy()
        moved.calc = calculator

        def forces() -> np.ndarray:
            return np.asarray(moved.get_forces(apply_constraint=False)).ravel()

        first, rows = forces(), []
        for i, j in np.ndindex(len(atoms), 3):
            moved.positions = atoms.positions
            moved.positions[i, j] += STEP
            rows.append((first - forces()) / STEP)
        return np.asarray(np.array(rows) + np.array(rows).T) / 2

    return hessian
