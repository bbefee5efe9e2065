"""One structure as a network of springs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from ase.data import covalent_radii

from relax.geometry.cell import deformation
from relax.geometry.sanity import NONMETALS
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.springs import KeptPairs, Springs, springs

__all__ = ["SpringNetwork", "Straight", "projectors_of", "strain_blocks"]


@dataclass
class SpringNetwork:
    """The springs and constraints of one structure, which its model Hessian is made of.

    Parameters
    ----------
    numbers
        Atomic numbers (N,).
    x
        Its rows (R, 3), A: atoms in the frame of the reference cell and, if the cell relaxes, its strain.
    cell, pbc
        The reference cell (3, 3), A, and which directions are periodic (3,).
    stiffness
        The parameters of the model.
    scale
        Length (A) of a strain of one; None if the cell is fixed.
    projectors
        Matrices (N, 3, 3) that project the atoms' steps on what constraints allow; None without constraints.
    pairs
        The pairs of its atoms, from step to step; None to list them anew.
    """

    numbers: np.ndarray
    x: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    stiffness: PairStiffness
    scale: float | None = None
    projectors: np.ndarray | None = None
    pairs: KeptPairs | None = None

    @property
    def atoms(self) -> int:
        """Number N of atoms."""
        return len(self.numbers)

    @property
    def rows(self) -> int:
        """Number of rows: one per atom and, if the cell relaxes, three of its strain."""
        return len(self.x)

    @property
    def metallic(self) -> bool:
        """Whether all its atoms are metals."""
        return NONMETALS.isdisjoint(np.unique(self.numbers).tolist())

    @cached_property
    def deformed(self) -> np.ndarray:
        """The deformation gradient (3, 3) of the reference cell."""
        if self.scale is None:
            return np.eye(3)
        return np.asarray(deformation(self.x[None, -3:] / self.scale)[0])

    @cached_property
    def springs(self) -> Springs:
        """The springs between its atoms, by their radii; none if there are too many pairs to list."""
        f, pairs = self.deformed.T, self.pairs or KeptPairs(covalent_radii[self.numbers], self.pbc)
        cell = (self.cell @ f) * self.pbc[:, None]
        try:
            return springs(self.x[: self.atoms] @ f, cell, pairs, self.stiffness)
        except ValueError:
            return Springs.empty()

    def at(self, x: np.ndarray) -> SpringNetwork:
        """Return the network of the same structure with its rows at ``x`` (R, 3), A."""
        return replace(self, x=x)

    def equals(self, other: SpringNetwork) -> bool:
        """Return whether ``other`` is the network of the same structure in the same place."""
        if (self.stiffness, self.scale) != (other.stiffness, other.scale):
            return False
        names = ("numbers", "x", "cell", "pbc", "projectors")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)


def projectors_of(networks: Sequence[SpringNetwork]) -> np.ndarray | None:
    """Return what constraints leave of the steps of all rows (R, 3, 3); None without constraints."""
    if all(network.projectors is None for network in networks):
        return None
    projectors = [np.tile(np.eye(3), (network.rows, 1, 1)) for network in networks]
    for network, own in zip(networks, projectors, strict=True):
        if network.projectors is not None:
            own[: network.atoms] = network.projectors
    return np.concatenate(projectors)


@dataclass
class Straight:
    """The part of the model Hessian of one structure that is the same at every place.

    Parameters
    ----------
    network
        The structure.
    springs
        The P springs between its atoms.
    tangent
        Stiffness of a spring across its direction, relative to that along it.
    share
        How much of each spring is not left to an internal coordinate (P,); None for all.
    floor
        Constants that are added to the diagonal, for each row (R,).
    """

    network: SpringNetwork
    springs: Springs
    tangent: float
    share: np.ndarray | None
    floor: np.ndarray

    @classmethod
    def of(cls, network: SpringNetwork, stiffness: PairStiffness) -> Straight:
        """Return what there is of a ``network`` without internal coordinates."""
        soft = float(stiffness.softened(np.zeros(1))[0])
        springs = network.springs._replace(along=soft * network.springs.along)
        return cls(network, springs, stiffness.tangent, None, np.full(network.rows, soft * stiffness.floor))

    def blocks(self) -> np.ndarray:
        """Return the second derivatives (P, 3, 3) of the energies of the springs by their vectors."""
        along, u = self.springs.along, self.springs.unit
        if self.share is not None:
            along = along * self.share
        across = self.tangent * np.eye(3)
        return np.asarray(
            along[:, None, None] * ((1 - self.tangent) * u[:, :, None] * u[:, None, :] + across)
        )


def strain_blocks(springs: Springs, stiff: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the blocks of the Hessian that belong to the strain.

    Only the symmetric part of a strain changes lengths; the antisymmetric part is a rotation.

    Parameters
    ----------
    springs, stiff
        P springs, and their blocks (P, 3, 3) from :meth:`Straight.blocks`.
    scale
        Length of a strain of one, A.

    Returns
    -------
    pull, cost
        Derivatives by the vectors of the springs and the strain (P, 3, 9), and by the strain twice (9, 9).
    """
    d = springs.vectors / scale
    pull = 0.5 * (stiff[:, :, :, None] * d[:, None, None, :] + stiff[:, :, None, :] * d[:, None, :, None])
    half = np.einsum("pd,pcab->cdab", d, pull)
    cost = 0.5 * (half + half.swapaxes(0, 1)).reshape(9, 9)
    return pull.reshape(-1, 3, 9), cost
