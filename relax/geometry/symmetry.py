"""Space groups, as spglib finds them, and projections of forces, strains and steps on them."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import spglib
from ase import Atoms

# The C code of spglib prints a warning for each failed attempt, also when a later one succeeds.
os.environ.setdefault("SPGLIB_WARNING", "OFF")

__all__ = ["LARGEST", "SYMPREC", "SpaceGroup", "space_group"]

SYMPREC = 0.01
"""Largest distance (A) of atoms from their symmetric positions."""

ROUNDING = 1e-11
"""Distances (A) below this are rounding."""

LARGEST = 1000
"""Largest number of atoms for which :func:`space_group` searches: the time grows with its square."""


def symmetry_dataset(atoms: Atoms, symprec: float) -> Any:
    """Return spglib's dataset of ``atoms``, or None if it finds no group; ``symprec`` in A."""
    cell = atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers
    with warnings.catch_warnings():
        # Before spglib 3 a failure may be None with a warning; later it is an error.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return spglib.get_symmetry_dataset(cell, symprec=symprec)
        except spglib.SpglibError:
            return None


def is_crystal(atoms: Atoms) -> bool:
    """Whether ``atoms`` are finite and periodic in three directions, in a cell with a volume."""
    finite = np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell[:]).all()
    return bool(finite and atoms.pbc.all() and atoms.cell.volume > 1e-6)


def space_group(atoms: Atoms, symprec: float = SYMPREC) -> str:
    """Return the space group of a crystal, such as ``"Fm-3m (225)"``; ``symprec`` in A.

    The string is empty if the structure is not periodic in three directions or has more than ``LARGEST``
    atoms, or if spglib finds no group.
    """
    if not is_crystal(atoms) or len(atoms) > LARGEST:
        return ""
    group = symmetry_dataset(atoms, symprec)
    return f"{group.international} ({group.number})" if group is not None else ""


@dataclass(frozen=True)
class SpaceGroup:
    """The symmetry operations of a crystal, in the frame of one cell.

    Parameters
    ----------
    name
        Symbol and number.
    rotations, translations
        Operations on scaled positions, (K, 3, 3) and (K, 3).
    images
        The atom to which each operation moves each atom, (K, N).
    """

    name: str
    rotations: np.ndarray
    translations: np.ndarray
    images: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms, symprec: float = SYMPREC) -> SpaceGroup:
        """Return the space group of ``atoms``, with a tolerance of ``symprec``, A.

        Raises
        ------
        ValueError
            The structure is not periodic in three directions, or spglib finds no group.
        """
        if not is_crystal(atoms):
            raise ValueError("symmetry='keep' needs a crystal that is periodic in three directions")
        group = symmetry_dataset(atoms, symprec)
        if group is None:
            raise ValueError(f"spglib finds no space group within {symprec} A")
        scaled, cell = atoms.get_scaled_positions(), atoms.cell[:]
        images = np.empty((len(group.rotations), len(atoms)), int)
        for k, (w, t) in enumerate(zip(group.rotations, group.translations, strict=True)):
            apart = (scaled @ w.T + t)[:, None] - scaled
            apart -= np.round(apart)
            far = np.linalg.norm(apart @ cell, axis=2)
            far[atoms.numbers[:, None] != atoms.numbers] = np.inf
            images[k] = far.argmin(axis=1)
        name = f"{group.international} ({group.number})"
        return cls(name, group.rotations, group.translations, images)

    def cartesian(self, cell: np.ndarray) -> np.ndarray:
        """Return the Cartesian rotation matrices (K, 3, 3) of the operations, for a ``cell`` (3, 3)."""
        return np.asarray(cell.T @ self.rotations @ np.linalg.inv(cell.T))

    def of_rows(self, rows: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return the symmetric part of vectors on atoms (N, 3), such as forces."""
        turned = np.einsum("kab,ib->kia", self.cartesian(cell), rows)
        mean = np.zeros_like(rows)
        for images, moved in zip(self.images, turned, strict=True):
            mean[images] += moved
        return mean / len(turned)

    def tensors(self, cell: np.ndarray) -> np.ndarray:
        """Return the projector (9, 9) on the symmetric strains and stresses."""
        turns = self.cartesian(cell)
        return np.asarray(np.einsum("kac,kbd->abcd", turns, turns).reshape(9, 9) / len(turns))

    def snap(self, atoms: Atoms) -> None:
        """Move the atoms and the cell to their symmetric positions, in place.

        The atoms move by less than spglib's tolerance.  Their mean position stays, since the origin that
        spglib finds may be off by its tolerance.  A structure that is symmetric up to rounding does not
        change at all, so that a restart changes nothing.
        """
        old = atoms.cell[:]
        metric = np.mean(np.swapaxes(self.rotations, 1, 2) @ (old @ old.T) @ self.rotations, axis=0)
        # The strain without rotation that gives the cell the averaged metric tensor.
        inner = np.linalg.inv(old)
        values, vectors = np.linalg.eigh(inner @ metric @ inner.T)
        cell = old @ (vectors * np.sqrt(values)) @ vectors.T
        scaled = atoms.get_scaled_positions(wrap=False)
        mean = np.zeros_like(scaled)
        for w, t, images in zip(self.rotations, self.translations, self.images, strict=True):
            apart = scaled @ w.T + t - scaled[images]
            mean[images] += apart - np.round(apart)
        moves = mean / len(self.rotations)
        positions = (scaled + moves - moves.mean(axis=0)) @ cell
        if max(np.abs(cell - old).max(), np.abs(positions - atoms.positions).max()) > ROUNDING:
            atoms.set_cell(cell, apply_constraint=False)
            atoms.set_positions(positions, apply_constraint=False)
