"""The plane of the two softest modes at a structure."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from relax.analysis.landscape.planes import Plane
from relax.calculators.as_calculator import PotentialCalculator
from relax.calculators.base import Potential
from relax.core.errors import UnsupportedStructure, one_line
from relax.core.segments import row_times
from relax.engine.minima.lowest_mode import Probe
from relax.engine.minima.minimum_check import MinimumCheck
from relax.engine.minima.motions import rigid
from relax.geometry.constraints import constraint_projectors
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["SOFT", "soft_modes", "soft_plane"]

SOFT = MinimumCheck(calls=60, assumed=0.01, accuracy=0.02, saddle=-1e9)
"""How a mode is searched for: closer than a check needs, and without a trial of what seems a saddle."""


def soft_plane(atoms: Atoms, origin: np.ndarray, potential: Potential) -> Plane:
    """Return the plane of the two softest modes of ``atoms``, whose rows are ``origin`` (R, 3), A.

    Raises
    ------
    UnsupportedStructure
        As :func:`soft_modes`.
    """
    modes, curvatures = soft_modes(atoms, potential)
    axes = np.zeros((2, *origin.shape))
    axes[:, : len(atoms)] = modes
    first, second = (
        f"{name} mode, {k:.3g} eV/Å²" for name, k in zip(("softest", "next"), curvatures, strict=True)
    )
    return Plane(origin, axes, (first, second))


def soft_modes(atoms: Atoms, potential: Potential) -> tuple[np.ndarray, np.ndarray]:
    """Return the two softest modes (2, N, 3), orthonormal, and their curvatures (2,), eV/A^2.

    The search is that of the minimum check, and the second mode is searched for beside the first.  The cell
    is held, and constraints are kept.

    Parameters
    ----------
    atoms
        The structure, where the forces on it vanish.
    potential
        What computes the forces, up to :data:`SOFT` times 2 calls.

    Raises
    ------
    UnsupportedStructure
        The calculator has no forces for it, or fewer than two modes are free.
    """
    moved = atoms.copy()
    moved.set_constraint()
    moved.calc = calculator = PotentialCalculator(potential)
    projectors = constraint_projectors(atoms, False)
    if projectors is None:
        raise UnsupportedStructure(
            "soft modes need constraints that fix atoms, lines or planes, and no others"
        )
    still = rigid(atoms.positions, len(atoms), not atoms.pbc.any())
    network = SpringNetwork(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, PairStiffness())
    metric = ModelHessian([network], PairStiffness())

    def gradient(ahead: np.ndarray | float) -> np.ndarray:
        moved.set_positions(atoms.positions + ahead)
        try:
            return np.asarray(-moved.get_forces())
        except Exception as error:
            raise UnsupportedStructure(f"the calculator has no forces for it: {one_line(error)}") from error

    def free(rows: np.ndarray) -> Any:
        return row_times(rows, projectors[1])

    modes: list[np.ndarray] = []
    curvatures: list[float] = []
    try:
        g = gradient(0.0)
        for _ in range(2):
            probe = Probe(SOFT, metric, free, np.concatenate([still, *([m[None] for m in modes])]), g)
            while (look := probe.direction) is not None:
                change = gradient(look) - g
                probe.learn(change, 0.5 * float((change * look).sum()))
            if not np.isfinite(probe.curvature):
                raise UnsupportedStructure("fewer than two modes are free; choose another plane")
            mode = free(probe.mode)
            modes.append(mode / np.linalg.norm(mode))
            curvatures.append(probe.curvature)
    finally:
        calculator.release()
    return np.array(modes), np.array(curvatures)
