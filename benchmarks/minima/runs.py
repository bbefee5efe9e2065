"""One structure: its stationary point, its whole Hessian, and what the minimum check makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ase import Atoms

from benchmarks.common.curvature import lowest_curvature
from benchmarks.minima.structures import Structure, load
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.call_counter import CallCounter, silenced
from relax.rules import DEFAULT_RULE, RULES

FMAX, STEPS = 1e-3, 500
"""Largest row of the gradient (eV/A) at a stationary point, and most steps of a run."""


def stationary(structure: Structure) -> tuple[Atoms, float]:
    """Return the atoms at their stationary point, and the largest row of the gradient there, eV/A.

    Crystals and layers keep their space group; molecules and clusters start from a symmetric geometry.

    Raises
    ------
    ValueError
        The optimizer finds none.
    """
    atoms = structure.make()
    if structure.periodic:
        atoms.pbc = True
    atoms.calc = load(structure.calculator)
    symmetry = ":symmetry=keep" if structure.periodic else ""
    with silenced():
        optimizer = make_optimizer(f"default{symmetry}", atoms, structure.system)
        optimizer.run(fmax=FMAX, steps=STEPS)
    result = optimizer.result
    if not result.converged:
        raise ValueError(f"there is no stationary point: {result.status}, {result.reason}")
    return atoms, result.fmax


def true_curvature(structure: Structure, atoms: Atoms) -> list[float]:
    """Return the lowest curvature of ``atoms``, eV/A^2: by gradients, and by energies where that is negative.

    A strain counts as long as in the default optimizer, so that the curvatures are of the same coordinates.
    """
    looked = atoms.copy()
    looked.calc = load(structure.calculator)
    factor, power = RULES[DEFAULT_RULE].strain_length
    with silenced():
        found = lowest_curvature(
            looked,
            structure.system is System.CRYSTALS,
            structure.step,
            factor * len(atoms) ** power,
            below=0.0,
        )
    return [round(value, 5) for value in found]


def checked(structure: Structure, atoms: Atoms, level: str) -> Json:
    """Return what the default optimizer makes of ``atoms`` with a minimum check, and the calls it needs."""
    start = atoms.copy()
    start.calc = counter = CallCounter(load(structure.calculator), start, math.inf)
    with silenced():
        optimizer = make_optimizer(f"default:check={level}", start, structure.system)
        optimizer.run(fmax=FMAX, steps=STEPS)
    result = optimizer.result
    return {
        "curvature": round(result.curvature, 5) if math.isfinite(result.curvature) else None,
        "status": result.status,
        "reason": result.reason,
        "calls": counter.calls,
    }


def measured(structure: Structure, levels: Sequence[str]) -> Json:
    """Return the entries of the row of a structure that are measured."""
    atoms, fmax = stationary(structure)
    return {
        "atoms": len(atoms),
        "fmax": round(fmax, 6),
        "lowest": true_curvature(structure, atoms),
        "levels": {level: checked(structure, atoms, level) for level in levels},
    }
