"""Constraints of ASE: as one pair of 3x3 matrices for each atom where that is what they are, else by ASE."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

__all__ = [
    "constrained_forces",
    "constrained_move",
    "constrained_stress",
    "constraint_energy",
    "constraint_projectors",
    "settle",
]

OFF = 1e-6
"""How far (A) from its constraints a structure counts as on them."""

ROUNDS = 100
"""How often constraints are asked where one undoes what another did."""

Projectors = tuple[np.ndarray, np.ndarray]


def constraint_projectors(atoms: Atoms, cell_relaxes: bool) -> Projectors | None:
    """Return what the constraints of ``atoms`` leave of each atom's force and of its step.

    The constraints are applied one after the other, as in ASE.

    Parameters
    ----------
    atoms
        The structure.
    cell_relaxes
        Whether its cell is going to change.

    Returns
    -------
    forces, steps
        Matrices (N, 3, 3) that a force, or a step, as a row is to be multiplied by.  None where a
        constraint is of another kind, and ASE itself has to apply it.
    """
    forces = np.tile(np.eye(3), (len(atoms), 1, 1))
    steps = forces.copy()
    for constraint in atoms.constraints:
        matrices = _matrices(constraint, atoms, cell_relaxes)
        if matrices is None:
            return None
        index = constraint.index
        forces[index], steps[index] = forces[index] @ matrices[0], steps[index] @ matrices[1]
    return forces, steps


def _matrices(constraint: object, atoms: Atoms, cell_relaxes: bool) -> Projectors | None:
    if isinstance(constraint, FixAtoms):
        return np.zeros((3, 3)), np.zeros((3, 3))
    if isinstance(constraint, FixCartesian):
        left = np.diag((~constraint.mask).astype(float))
        return left, left
    if isinstance(constraint, FixedLine | FixedPlane):
        along = np.outer(constraint.dir, constraint.dir)
        left = along if isinstance(constraint, FixedLine) else np.eye(3) - along
        return left, left
    if isinstance(constraint, FixScaled) and not (cell_relaxes and not constraint.mask.all()):
        cell = atoms.cell.complete().array
        inner, left = np.linalg.inv(cell), np.diag((~constraint.mask).astype(float))
        return cell @ left @ inner, inner @ left @ cell
    return None


def constrained_forces(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """Return what ASE's constraints leave of ``forces`` (N, 3), eV/A, at the positions of ``atoms``."""
    left = forces.copy()
    atoms.calc = SinglePointCalculator(atoms, forces=forces)  # some constraints ask for the forces again
    for constraint in atoms.constraints:
        constraint.adjust_forces(atoms, left)
    return left


def constrained_stress(atoms: Atoms, stress: np.ndarray) -> np.ndarray:
    """Return what ASE's constraints leave of a ``stress`` (3, 3), eV/A^3."""
    if not any(hasattr(constraint, "adjust_stress") for constraint in atoms.constraints):
        return stress
    left = full_3x3_to_voigt_6_stress(stress)
    for constraint in atoms.constraints:
        if hasattr(constraint, "adjust_stress"):
            constraint.adjust_stress(atoms, left)
    return np.asarray(voigt_6_to_full_3x3_stress(left))


def constraint_energy(atoms: Atoms) -> float:
    """Return the energy (eV) of constraints that have one, such as springs."""
    return float(
        sum(
            constraint.adjust_potential_energy(atoms)
            for constraint in atoms.constraints
            if hasattr(constraint, "adjust_potential_energy")
        )
    )


def constrained_move(atoms: Atoms, positions: np.ndarray, cell: np.ndarray | None) -> None:
    """Move ``atoms``, in place, to ``positions`` (N, 3) and ``cell`` (3, 3), A, as ASE's constraints allow.

    A ``cell`` of None is held.
    """
    if cell is not None:
        atoms.set_cell(cell, scale_atoms=True)
    atoms.set_positions(positions)
    if len(atoms.constraints) > 1:
        _ask_until_nothing_moves(atoms)


def settle(atoms: Atoms, cell_relaxes: bool) -> None:
    """Put ``atoms``, in place, on their constraints, where ASE has to apply these and they are off.

    The energy of elsewhere is none to compare others with.
    """
    if constraint_projectors(atoms, cell_relaxes) is not None:
        return
    start = atoms.positions.copy()
    _ask_until_nothing_moves(atoms)
    if np.abs(atoms.positions - start).max() < OFF:
        atoms.positions = start


def _ask_until_nothing_moves(atoms: Atoms) -> None:
    """Have ASE's constraints of ``atoms`` move them; one may undo a part of what another did."""
    for _ in range(ROUNDS):
        before = atoms.positions.copy()
        atoms.set_positions(before)
        if np.abs(atoms.positions - before).max() < OFF:
            break
