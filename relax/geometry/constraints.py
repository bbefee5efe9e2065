"""ASE's constraints as two 3x3 matrices per atom, which stay the same during a run."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled

from relax.core.errors import UnsupportedStructure

__all__ = ["constraint_projectors"]


def constraint_projectors(atoms: Atoms, strained: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the projectors of the constraints of ``atoms``, for forces and for steps.

    The constraints act in order, as in ASE.

    Parameters
    ----------
    atoms
        The structure.
    strained
        Whether its cell will change.

    Returns
    -------
    forces, steps
        Matrices (N, 3, 3).  The force, or the step, of each atom is multiplied as a row by its matrix.

    Raises
    ------
    UnsupportedStructure
        A constraint is of another kind, which must not be ignored silently.
    """
    forces = np.tile(np.eye(3), (len(atoms), 1, 1))
    steps = forces.copy()
    for constraint in atoms.constraints:
        of_force, of_step = _matrices(constraint, atoms, strained)
        index = constraint.index
        forces[index], steps[index] = forces[index] @ of_force, steps[index] @ of_step
    return forces, steps


def _matrices(constraint: object, atoms: Atoms, strained: bool) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(constraint, FixAtoms):
        return np.zeros((3, 3)), np.zeros((3, 3))
    if isinstance(constraint, FixCartesian):
        left = np.diag((~constraint.mask).astype(float))
        return left, left
    if isinstance(constraint, FixedLine | FixedPlane):
        along = np.outer(constraint.dir, constraint.dir)
        left = along if isinstance(constraint, FixedLine) else np.eye(3) - along
        return left, left
    if isinstance(constraint, FixScaled) and not (strained and not constraint.mask.all()):
        cell = atoms.cell.complete().array
        inner, left = np.linalg.inv(cell), np.diag((~constraint.mask).astype(float))
        return cell @ left @ inner, inner @ left @ cell
    name = type(constraint).__name__
    where = " in a cell that relaxes" if isinstance(constraint, FixScaled) else ""
    raise UnsupportedStructure(
        f"a batch does not honour the constraint {name}{where}; relax this structure by itself"
    )
