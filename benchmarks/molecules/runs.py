"""One optimizer on one molecule: how the run ended.

:mod:`relax.analysis.comparison.runs.run` has the statuses.  Two atoms of a molecule are bonded if they are
nearer than :data:`BOND` times the sum of their covalent radii, and there are two more statuses:

- ``dissociated``: the end has more pieces than the molecule in the set, before any rattle;
- ``rearranged``: it has other bonds.

In a cluster bonds between molecules do not count: each molecule must stay whole.  Where distances at the
start mislead, ``info["misleading"]`` has the pairs of atoms (:mod:`benchmarks.molecules.published`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from benchmarks.molecules.starts import BONDS_DECIDE, load
from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.runs.call_counter import ForcesBelow
from relax.analysis.comparison.runs.run import FinalState, RunEnd, overlap, relax_counted

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


def molecules_of(bonds: np.ndarray) -> np.ndarray:
    """Return the number of the molecule that each atom is of (atoms,), from the bonds (atoms, atoms)."""
    from scipy.sparse.csgraph import connected_components

    numbers: np.ndarray = connected_components(bonds, directed=False)[1]
    return numbers


def pieces(bonds: np.ndarray) -> int:
    """Return the number of molecules that these bonds (atoms, atoms) make."""
    return int(molecules_of(bonds).max()) + 1


def change(atoms: Atoms, geometry: Atoms) -> str:
    """Return whether the bonds in each molecule of ``geometry`` are kept, and if not, how they changed."""
    before = bonds_of(geometry)
    for i, j in geometry.info.get("misleading", ()):
        before[[i, j], [j, i]] = not before[i, j]
    molecule = molecules_of(before)
    now = bonds_of(atoms) & (molecule[:, None] == molecule)
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
    name: str,
    start: Atoms,
    geometry: Atoms,
    calculator: Any,
    fmax: float,
    cap: int,
    bonds_decide: bool,
    first_call: bool = True,
) -> End:
    """Relax a copy of ``start`` and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`relax.analysis.comparison.minimizers.names`.
    geometry
        The molecule in the set, whose bonds are compared.
    fmax
        Largest force that counts as converged, eV/A.
    cap
        Largest number of force calls.
    bonds_decide
        Whether it is a failure if bonds change.
    first_call
        Whether the run ends at the first force call within ``fmax``, or when the optimizer ends it.
    """
    return run_made(
        lambda atoms: make_optimizer(name, atoms, System.MOLECULES),
        start, geometry, calculator, fmax, cap, bonds_decide, first_call,
    )  # fmt: skip


def run_made(
    make: Callable[[Atoms], Any],
    start: Atoms,
    geometry: Atoms,
    calculator: Any,
    fmax: float,
    cap: int,
    bonds_decide: bool,
    first_call: bool = True,
) -> End:
    """Do as :func:`run` with the optimizer that ``make`` returns for atoms."""
    stop = ForcesBelow(fmax) if first_call else None
    made = relax_counted(make, start, calculator, fmax, cap, stop=stop)
    bonds, _ = made.examine(lambda atoms: change(atoms, geometry), "")
    state, fault = made.examine(lambda atoms: final_state(atoms, bonds, bonds_decide), FinalState())
    return End.of(made, state, fault, fmax, bonds)


class Key(NamedTuple):
    """What distinguishes a run from the others of its set."""

    fmax: float
    optimizer: str
    structure: str


class Task(NamedTuple):
    """One run, for another process."""

    key: Key
    calculator: str
    cap: int
    first_call: bool
    start: Atoms
    geometry: Atoms


def prepare_process(optimizers: Sequence[str]) -> None:
    """Import what the optimizers need, before any run."""
    processes.ignore_interrupts()
    peers.load(optimizers)


def run_task(task: Task) -> tuple[Key, End]:
    """Run a task, with a calculator that has seen no other structure."""
    end = run(
        task.key.optimizer,
        task.start,
        task.geometry,
        load(task.calculator),
        task.key.fmax,
        task.cap,
        BONDS_DECIDE[task.calculator],
        task.first_call,
    )
    return task.key, end
