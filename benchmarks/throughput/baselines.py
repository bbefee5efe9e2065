"""Many crystals relaxed by other packages: ASE's optimizers one by one, and torch-sim's FIRE in batches.

All relax atoms and cell from the same starts with the same network, in float64, until no row of forces and
of the cell gradient of ``FrechetCellFilter`` is above ``fmax``.  Every structure for which the network is
evaluated counts as one evaluation.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from benchmarks.throughput.models import WARM_UP, counted_model, warm_up
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.call_counter import CallCounter, silenced
from relax.calculators.registry import load


@dataclass(frozen=True)
class Outcome:
    """The final structures, and what the relaxations took.

    Attributes
    ----------
    evaluations
        Of all structures together.
    seconds
        By the clock.
    processor_seconds
        Processor time, which does not depend on other processes.
    """

    structures: list[Atoms]
    evaluations: int
    seconds: float
    processor_seconds: float


class Stopwatch:
    """The time since it was made, by the clock and of the processor."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return seconds by the clock, and of processor time."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def ase_one_by_one(
    structures: Sequence[Atoms], model: Path, name: str, fmax: float, cap: int, device: str = "cpu"
) -> Outcome:
    """Relax with an optimizer for crystals, one structure after the other.

    Parameters
    ----------
    structures
        Starts; they are not changed.
    model
        File of a MACE model.
    name
        See :mod:`relax.analysis.comparison.minimizers.names`.
    fmax
        Largest row of the gradient that counts as converged, eV/A.
    cap
        Most force calls of a structure.
    device
        Where the network is.
    """
    calculator = load(f"mace:{model}", device)
    warm_up(calculator, structures[0])
    ends, evaluations, stopwatch = [], 0, Stopwatch()
    for start in structures:
        atoms = start.copy()
        atoms.calc = counter = CallCounter(calculator, start, cap)
        # An exception ends the run, and the structure stays where it is.
        with silenced(), contextlib.suppress(Exception):
            make_optimizer(name, atoms, System.CRYSTALS).run(fmax=fmax, steps=cap)
        evaluations += counter.calls
        atoms.calc = None
        ends.append(atoms)
    return Outcome(ends, evaluations, *stopwatch.read())


def torch_sim_batched(
    structures: Sequence[Atoms],
    model: Path,
    fmax: float,
    cap: int,
    max_atoms: int | None = None,
    between: int = 1,
    optimizer: Callable[..., Any] | None = None,
    device: str = "cpu",
) -> Outcome:
    """Relax with torch-sim, by default with its FIRE, ``frechet_cell_fire``.

    Parameters
    ----------
    structures, model, fmax
        As in :func:`ase_one_by_one`.
    cap
        Most steps of a structure.
    max_atoms
        Most atoms of a batch; if None all structures are in one.
    between
        Number of steps between checks for convergence.
    optimizer
        Another optimizer, such as :func:`relax.optimizers.torch_sim.for_torch_sim` makes.
    device
        Where the network is, and torch-sim.
    """
    import torch_sim as ts

    counted = counted_model(model, device)
    with silenced():
        for _ in range(WARM_UP):
            counted(ts.initialize_state([structures[0]], counted.device, counted.dtype))
        counted.evaluations = 0
        stopwatch = Stopwatch()
        last = ts.optimize(
            list(structures),
            counted,
            optimizer=optimizer or ts.frechet_cell_fire,
            convergence_fn=ts.generate_force_convergence_fn(fmax),
            max_steps=cap,
            steps_between_swaps=between,
            autobatcher=ts.InFlightAutoBatcher(
                counted,
                memory_scales_with="n_atoms",
                max_memory_scaler=max_atoms or sum(map(len, structures)) + 1,
            ),
        )
        return Outcome(last.to_atoms(), counted.evaluations, *stopwatch.read())
