"""The Hessian of a molecule at its minimum, and how far a model of it is from that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms

from relax import relax
from relax.calculators.registry import load
from relax.engine.minima.motions import rigid
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork

__all__ = ["Measured", "measured", "ratios"]

FMAX, STEPS = 0.003, 300
"""How far a molecule is relaxed first (eV/A), and in at most how many steps."""

STEP = 0.005
"""Displacement of each coordinate in differences of forces, A."""

SOFTEST = 0.005
"""Curvature (eV/A^2) below which a molecule counts as not at its minimum."""


class Measured(NamedTuple):
    """A molecule at its minimum, without what moves or turns it as a whole.

    Attributes
    ----------
    atoms
        The molecule (N atoms).
    hessian
        Its Hessian (n, n), eV/A^2.
    frame
        Orthonormal motions (3N, n) that neither move nor turn it.
    """

    atoms: Atoms
    hessian: np.ndarray
    frame: np.ndarray


def measured(atoms: Atoms, calculator: str) -> Measured | None:
    """Return the Hessian at the minimum of a molecule; None where it did not get to one."""
    atoms = atoms.copy()
    relax(atoms, load(calculator), fmax=FMAX, steps=STEPS)
    atoms.calc = load(calculator)
    x = atoms.positions.copy()
    rows = []
    for move in STEP * np.eye(x.size).reshape(-1, *x.shape):
        forces = []
        for side in (1, -1):
            atoms.positions = x + side * move
            forces.append(atoms.get_forces().ravel())
        rows.append((forces[1] - forces[0]) / (2 * STEP))
    atoms.positions, atoms.calc = x, None
    frame = inner_motions(x)
    hessian = frame.T @ (np.array(rows) + np.array(rows).T) @ frame / 2
    lowest = np.linalg.eigvalsh(hessian)[0]
    return Measured(atoms, hessian, frame) if lowest > SOFTEST else None


def inner_motions(x: np.ndarray) -> np.ndarray:
    """Return orthonormal motions (3N, n) that neither move nor turn atoms at ``x`` (N, 3), A, as a whole."""
    whole = rigid(x, len(x), turns=True)
    basis, _ = np.linalg.qr(whole.reshape(len(whole), -1).T, mode="complete")
    return np.asarray(basis[:, len(whole) :])


def ratios(one: Measured, stiffness: InternalStiffness) -> np.ndarray:
    """Return the stiffness of a molecule over that of the model, by its modes (n,), sorted.

    Modes are those in which both matrices are diagonal.  The geometric mean of the ratios is 1, since the
    scale of the model is learned in a run.
    """
    from scipy.linalg import eigh

    atoms = one.atoms
    network = SpringNetwork(atoms.numbers, atoms.positions, np.zeros((3, 3)), np.zeros(3, bool), stiffness)
    model = ModelHessian([network], stiffness)
    moved = [model.apply(v.reshape(-1, 3)).ravel() for v in one.frame.T]
    found = np.log(eigh(one.hessian, one.frame.T @ np.array(moved).T, eigvals_only=True))
    return np.asarray(np.exp(found - found.mean()))
