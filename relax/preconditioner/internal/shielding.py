"""Pairs of atoms that are near each other only because both are bonded to a third one."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.internal.enumeration import groups, ranges

__all__ = ["shielding"]

STRONG = 0.3
"""Bonds from this strength on shield the pair of their ends."""

BASE = 64
"""Number of images along each direction that are told apart."""


def shielding(
    first: np.ndarray,
    second: np.ndarray,
    shifts: np.ndarray,
    strength: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """Return how much of each pair (P,) is due to a third atom, from 0 to 1.

    It is the product of the strengths, at most 1, of the bonds of both atoms to the third one; if there are
    several, the largest counts.

    Parameters
    ----------
    first, second, shifts
        The rows of the atoms (P,), and the integer shifts (P, 3) of the images of the second ones.
    strength
        Strengths of the pairs (P,).
    wanted
        Of which rows (R,) pairs are wanted; the others are left at 0.
    """
    shield, rows, ends = np.zeros(len(first)), len(wanted), np.zeros(len(wanted), bool)
    weak = np.flatnonzero((strength < STRONG) & (strength > 0) & (wanted[first] | wanted[second]))
    ends[first[weak]] = ends[second[weak]] = True
    strong = np.flatnonzero((strength >= STRONG) & (ends[first] | ends[second]))
    if not len(weak) or not len(strong):
        return shield
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
    np.maximum.at(shield, weak[order[place[found]]], size[a[found]] * size[b[found]])
    return shield


def codes(first: np.ndarray, second: np.ndarray, shifts: np.ndarray, rows: int) -> np.ndarray:
    """Return an integer for each pair of atoms and image."""
    x, y, z = (shifts + BASE // 2).T
    return np.asarray(((first * rows + second) * BASE + x) * BASE * BASE + y * BASE + z)
