"""What symmetry, the freedom of cells and constraints leave of gradients and steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from relax.core.segments import row_times
from relax.engine.arrays import Gradients
from relax.engine.minima.motions import rigid
from relax.geometry.cell import GPA, strain_gradient
from relax.geometry.symmetry import SpaceGroup

if TYPE_CHECKING:
    from relax.engine.coordinates import BatchCoordinates

__all__ = ["FreeRows", "gradients_of", "limited", "projected", "without_drift"]

NOTHING = 1e-3
"""Share of the stop criterion below which a drift takes no structure anywhere."""


def projected(c: BatchCoordinates, rows: np.ndarray) -> np.ndarray:
    """Return the part of a gradient or a step (R, 3) that symmetry and the freedom of the cells leave."""
    of_strain = c.rows[1]
    rows = rows.copy()
    for s, group in c.grouped:
        first = c.seg.starts[s]
        mine = slice(first, first + c.constants.lengths[s])
        rows[mine] = group.of_rows(rows[mine], c.place.reference[s])
    if len(of_strain):
        tensors = np.zeros((len(c), 3, 3))
        tensors[c.constants.relaxes] = rows[of_strain].reshape(-1, 3, 3)
        rows[of_strain] = free_tensors(c, tensors)[c.constants.relaxes].reshape(-1, 3)
    return rows


def free_tensors(c: BatchCoordinates, tensors: np.ndarray) -> np.ndarray:
    """Return the part of strains or stresses (S, 3, 3) that symmetry and the freedom of the cells leave."""
    return np.asarray(c.free @ tensors.reshape(-1, 9, 1)).reshape(-1, 3, 3)


def gradients_of(c: BatchCoordinates, forces: np.ndarray, stresses: np.ndarray) -> Gradients:
    """Return the gradient that forces (N, 3), eV/A, and stresses (S, 3, 3), eV/A^3, make."""
    relaxes, natoms = c.constants.relaxes, c.constants.lengths
    forces, stresses = c.constrained(forces, stresses)
    known = np.isfinite(stresses).all(axis=(1, 2)) & c.constants.pbc.any(axis=1)
    held = np.where(
        known, np.abs(np.where(known[:, None, None], stresses, 0.0)).max(axis=(1, 2)) / GPA, np.nan
    )
    if not relaxes.any():
        g = projected(c, -forces)
        return Gradients(g, longest(c, g), held, np.zeros(len(c)))
    volume = np.where(relaxes, c.volumes, 0.0)
    total: np.ndarray = np.where(relaxes[:, None, None], stresses, 0.0)
    total = total + c.constants.pressure[:, None, None] * np.eye(3)
    g_strain = strain_gradient(c.place.strain, c.deformation, volume[:, None, None] * total)
    rows = c.joined(-row_times(forces, c.deformation[c.owner]), g_strain / c.constants.scale)
    g = projected(c, rows)
    actual = row_times(g[c.rows[0]], c.inverse_deformation[c.owner])
    free = free_tensors(c, total)
    return Gradients(
        g,
        longest(c, actual),
        np.where(relaxes, np.abs(free).max(axis=(1, 2)) / GPA, held),
        np.sqrt((free * free).sum(axis=2).max(axis=1)) * volume / natoms,
    )


def without_drift(c: BatchCoordinates, g: np.ndarray, fmax: float) -> np.ndarray:
    """Return a gradient (R, 3), eV/A, without what moves structures as a whole, where that is an error.

    Forces on free atoms add up to nothing, and so do their torques where no direction is periodic; but not
    quite on the grids of density-functional theory.  The model Hessian is soft along these motions, so that a
    small error would make a long step.  A drift above ``fmax``, eV/A, on any atom stays: it is an external
    field, or the run cannot converge anyway.
    """
    found = (drifts(c, g[c.rows[0]]) > NOTHING * fmax) & c.unconstrained
    if not found.any():
        return g
    g = g.copy()
    for s in np.flatnonzero(found).tolist():
        mine, (positions, turns) = c.seg.slice(s), c.rigid_body(s)
        motions = rigid(positions, len(g[mine]), turns)
        whole = np.einsum("kra,ksb,sb->ra", motions, motions, g[mine])
        if np.linalg.norm(whole, axis=1).max() <= fmax:
            g[mine] -= whole
    return g


def drifts(c: BatchCoordinates, forces: np.ndarray) -> np.ndarray:
    """Return how long (S,), eV/A, what moves structures as a whole is in ``forces`` (N, 3), about."""

    def means(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat(rows, c.firsts) / c.constants.lengths[:, None])

    arms = c.positions - means(c.positions)[c.owner]
    radii = np.sqrt(means(arms * arms).sum(axis=1))
    torques = np.linalg.norm(means(np.cross(arms, forces)), axis=1)
    turning = np.where(c.constants.pbc.any(axis=1), 0.0, torques / np.maximum(radii, 1e-6))
    return np.asarray(np.maximum(np.linalg.norm(means(forces), axis=1), turning))


def longest(c: BatchCoordinates, rows: np.ndarray) -> np.ndarray:
    """Return the length (S,) of the longest among the rows of the atoms (N, 3) of each structure."""
    return np.asarray(np.sqrt(np.maximum.reduceat((rows * rows).sum(axis=1), c.firsts)))


def limited(c: BatchCoordinates, step: np.ndarray) -> np.ndarray:
    """Return the part of a step (R, 3) that symmetry, freedom and the limit on the strain leave."""
    step, of_strain = projected(c, step), c.rows[1]
    if not len(of_strain):
        return step
    relaxes = c.constants.relaxes
    tensors = step[of_strain].reshape(-1, 3, 3) / c.constants.scale[relaxes]
    strain = np.linalg.norm(tensors, 2, axis=(1, 2))
    limit = c.constants.limit[relaxes]
    factor = np.ones(len(c))
    factor[relaxes] = np.where(strain > limit, limit / np.where(strain > 0, strain, 1.0), 1.0)
    return np.asarray(factor[c.seg.owner][:, None] * step)


@dataclass(frozen=True)
class FreeRows:
    """The projection of rows (R, 3) of one structure on what may move at all.

    Parameters
    ----------
    step_projector
        What constraints leave of the steps of its atoms (N, 3, 3).
    tensor_projector
        What the freedom of the cell and symmetry leave of strains (9, 9).
    group, reference
        The space group that is kept, if any, and the reference cell (3, 3), A.
    """

    step_projector: np.ndarray
    tensor_projector: np.ndarray
    group: SpaceGroup | None = None
    reference: np.ndarray | None = None

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        n = len(self.step_projector)
        atoms, strain = rows[:n], rows[n:]
        if self.group is not None:
            assert self.reference is not None
            atoms = self.group.of_rows(atoms, self.reference)
        atoms = (atoms[:, None] @ self.step_projector)[:, 0]
        if not len(strain):
            return np.asarray(atoms)
        return np.concatenate([atoms, (self.tensor_projector @ strain.ravel()).reshape(3, 3)])
