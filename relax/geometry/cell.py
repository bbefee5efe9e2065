"""The cell as three more rows of coordinates: the logarithmic strain of a reference cell.

With a reference cell C, positions r' in its frame and the log strain L:

::

    F = exp(L),   cell = C F^T,   r = r' F^T
    dE/dr' = (dE/dr) F
    dE/dL  = upper right block of exp([[L^T, A], [0, L^T]]),   A = V sigma F^-T

The gradient needs one 6x6 matrix exponential and no matrix logarithm.  Every array has the structures of a
batch on axis 0.

Source: the coordinates are those of ASE's ``FrechetCellFilter``; the block exponential is from Najfeld and
Havel, Adv. Appl. Math. 16, 321 (1995), and Higham, Functions of Matrices (2008), theorem 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import array_api_compat
import numpy as np

from relax.core.segments import Array, array_namespace
from relax.geometry.cell_mask import is_mask, named_mask

__all__ = [
    "GPA",
    "CellFreedom",
    "cell_freedom",
    "deformation",
    "logarithm",
    "periodic_plane",
    "strain_gradient",
]

GPA = 0.006241509125883258
"""1 GPa in eV/A^3."""

HALVINGS, TERMS = 5, 10
"""Squarings, and terms of the Taylor series, of a matrix exponential."""


def exponential(a: Array) -> Array:
    """Return the matrix exponentials of ``a`` (S, n, n), for norms up to about 5.

    Computed as the Taylor series of ``a / 32``, squared five times.  scipy's function allows any norm.  This
    one works in any array namespace and takes a tenth of the time, and the result for one matrix does not
    depend on the other matrices of the batch.
    """
    xp = array_namespace(a)
    one = 0 * a + xp.eye(a.shape[-1], dtype=a.dtype, device=array_api_compat.device(a))
    a, e = a / 2**HALVINGS, one
    for k in range(TERMS, 0, -1):
        e = one + (a @ e) / k
    for _ in range(HALVINGS):
        e = e @ e
    return e


def deformation(strain: Array) -> Array:
    """Return the deformation gradients F (S, 3, 3) of log strains (S, 3, 3)."""
    return exponential(strain)


def logarithm(deformed: np.ndarray) -> np.ndarray:
    """Return the log strain (3, 3) of one deformation gradient (3, 3).

    Raises
    ------
    ValueError
        The deformation has no real logarithm: it is a reflection or too large a rotation.
    """
    from scipy.linalg import logm

    strain = np.asarray(logm(deformed))
    if np.abs(strain.imag).max() > 1e-10:
        raise ValueError("the cell differs from its reference by more than a strain")
    return np.ascontiguousarray(strain.real)


def strain_gradient(strain: Array, deformed: Array, virial: Array) -> Array:
    """Return dE/dL (S, 3, 3), eV, at log strains L with deformation gradients ``deformed``.

    Parameters
    ----------
    strain, deformed
        L and exp(L), (S, 3, 3).
    virial
        Stress times volume, (S, 3, 3), eV.  The energy changes by the product of this with dF F^-1.
    """
    xp = array_namespace(strain)
    lt = xp.matrix_transpose(strain)
    a = virial @ xp.linalg.inv(xp.matrix_transpose(deformed))
    # The block is linear in A.  A is scaled to one, since the exponential is accurate for small norms only.
    size = xp.max(xp.abs(a), axis=(1, 2), keepdims=True)
    size = xp.where(size > 0, size, xp.ones_like(size))
    a = a / size
    rows = xp.concat([xp.concat([lt, a], axis=2), xp.concat([0 * a, lt], axis=2)], axis=1)
    return size * exponential(rows)[:, :3, 3:]


class StepScale(Protocol):
    """Default scales of steps in a cell; ``Rule`` documents both numbers."""

    @property
    def strain_length(self) -> tuple[float, float]: ...

    @property
    def max_strain(self) -> float: ...


@dataclass(frozen=True)
class CellFreedom:
    """How a cell may change while it relaxes.

    Parameters
    ----------
    pressure
        External pressure, GPa.  With a pressure, the enthalpy is minimised.
    mask
        Strain components that may change: Cartesian axes such as ``"xy"`` for xx, yy and xy; six truth values
        (xx, yy, zz, yz, xz, xy), also as digits, ``"111000"``; or 3x3 of them.  If not given, all may change.
        There is never a strain along directions that are not periodic.
    hydrostatic
        Allow only scaling of the cell.
    constant_volume
        Allow only changes of shape.
    max_strain
        Largest strain of one step; a larger step is scaled down as a whole.  If not given, the default of
        the rule, ``Rule.max_strain``.
    length
        Length (A) of a strain of one among the displacements of atoms.  If not given, the default of the
        rule, ``Rule.strain_length``.  ASE's cell filters take the number of atoms.
    rebase
        Strain at which the present cell becomes the new reference and the rule restarts.

    Raises
    ------
    ValueError
        A number is out of its bounds, or no strain is left to relax.
    """

    pressure: float = 0.0
    mask: Sequence[Any] | str | None = None
    hydrostatic: bool = False
    constant_volume: bool = False
    max_strain: float | None = None
    length: float | None = None
    rebase: float = 0.3

    def __post_init__(self) -> None:
        if not np.isfinite(self.pressure):
            raise ValueError(f"the pressure is {self.pressure} GPa; give a finite number")
        for name in ("max_strain", "length", "rebase"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"CellFreedom: {name} = {value!r} is not allowed; give a number above 0")
        if np.shape(self.components) != (3, 3) or not (self.components == self.components.T).all():
            raise ValueError("the mask of the cell is six truth values, or a symmetric 3x3 of them")
        if not self.components.any():
            raise ValueError("the mask of the cell leaves no strain to relax; use cell=False")
        if self.hydrostatic and (self.constant_volume or self.mask is not None):
            raise ValueError("a hydrostatic cell is only scaled: it takes no mask and no constant volume")
        if not self.projector(np.eye(3)).any():
            raise ValueError(
                "the mask of the cell leaves no strain of constant volume; allow more components"
            )

    def with_defaults(self, step_scale: StepScale, natoms: int) -> CellFreedom:
        """Return a copy with a rule's defaults for ``length`` and ``max_strain`` if these are not given."""
        factor, power = step_scale.strain_length
        length = factor * max(natoms, 1) ** power if self.length is None else self.length
        limit = step_scale.max_strain if self.max_strain is None else self.max_strain
        return replace(self, length=length, max_strain=limit)

    @property
    def components(self) -> np.ndarray:
        """The mask as 3x3 truth values."""
        if self.mask is None:
            return np.ones((3, 3), bool)
        mask = np.array(named_mask(self.mask) if isinstance(self.mask, str) else self.mask, bool)
        return mask[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])] if mask.shape == (6,) else mask

    def projector(self, plane: np.ndarray, *others: np.ndarray) -> np.ndarray:
        """Return the projector (9, 9) on the strains and stresses that are allowed.

        Parameters
        ----------
        plane
            Projector (3, 3) on the periodic directions.
        others
            Projectors (9, 9) of other conditions, such as a symmetry.
        """
        if self.hydrostatic:
            dilation = plane.ravel() / np.linalg.norm(plane)
            return intersection([np.outer(dilation, dilation), *others])
        if self.mask is None and not self.constant_volume and not others:
            return np.kron(plane, plane)
        kept = self.components.ravel().astype(float)
        held = [np.kron(plane, plane), np.diag(kept), *others]
        if self.constant_volume:
            unit = np.eye(3).ravel()
            held.append(np.eye(9) - np.outer(unit, unit) / 3)
        return intersection(held) * np.outer(kept, kept)  # without rounding, what is masked stays as it is


def intersection(projectors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the projector (n, n) on the intersection of the spaces of ``projectors`` (n, n)."""
    values, vectors = np.linalg.eigh(np.mean(projectors, axis=0))
    common = vectors[:, values > 1 - 1e-9]
    return np.asarray(common @ common.T)


def periodic_plane(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the projector (3, 3) on the periodic directions of a ``cell`` (3, 3)."""
    if pbc.all():
        return np.eye(3)
    along = np.linalg.svd(cell[pbc], full_matrices=False)[2]
    return np.asarray(along.T @ along)


def cell_freedom(cell: object, pressure: float = 0.0) -> CellFreedom | None:
    """Return the freedom that the options ``cell=`` and ``pressure=`` (GPa) mean; None for a fixed cell.

    Raises
    ------
    TypeError
        ``cell`` is neither a bool nor a ``CellFreedom``, nor a word that is a mask.
    ValueError
        A pressure is given twice, or with a fixed cell, or the mask leaves no strain.
    """
    words = f"cell = {cell!r} is not allowed; give True, False or a CellFreedom, or axes such as 'xy'"
    if isinstance(cell, str) and is_mask(cell):
        return CellFreedom(pressure=pressure, mask=cell)
    if not isinstance(cell, bool | np.bool | CellFreedom):
        raise TypeError(words)
    if isinstance(cell, CellFreedom):
        if pressure:
            raise ValueError("give the pressure once: CellFreedom(pressure=...) or pressure=")
        return cell
    if not cell:
        if pressure:
            raise ValueError(f"a pressure of {pressure} GPa needs a cell that relaxes; give cell=True")
        return None
    return CellFreedom(pressure=pressure)
