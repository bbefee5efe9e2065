"""The bonds of a batch, and what kind of bonds they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from relax.core.segments import Segments
from relax.geometry.neighbors import squares
from relax.preconditioner.internal.electronegativity import PAULING
from relax.preconditioner.internal.fading import fading
from relax.preconditioner.internal.lindh import lindh_stiffness
from relax.preconditioner.internal.shielding import shielding
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.network import SpringNetwork, Straight
from relax.preconditioner.springs import Springs

__all__ = ["Bonds", "bonds_of", "straight_beside"]

LONGER = (1.15, 1.45)
"""An atom's neighbours count for its coordination number up to these distances, relative to the nearest one
or, if that is longer, to the bond length: fully up to the first, and not at all beyond the second."""

COVALENT = (0.8, 1.3)
"""A structure has bends if its bond lengths, over the sums of the covalent radii, are between these limits.
Others are those of noble gases, or of potentials in other units."""

DOUBLE = 0.12
"""Shortening of a bond, relative to a single bond, that counts at most."""

STRONGEST = 4.0
"""Largest strength of a bond, of atoms that are too close."""


@dataclass
class Bonds:
    """P bonds of a batch with R rows, listed from their first atoms and then, in the same order, back."""

    first: np.ndarray  # (2P,) row of the first atom
    second: np.ndarray  # (2P,) row of the second atom
    vectors: np.ndarray  # (2P, 3) A, from the first atom to the second
    offsets: np.ndarray  # (2P, 3) A, the same in the frame of the rows, less the difference of the rows
    owner: np.ndarray  # (2P,) structure
    along: np.ndarray  # (2P,) stiffness w
    strength: np.ndarray  # (2P,) strength s for bends and torsions
    twist: np.ndarray  # (2P,) strength as the middle of a torsion, that of single bonds is 1
    bends: np.ndarray  # (R,) share b of the bends that atoms have
    twists: np.ndarray  # (R,) share t of the torsions that atoms have
    soft: np.ndarray  # (R,) share of the low floor that atoms have
    numbers: np.ndarray  # (R,) atomic numbers, 0 for rows of a strain

    @property
    def pairs(self) -> int:
        """Number P of bonds."""
        return len(self.first) // 2

    @property
    def curved(self) -> np.ndarray:
        """The share c (P,) of the stiffness along each bond that is that of an internal coordinate."""
        p = self.pairs
        return np.asarray(np.maximum(self.bends[self.first[:p]], self.bends[self.second[:p]]))


def bonds_of(
    networks: Sequence[SpringNetwork], seg: Segments, stiffness: InternalStiffness, bending: np.ndarray
) -> Bonds:
    """Return the bonds of a batch whose structures have their rows in ``seg``.

    Those that are not ``bending`` (S,) have no bends.
    """
    counts = [len(network.springs.first) for network in networks]
    owner = np.repeat(np.arange(len(networks)), counts)
    first, second, vectors, along, ratio, shifts = (
        np.concatenate([getattr(network.springs, name) for network in networks])
        for name in ("first", "second", "vectors", "along", "ratio", "shifts")
    )
    first, second = first + seg.starts[owner], second + seg.starts[owner]
    numbers = np.zeros(seg.rows, int)
    for network, start in zip(networks, seg.starts, strict=True):
        numbers[start : start + network.atoms] = network.numbers
    polarity = np.abs(PAULING[numbers[first]] - PAULING[numbers[second]])
    covalent = np.exp(-(np.maximum(polarity - stiffness.polar, 0.0) ** 2))
    covalent[(numbers[first] == 1) & (numbers[second] == 1)] = 0.0  # hydrogen has one bond
    i = np.concatenate([first, second])
    bends, twists, soft = shares(i, along, ratio, covalent, seg.rows, stiffness)
    known = [COVALENT[0] < network.springs.bond < COVALENT[1] for network in networks]
    some = (bending & known)[seg.owner]
    bends, twists, soft = bends * some, twists * some, soft * some

    both = bends[first] * bends[second]
    r = np.sqrt(squares(vectors))
    bond = r / np.where(ratio > 0, ratio, 1.0)
    light = (numbers[first] <= 10) & (numbers[second] <= 10)
    single = np.where(light, covalent_radii[numbers[first]] + covalent_radii[numbers[second]], bond)
    double = np.exp(stiffness.double * np.clip(1 - r / single, 0.0, DOUBLE))
    lindh = lindh_stiffness(numbers[first], numbers[second], r, bond)
    plain, covalent_part = (1 - both) * along, both * lindh
    covalent_part = np.minimum(covalent_part, stiffness.strongest)
    along, strength = stiffness.softened(both) * plain + covalent_part, plain + covalent_part
    x, own = np.concatenate([network.x for network in networks]), vectors
    if any(seg.tensors):
        inverse = np.linalg.inv(np.stack([network.deformed for network in networks]))
        own = (inverse[owner] @ vectors[:, :, None])[:, :, 0]
    offsets, strength = own - (x[second] - x[first]), np.minimum(strength, STRONGEST) * covalent
    wanted = (bends > 0) | (twists > 0)
    unit = vectors / np.maximum(r, 1e-12)[:, None]
    shielded, across = shielding(first, second, shifts, unit, strength, double, wanted)
    strength *= 1 - shielded
    twist = np.minimum(strength, 1.0) * double + across
    few = twists[first] * twists[second]
    along = along + (stiffness.geminal - 1) * few * shielded * covalent_part
    kept = along > 0
    first, second, vectors, offsets = first[kept], second[kept], vectors[kept], offsets[kept]
    return Bonds(
        np.concatenate([first, second]),
        np.concatenate([second, first]),
        np.concatenate([vectors, -vectors]),
        np.concatenate([offsets, -offsets]),
        np.tile(owner[kept], 2),
        np.tile(along[kept], 2),
        np.tile(strength[kept], 2),
        np.tile(twist[kept], 2),
        bends,
        twists,
        soft,
        numbers,
    )


def straight_beside(
    bonds: Bonds, networks: Sequence[SpringNetwork], seg: Segments, stiffness: InternalStiffness
) -> list[Straight]:
    """Return what is straight of each structure beside internal coordinates: springs, and the floor."""
    p, starts = bonds.pairs, seg.starts
    cuts = np.cumsum(np.bincount(bonds.owner[:p], minlength=len(starts)))[:-1]
    of_bonds = (bonds.first, bonds.second, bonds.vectors, bonds.along)
    pieces = zip(*(np.split(a[:p], cuts) for a in of_bonds), np.split(bonds.curved, cuts), strict=True)
    shares, found = np.split(bonds.soft, starts[1:]), []
    for network, start, share, (i, j, d, along, curved) in zip(networks, starts, shares, pieces, strict=True):
        lowest = stiffness.bent_floor
        if not network.pbc.any():
            # With one floor for all atoms, steps neither move nor turn a free structure as a whole.
            lowest, share = stiffness.free_floor, np.full(len(share), np.median(share))
        floor = share * lowest + (1 - share) * stiffness.softened(share) * stiffness.floor
        springs = Springs.between(i - start, j - start, d, along)
        found.append(Straight(network, springs, stiffness.tangent, 1 - curved, floor))
    return found


def shares(
    i: np.ndarray,
    along: np.ndarray,
    ratio: np.ndarray,
    covalent: np.ndarray,
    rows: int,
    stiffness: InternalStiffness,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the shares of bends, of torsions and of the low floor of the atom of each row (R,), from 0 to 1.

    The floor is low for atoms of few neighbours whose neighbours have few neighbours, too.

    Parameters
    ----------
    i
        Rows of the atoms of the bonds from both sides (2P,).
    along, ratio, covalent
        Stiffness of the bonds, length over the bond length, and how little polar they are, (P,).
    """
    along, ratio, covalent = np.tile(along, 2), np.tile(ratio, 2), np.tile(covalent, 2)
    nearest = np.full(rows, np.inf)
    np.minimum.at(nearest, i, ratio)
    coordination = np.bincount(i, fading(ratio / np.maximum(nearest[i], 1.0), LONGER), rows)
    weight = np.minimum(along, 1.0)
    total = np.bincount(i, weight, rows)
    total[total == 0] = 1.0
    share = np.bincount(i, weight * covalent, rows) / total
    bends, twists = fading(coordination, stiffness.BENDS) * share, fading(coordination, stiffness.TORSIONS)
    few = twists * share
    j = np.roll(i, len(i) // 2)
    return bends, twists, few * np.bincount(i, weight * few[j], rows) / total
