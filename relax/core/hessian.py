"""Hessians as users give them, and what is wrong with those that are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["GivenHessian", "check_hessian", "check_hessians", "hessian_array"]

GivenHessian = Any | Callable[["Atoms"], Any]
"""A Hessian as users give it: an array, or a function of the structure that returns one."""

ASYMMETRY = 0.05
"""Largest difference from the transpose, relative to the largest entry, that counts as rounding."""


def hessian_array(given: GivenHessian, atoms: Atoms) -> np.ndarray:
    """Return the Hessian (3N, 3N), eV/A^2, that is given for ``atoms``.

    Parameters
    ----------
    given
        Array (3N, 3N), (N, 3, N, 3) or (3N, N, 3), eV/A^2, or a function of the structure that returns one;
        it gets a copy without a calculator.
    atoms
        The structure.

    Raises
    ------
    ValueError
        The array is of another shape, not finite or not symmetric.
    """
    words, n = "hessian=", len(atoms)
    if callable(given):
        given, words = given(atoms.copy()), "the array that hessian= returns"
    try:
        array = np.asarray(given, float)
    except (TypeError, ValueError):
        raise ValueError(f"{words} is no array of numbers but a {type(given).__name__}") from None
    if array.shape not in (shapes := ((3 * n, 3 * n), (n, 3, n, 3), (3 * n, n, 3))):
        raise ValueError(
            f"{words} has shape {array.shape}, not {shapes[0]}, {shapes[1]} or {shapes[2]}; "
            f"give the second derivatives (eV/A^2) by the positions of all {n} atoms"
        )
    array = array.reshape(3 * n, 3 * n)
    if not np.isfinite(array).all():
        i, j = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{words} is not finite at [{i}, {j}]; compute it anew, or leave it out")
    off = np.abs(array - array.T)
    i, j = np.unravel_index(off.argmax(), off.shape)
    if off[i, j] > ASYMMETRY * np.abs(array).max():
        raise ValueError(
            f"{words} is not symmetric: {array[i, j]:.3g} at [{i}, {j}], {array[j, i]:.3g} at [{j}, {i}]; "
            "compute it more accurately, or give the mean of it and its transpose"
        )
    return np.asarray((array + array.T) / 2)


def check_hessian(given: object, has_metric: bool, plain: bool = True) -> None:
    """Raise ValueError where a Hessian is given that would not be used.

    Parameters
    ----------
    given
        The Hessian, or None.
    has_metric, plain
        Whether the rule runs in a metric, and whether what is relaxed is plain atoms.
    """
    if given is not None and not has_metric:
        raise ValueError(
            "hessian= is for rules that run in a metric; use internal-lbfgs, pair-lbfgs or metric=True"
        )
    if given is not None and not plain:
        raise ValueError(
            "hessian= is for plain Atoms, not for filters or bands; give the Atoms, and cell=True"
        )


def check_hessians(given: object, has_metric: bool, structures: object) -> None:
    """Raise ValueError where Hessians are given for ``structures`` that would not be used."""
    check_hessian(given, has_metric)
    if given is None or callable(given):
        return
    if not isinstance(given, Sequence | np.ndarray) or np.ndim(given[0]) == 1:
        raise ValueError("hessian= must be a function, or a sequence with an array for each structure")
    if isinstance(structures, Sized) and len(structures) != len(given):
        raise ValueError(
            f"hessian= has {len(given)} arrays for {len(structures)} structures; give one for each"
        )
