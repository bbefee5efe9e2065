"""One optimizer on one molecule: how the run ended.

:mod:`benchmarks.common.runs` has the statuses.  Two atoms of a molecule are bonded if they are nearer than
:data:`BOND` times the sum of their covalent radii, and there are two more statuses:

- ``dissociated``: the end has more pieces than the molecule in the set, before any rattle;
- ``rearranged``: it has other bonds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from benchmarks.common.optimizer_names import System
from benchmarks.common.optimizers import make_optimizer
from benchmarks.common.runs import FinalState, RunEnd, classify, overlap, relax_counted
from benchmarks.molecules.starts import BONDS_DECIDE, load

BOND = 1.3


@dataclass(frozen=True)
class End(RunEnd):
    """How a run ended; ``bonds`` are kept, rearranged, dissociated, or empty where not known."""

    bonds: str


def bonds_of(atoms: Atoms) -> np.ndarray:
    """Return which atoms are bonded, (atoms, atoms)."""
    radii = covalent_radii[atoms.numbers]
    near: np.ndarray = atoms.get_all_distances() < BOND * (radii[:, None] + radii)
    np.fill_diagonal(near, False)
    return near


def pieces(bonds: np.ndarray) -> int:
    """Return the number of molecules that these bonds (atoms, atoms) make."""
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(bonds)[0])


def change(atoms: Atoms, geometry: Atoms) -> str:
    """Return whether the bonds of ``geometry`` are kept, and if not, how they changed."""
    now, before = bonds_of(atoms), bonds_of(geometry)
    if pieces(now) > pieces(before):
        return "dissociated"
    return "kept" if (now == before).all() else "rearranged"


def final_state(atoms: Atoms, bonds: str, bonds_decide: bool) -> FinalState:
    """Return the state of a final structure, at no force call if the last one was there."""
    broken = (bonds, "the bonds are not those of the molecule")
    return FinalState(
        float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        round(float(atoms.get_potential_energy()) / len(atoms), 6),
        broken if bonds_decide and bonds != "kept" else overlap(atoms),
    )


def run(
    name: str, start: Atoms, geometry: Atoms, calculator: Any, fmax: float, cap: int, bonds_decide: bool
) -> End:
    """Relax a copy of ``start`` and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.common.optimizer_names`.
    geometry
        The molecule in the set, whose bonds are compared.
    fmax
        Largest force that counts as converged, eV/A.
    cap
        Largest number of force calls.
    bonds_decide
        Whether it is a failure if bonds change.
    """
    made = relax_counted(
        lambda atoms: make_optimizer(name, atoms, System.POSITIONS), start, calculator, fmax, cap
    )
    bonds, _ = made.examine(lambda atoms: change(atoms, geometry), "")
    state, fault = made.examine(lambda atoms: final_state(atoms, bonds, bonds_decide), FinalState())
    return End(
        *classify(state, fault, made.reported, fmax),
        made.calls,
        state.energy,
        round(made.seconds_calculator, 4),
        round(made.seconds_outside, 4),
        bonds,
    )


class Task(NamedTuple):
    """All runs of one optimizer, for another process."""

    optimizer: str
    fmax: float
    calculator: str
    cap: int
    starts: list[Atoms]
    geometries: list[Atoms]


class Done(NamedTuple):
    """How the runs of a task ended, and the seconds they took."""

    task: Task
    ends: list[End]
    seconds: float


def run_task(task: Task) -> Done:
    """Make the runs of one optimizer."""
    began, calculator = time.perf_counter(), load(task.calculator)
    bonds_decide = BONDS_DECIDE[task.calculator]
    ends = [
        run(task.optimizer, start, geometry, calculator, task.fmax, task.cap, bonds_decide)
        for start, geometry in zip(task.starts, task.geometries, strict=True)
    ]
    return Done(task, ends, time.perf_counter() - began)
