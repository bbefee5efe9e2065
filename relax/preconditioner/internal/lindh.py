"""Lindh's stiffness of bonds from their lengths."""

from __future__ import annotations

import numpy as np

__all__ = ["lindh_stiffness"]

BOHR = 0.529177210903
"""Length of a bohr, A."""

ALPHA = np.array([[1.0, 0.3949, 0.3949], [0.3949, 0.28, 0.28], [0.3949, 0.28, 0.28]]) / BOHR**2
"""Exponents, 1/A^2, by the rows of the periodic table of both atoms."""

LENGTH = np.array([[1.35, 2.10], [2.10, 2.87]]) * BOHR
"""Bond lengths, A, by the first two rows of the periodic table of both atoms."""

NEGLIGIBLE = 1e-3
"""Smaller stiffnesses count as zero."""

LARGEST = 20.0
"""Largest stiffness, of atoms that are much too close."""


def lindh_stiffness(first: np.ndarray, second: np.ndarray, r: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Return the stiffness (P,) of pairs, about 1 for a single bond.

    Lindh's bond lengths are used for pairs of the first two rows.  For all others Lindh has one length; here
    they have their own.

    Source: Lindh et al., Chem. Phys. Lett. 241, 423 (1995), equation 5 and table 1.

    Parameters
    ----------
    first, second
        Atomic numbers (P,).
    r
        Distances (P,), A.
    bond
        Bond lengths (P,), A, for pairs beyond the first two rows.
    """
    i, j = np.searchsorted([2, 10], first), np.searchsorted([2, 10], second)
    length = np.where((i == 2) | (j == 2), bond, LENGTH[np.minimum(i, 1), np.minimum(j, 1)])
    stiffness = np.exp(np.minimum(ALPHA[i, j] * (length**2 - r * r), np.log(LARGEST)))
    return np.asarray(np.where(stiffness > NEGLIGIBLE, stiffness, 0.0))
