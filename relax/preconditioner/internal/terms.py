"""Which stretches, bends and torsions the structures of a batch have, and how stiff they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relax.geometry.neighbors import squares
from relax.preconditioner.internal.bonds import Bonds
from relax.preconditioner.internal.enumeration import groups, ranges
from relax.preconditioner.internal.fading import fading
from relax.preconditioner.internal.shielding import STRAIGHT
from relax.preconditioner.internal_stiffness import InternalStiffness

__all__ = ["Terms", "terms_of"]

WEAK = 3e-3
"""Bends and torsions of a smaller strength, relative to those of full bonds, are left out."""

MIDDLE = 0.02
"""Smallest strength of the bonds of a torsion."""

NEGLIGIBLE = 1e-5
"""Smaller stiffnesses are left out."""

BONDED = 0.1
"""Smallest strength of the bonds of an atom in a plane."""

FLAT = (0.2, 0.6)
"""Product of three unit vectors up to where they are in a plane, and from where they are not."""

LONE_PAIRS = [7, 8, 9, 15, 16, 17, 33, 34, 35, 51, 52, 53, 83, 84, 85]
"""Elements with a lone pair, which leave the plane of three neighbours easily."""


class Terms(NamedTuple):
    """The internal coordinates of a batch, by their bonds, and their stiffness."""

    stretches: np.ndarray  # (1, P1)
    bends: np.ndarray  # (2, P2) bonds from the atom in the middle
    linear: np.ndarray  # (2, P3) the same, for angles of about 180 degrees
    planes: np.ndarray  # (3, P4) bonds from an atom that lies in the plane of the three others
    torsions: np.ndarray  # (3, P5) bonds j-i, j-k, k-l of atoms i-j-k-l
    stiffness: tuple[np.ndarray, ...]  # of each kind


def terms_of(bonds: Bonds, rows: int, stiffness: InternalStiffness) -> Terms:
    """Return the terms of a batch with ``rows`` rows."""
    unit = bonds.vectors / np.sqrt(np.maximum(squares(bonds.vectors), 1e-24))[:, None]
    stretch = bonds.along[: bonds.pairs] * bonds.curved
    kept = np.flatnonzero(stretch > NEGLIGIBLE)
    bends, bend, linear, line = bends_of(bonds, unit, rows, stiffness)
    planes, plane = planes_of(bonds, unit, rows, stiffness)
    torsions, torsion = torsions_of(bonds, unit, rows, stiffness)
    return Terms(kept[None], bends, linear, planes, torsions, (stretch[kept], bend, line, plane, torsion))


def bends_of(
    bonds: Bonds, unit: np.ndarray, rows: int, stiffness: InternalStiffness
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the bends and linear bends (2, P), each followed by its stiffness (P,)."""
    i, strength = bonds.first, np.minimum(bonds.strength, 1.0)
    members, starts, counts = groups(i, rows, np.flatnonzero((strength > WEAK) & (bonds.bends[i] > 0.01)))
    place = np.arange(len(members))
    others, whose = ranges(place + 1, starts[i[members]] + counts[i[members]] - place - 1)
    a, b = members[whose], members[others]
    product = strength[a] * strength[b]
    strong = product > WEAK
    a, b, product = a[strong], b[strong], product[strong]
    line = 1 - fading(-(unit[a] * unit[b]).sum(axis=1), STRAIGHT)
    straight = stiffness.linear * np.sqrt(bonds.strength[a] * bonds.strength[b])
    bent = np.where(bonds.numbers[i[a]] == 1, straight, stiffness.bend * product)
    found = []
    for part in (bent * (1 - line) * bonds.bends[i[a]], straight * line * bonds.bends[i[a]]):
        kept = part > NEGLIGIBLE
        found += [np.stack([a[kept], b[kept]]), part[kept]]
    return found[0], found[1], found[2], found[3]


def planes_of(
    bonds: Bonds, unit: np.ndarray, rows: int, stiffness: InternalStiffness
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bonds from atoms to three others in whose plane they are (3, P), and the stiffness (P,)."""
    i, strength = bonds.first, np.minimum(bonds.strength, 1.0)
    share = bonds.bends * bonds.twists * ~np.isin(bonds.numbers, LONE_PAIRS)
    members, starts, counts = groups(i, rows, np.flatnonzero((strength > BONDED) & (share[i] > 0.01)))
    ends, place = starts[i[members]] + counts[i[members]], np.arange(len(members))
    second, whose = ranges(place + 1, ends - place - 1)
    third, pair = ranges(second + 1, ends[whose] - second - 1)
    a, b, c = members[whose[pair]], members[second[pair]], members[third]
    volume = (unit[a] * np.cross(unit[b], unit[c])).sum(axis=1)
    weight = stiffness.plane * strength[a] * strength[b] * strength[c] * share[i[a]]
    weight = weight * fading(np.abs(volume), FLAT)
    kept = weight > NEGLIGIBLE
    return np.stack([a[kept], b[kept], c[kept]]), weight[kept]


def torsions_of(
    bonds: Bonds, unit: np.ndarray, rows: int, stiffness: InternalStiffness
) -> tuple[np.ndarray, np.ndarray]:
    """Return the torsions (3, P) and their stiffness (P,)."""
    i, j, strength, twists, p = bonds.first, bonds.second, bonds.strength, bonds.twists, bonds.pairs
    members, starts, counts = groups(i, rows, np.flatnonzero(strength > MIDDLE))
    middle = np.flatnonzero((bonds.twist[:p] > MIDDLE) & (twists[i[:p]] > 0.01) & (twists[j[:p]] > 0.01))
    x, whose = ranges(starts[i[middle]], counts[i[middle]])
    y, at = ranges(starts[j[middle[whose]]], counts[j[middle[whose]]])
    x, e, y = members[x[at]], middle[whose[at]], members[y]
    # The two ends must not be one atom in one place, as in a ring of three.
    ring = squares(bonds.vectors[e] + bonds.vectors[y] - bonds.vectors[x]) < 1e-4
    kept = (x != e) & (y != e + p) & ~ring
    x, e, y = x[kept], e[kept], y[kept]
    sines = (1 - (unit[x] * unit[e]).sum(axis=1) ** 2) * (1 - (unit[e] * unit[y]).sum(axis=1) ** 2)
    ends = np.minimum(strength[x], 1.0) * np.minimum(strength[y], 1.0)
    weight = bonds.twist[e] * ends * sines * twists[i[e]] * twists[j[e]]
    kept = weight > WEAK
    return np.stack([x[kept], e[kept], y[kept]]), stiffness.torsion * weight[kept]
