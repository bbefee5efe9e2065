"""The cell as three more rows: its logarithmic strain, on top of a reference cell.

With a reference cell C, positions r' in its frame and the log strain L,

::

    F = exp(L),   cell = C F^T,   r = r' F^T
    dE/dr' = (dE/dr) F
    dE/dL  = upper right block of exp([[L^T, A], [0, L^T]]),   A = V sigma F^-T

so that the gradient costs one 6x6 matrix exponential, and no logarithm is ever taken.  Every array
has the structures of a batch on axis 0.

Source: the coordinates of ASE's ``FrechetCellFilter``; the block exponential is that of Najfeld and
Havel, Adv. Appl. Math. 16, 321 (1995), and Higham, Functions of Matrices (2008), theorem 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import array_api_compat
import numpy as np

from relax.core.segments import Array, array_namespace

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


def exponential(a: Array) -> Array:
    """Return the matrix exponentials of ``a`` (S, n, n), of norm up to about 5.

    Taylor's series of a 32nd part, squared five times.  scipy has one that is good for any norm, but one
    matrix after the other and at ten times the cost; here no matrix knows of the rest of its batch, and
    any namespace will do.
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
        The deformation is a reflection, or so large a rotation that it has no real logarithm.
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
        Stress times volume, (S, 3, 3), eV: the energy changes by its product with dF F^-1.
    """
    xp = array_namespace(strain)
    lt = xp.matrix_transpose(strain)
    a = virial @ xp.linalg.inv(xp.matrix_transpose(deformed))
    # The block is linear in A, whose size, of any number of eV, must not count for the exponential.
    size = xp.max(xp.abs(a), axis=(1, 2), keepdims=True)
    size = xp.where(size > 0, size, xp.ones_like(size))
    a = a / size
    rows = xp.concat([xp.concat([lt, a], axis=2), xp.concat([0 * a, lt], axis=2)], axis=1)
    return size * exponential(rows)[:, :3, 3:]


class StepScale(Protocol):
    """What steps in a cell; see ``Rule`` for the meaning of the numbers."""

    @property
    def strain_length(self) -> tuple[float, float]: ...

    @property
    def max_strain(self) -> float: ...


@dataclass(frozen=True)
class CellFreedom:
    """What a cell may do while it relaxes.

    Parameters
    ----------
    pressure
        External pressure, GPa; what is minimised is then the enthalpy.
    mask
        Strain components that may change, as six (xx, yy, zz, yz, xz, xy) or 3x3 truth values; all,
        if not given.  Along directions that are not periodic there is never any.
    hydrostatic
        Only scale the cell.
    constant_volume
        Only change its shape.
    max_strain
        Largest strain of one step; a longer step is shortened as a whole.  If not given, what suits the
        rule, see ``Rule.max_strain``.
    length
        Length (A) that a strain of one counts as among the displacements of atoms; ASE's cell filters
        take the number of atoms.  If not given, optimizers take what suits the rule, see
        ``Rule.strain_length``.
    rebase
        Strain at which the present cell becomes the new reference, and the rule starts afresh.

    Raises
    ------
    ValueError
        A number is out of its bounds, or nothing is left to relax.
    """

    pressure: float = 0.0
    mask: Sequence[Any] | None = None
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

    def sized(self, strider: StepScale, natoms: int) -> CellFreedom:
        """Return this with a ``length`` and a ``max_strain``: its own or, for ``natoms`` atoms, a rule's."""
        factor, power = strider.strain_length
        length = factor * max(natoms, 1) ** power if self.length is None else self.length
        limit = strider.max_strain if self.max_strain is None else self.max_strain
        return replace(self, length=length, max_strain=limit)

    @property
    def components(self) -> np.ndarray:
        """The mask as 3x3 truth values."""
        if self.mask is None:
            return np.ones((3, 3), bool)
        mask = np.asarray(self.mask, bool)
        return mask[np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])] if mask.shape == (6,) else mask

    def projector(self, plane: np.ndarray, *others: np.ndarray) -> np.ndarray:
        """Return the projector (9, 9) on the strains, and stresses, that this freedom leaves.

        Parameters
        ----------
        plane
            Projector (3, 3) on the periodic directions.
        others
            Projectors (9, 9) on what else must hold, such as a symmetry.
        """
        if self.hydrostatic:
            swelling = plane.ravel() / np.linalg.norm(plane)
            return meet([np.outer(swelling, swelling), *others])
        if self.mask is None and not self.constant_volume and not others:
            return np.kron(plane, plane)
        held = [np.kron(plane, plane), np.diag(self.components.ravel().astype(float)), *others]
        if self.constant_volume:
            unit = np.eye(3).ravel()
            held.append(np.eye(9) - np.outer(unit, unit) / 3)
        return meet(held)


def meet(projectors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the projector on what all of ``projectors`` (n, n) leave."""
    shares, vectors = np.linalg.eigh(np.mean(projectors, axis=0))
    left = vectors[:, shares > 1 - 1e-9]
    return np.asarray(left @ left.T)


def periodic_plane(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the projector (3, 3) on the periodic directions of a ``cell`` (3, 3)."""
    if pbc.all():
        return np.eye(3)
    along = np.linalg.svd(cell[pbc], full_matrices=False)[2]
    return np.asarray(along.T @ along)


def cell_freedom(cell: bool | CellFreedom, pressure: float) -> CellFreedom | None:
    """Return what ``cell=`` and ``pressure=`` (GPa) allow the cell to do; None where it is held.

    Raises
    ------
    ValueError
        A pressure is given twice, or for a cell that is held.
    """
    if isinstance(cell, CellFreedom):
        if pressure:
            raise ValueError("give the pressure once: CellFreedom(pressure=...) or pressure=")
        return cell
    if not cell:
        if pressure:
            raise ValueError(f"a pressure of {pressure} GPa needs a cell that relaxes; give cell=True")
        return None
    return CellFreedom(pressure=pressure)
