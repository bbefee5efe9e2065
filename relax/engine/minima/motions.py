"""Motions along which a structure may vibrate, or along which its energy cannot change."""

from __future__ import annotations

import math

import numpy as np
from ase import units

__all__ = ["frequency", "rigid"]

THZ = math.sqrt(units._e / (1e-20 * units._amu)) * 1e-12
"""The square root of 1 eV/A^2 over 1 amu, in 10^12 / s."""


def rigid(positions: np.ndarray, rows: int, turns: bool) -> np.ndarray:
    """Return orthonormal rows (K, R, 3) of the motions of a structure as a whole.

    Parameters
    ----------
    positions
        (N, 3) in A.
    rows
        R: those of atoms, and of a strain if there are more, in which turning is the part without symmetry.
    turns
        Whether turning the atoms is no change either, as of a molecule.
    """
    n = len(positions)
    turned = np.cross(np.eye(3)[:, None], np.eye(3))
    motions = np.zeros((9, rows, 3))
    motions[np.arange(3), :n, np.arange(3)] = 1.0
    if turns:
        motions[3:6, :n] = (positions - positions.mean(axis=0)) @ turned
    motions[6:, n:] = turned[:, : rows - n]
    flat = motions.reshape(len(motions), -1)
    _, sizes, right = np.linalg.svd(flat, full_matrices=False)
    return np.asarray(right[: len(sizes)][sizes > 1e-8 * sizes.max()]).reshape(-1, rows, 3)


def frequency(curvature: float, mode: np.ndarray | None, masses: np.ndarray) -> float:
    """Return the frequency (THz) of a vibration along a mode, negative where the energy falls along it.

    That is sqrt(k / m) / 2 pi with the mean mass m of the moving atoms, each weighted by the square of its
    displacement.  NaN where it is not known, and where the mode is mostly a strain.

    Parameters
    ----------
    curvature, mode
        Curvature, eV/A^2, and direction (R, 3) of length one, atoms first.
    masses
        Masses of the N atoms, amu.
    """
    if mode is None or not math.isfinite(curvature):
        return math.nan
    shares = (mode[: len(masses)] ** 2).sum(axis=1)
    if not shares.sum() > 0.5:
        return math.nan
    mass = float(shares @ masses / shares.sum())
    return math.copysign(math.sqrt(abs(curvature) / mass) * THZ / (2 * math.pi), curvature)
