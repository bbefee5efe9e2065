"""Pairs of atoms that are near each other only because both are bonded to a third one."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.internal.enumeration import groups, ranges
from relax.preconditioner.internal.fading import fading

__all__ = ["STRAIGHT", "shielding"]

STRAIGHT = (0.90, 0.99)
"""Minus the cosine of a bend from where it turns into a linear bend, and where it is one."""

STRONG = 0.3
"""Bonds from this strength on shield the pair of their ends."""

BASE = 64
"""Number of images along each direction that are told apart."""


def shielding(
    first: np.ndarray,
    second: np.ndarray,
    shifts: np.ndarray,
    unit: np.ndarray,
    strength: np.ndarray,
    double: np.ndarray,
    wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each pair (P,) is due to a third atom, and its strength as the middle of a torsion.

    The first is the product of the strengths, at most 1, of the bonds of both atoms to the third one.  The
    second is not zero where the third atom is on the line between both, as in allene: it is that product
    times the smaller ``double`` of both bonds.  If there are several third atoms, the largest counts.

    Parameters
    ----------
    first, second, shifts
        The rows of the atoms (P,), and the integer shifts (P, 3) of the images of the second ones.
    unit
        Unit vectors from the first atoms to the second (P, 3).
    strength, double
        Strengths of the pairs (P,), and how stiff torsions about them are, relative to single bonds.
    wanted
        Of which rows (R,) pairs are wanted; the others are left at 0.
    """
    shield, across = np.zeros((2, len(first)))
    rows, ends = len(wanted), np.zeros(len(wanted), bool)
    weak = np.flatnonzero((strength < STRONG) & (strength > 0) & (wanted[first] | wanted[second]))
    ends[first[weak]] = ends[second[weak]] = True
    strong = np.flatnonzero((strength >= STRONG) & (ends[first] | ends[second]))
    if not len(weak) or not len(strong):
        return shield, across
    centre = np.concatenate([first[strong], second[strong]])
    end = np.concatenate([second[strong], first[strong]])
    shift = np.concatenate([shifts[strong], -shifts[strong]])
    size = np.minimum(np.tile(strength[strong], 2), 1.0)
    members, starts, counts = groups(centre, rows, np.arange(len(centre)))
    others, whose = ranges(starts[centre[members]], counts[centre[members]])
    a, b = members[whose], members[others]
    sought = codes(end[a], end[b], shift[b] - shift[a], rows)
    own = codes(first[weak], second[weak], shifts[weak], rows)
    order = np.argsort(own)
    place = np.searchsorted(own[order], sought)
    place[place == len(own)] = 0
    found = own[order][place] == sought
    a, b, pair = a[found], b[found], weak[order[place[found]]]
    both = size[a] * size[b]
    np.maximum.at(shield, pair, both)
    way, twist = np.concatenate([unit[strong], -unit[strong]]), np.tile(double[strong], 2)
    line = 1 - fading(-(way[a] * way[b]).sum(axis=1), STRAIGHT)
    np.maximum.at(across, pair, both * line * np.minimum(twist[a], twist[b]))
    return shield, across


def codes(first: np.ndarray, second: np.ndarray, shifts: np.ndarray, rows: int) -> np.ndarray:
    """Return an integer for each pair of atoms and image."""
    x, y, z = (shifts + BASE // 2).T
    return np.asarray(((first * rows + second) * BASE + x) * BASE * BASE + y * BASE + z)
