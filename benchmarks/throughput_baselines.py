"""What others do with many crystals: ASE's optimizers one by one, and torch-sim's FIRE in batches.

All relax atoms and cell from the same starts with the same network, in float64, until no row of forces
and of cell gradient, as ``FrechetCellFilter`` has it, is above ``fmax``.  Every structure that the
network is shown is an evaluation, wherever it comes from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.crystal_optimizers import make
from benchmarks.crystal_runs import look_at, verdict
from benchmarks.crystal_starts import rattled
from benchmarks.meter import Meter, quietly
from benchmarks.wbm_like import wbm_like
from relax.calculators.registry import load

RATTLE = 0.05
"""Standard deviation (A) of what starts are displaced by."""
ONE_BY_ONE = (
    "ase:FIRE", "ase:BFGSLineSearch", "ase:GoodOldQuasiNewton", "ase:LBFGS", "ase:PreconLBFGS",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Where the structures ended, and what that took."""

    structures: list[Atoms]
    evaluations: int
    seconds: float
    processor: float  # seconds of processor time, which others on the machine take nothing from


class Stopwatch:
    """Times by the clock and by the processor since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return seconds by the clock and of processor time."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def starts(n: int, seed: int, elements: Collection[str], largest: int = 8) -> list[Atoms]:
    """Return ``n`` crystals of ``elements``, as they are made, rattled by :data:`RATTLE`."""
    made = wbm_like(n, seed, largest, elements=elements)
    return [rattled(atoms, RATTLE, seed, index) for index, atoms in enumerate(made)]


def ase_one_by_one(structures: Sequence[Atoms], model: Path, name: str, fmax: float, cap: int) -> Outcome:
    """Relax with an optimizer of :mod:`benchmarks.crystal_optimizers`, one structure after the other.

    Parameters
    ----------
    structures
        Where to start; they are left as they are.
    model
        File of a MACE model.
    name
        One of :data:`ONE_BY_ONE`, or any other, ours included.
    fmax
        Largest row of the gradient that counts as converged, eV/A.
    cap
        Most evaluations of a structure.
    """
    calculator = load(f"mace:{model}")
    warm(calculator, structures[0])
    ends, evaluations, watch = [], 0, Stopwatch()
    for start in structures:
        atoms = start.copy()
        atoms.calc = meter = Meter(calculator, start, cap)
        # What an optimizer raises ends that run, where the structure then is.
        with quietly(), contextlib.suppress(Exception):
            make(name, atoms).run(fmax=fmax, steps=cap)
        evaluations += meter.calls
        atoms.calc = None
        ends.append(atoms)
    return Outcome(ends, evaluations, *watch.read())


def torch_sim_batched(
    structures: Sequence[Atoms],
    model: Path,
    fmax: float,
    cap: int,
    room: int | None = None,
    between: int = 1,
    optimizer: Callable[..., Any] | None = None,
) -> Outcome:
    """Relax with torch-sim, by default with its FIRE, ``frechet_cell_fire``.

    Parameters
    ----------
    structures, model, fmax
        As in :func:`ase_one_by_one`.
    cap
        Most steps of a structure.
    room
        Atoms that a batch has room for; all structures at once, if not given.
    between
        Steps from one look at who has converged to the next.
    optimizer
        Another optimizer, such as :func:`relax.optimizers.torch_sim.for_torch_sim` makes.
    """
    import torch_sim as ts

    counted = counted_model(model)
    with quietly():
        for _ in range(WARM):
            counted(ts.initialize_state([structures[0]], counted.device, counted.dtype))
        counted.evaluations = 0
        watch = Stopwatch()
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
                max_memory_scaler=room or sum(map(len, structures)) + 1,
            ),
        )
        return Outcome(last.to_atoms(), counted.evaluations, *watch.read())


def counted_model(model: Path) -> Any:
    """Return the MACE model of a file for torch-sim, with the number of its ``evaluations`` so far."""
    import torch
    from torch_sim.models.mace import MaceModel

    class Counted(MaceModel):  # type: ignore[misc]  # torch-sim has no types
        evaluations = 0

        def forward(self, state: Any) -> dict[str, torch.Tensor]:
            self.evaluations += state.n_systems
            return dict(super().forward(state))

    # Through the calculator, so that all have one network, which keeps no gradients of its weights.
    network = load(f"mace:{model}").models[0]
    return Counted(network, device=torch.device("cpu"), dtype=torch.float64, compute_stress=True)


WARM = 4
"""First calls of a network, in which torch compiles it, a second in all: they are nobody's."""


def warm(calculator: Any, atoms: Atoms) -> None:
    """Calculate what takes long only at first."""
    with quietly():
        for _ in range(WARM):
            calculator.calculate(atoms.copy(), ["energy", "forces", "stress"], ["positions"])


def verdicts(ends: Sequence[Atoms], begun: Sequence[Atoms], model: Path, fmax: float) -> list[str]:
    """Return how each structure ended, ``"converged"`` or another word of :mod:`benchmarks.crystal_runs`."""
    calculator, words = load(f"mace:{model}"), []
    for end, start in zip(ends, begun, strict=True):
        atoms = end.copy()
        atoms.calc = calculator
        with quietly():
            words.append(verdict(look_at(atoms, start), None, ("", ""), fmax)[0])
    return words


def larger_mace(path: Path, seed: int, scale: float = 300.0) -> None:
    """Write a MACE model of the size that is used in production, with random weights, to ``path``.

    Of the elements of ``data/mace-mini.model``; 128 scalar channels, two layers, cutoff 5 A.

    Parameters
    ----------
    scale
        Factor of the energies (eV) that random weights make, which are about a thousandth by themselves.
        With that by default stresses are of some GPa, and relaxations from the starts here converge.
    """
    from ase.data import atomic_numbers

    from benchmarks.train_mace_mini import ELEMENTS
    from relax.calculators.optional import environment_restored

    with environment_restored(), quietly():
        import mace  # noqa: F401  (before e3nn, which fails to import without what this sets up)
        import torch
        from e3nn import o3
        from mace import modules

        before = torch.get_default_dtype()
        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float64)
        try:
            network = modules.ScaleShiftMACE(
                r_max=5.0,
                num_bessel=8,
                num_polynomial_cutoff=5,
                max_ell=3,
                interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
                interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
                num_interactions=2,
                num_elements=len(ELEMENTS),
                hidden_irreps=o3.Irreps("128x0e"),
                MLP_irreps=o3.Irreps("16x0e"),
                atomic_energies=np.zeros(len(ELEMENTS)),
                avg_num_neighbors=60.0,
                atomic_numbers=sorted(atomic_numbers[symbol] for symbol in ELEMENTS),
                correlation=3,
                gate=torch.nn.functional.silu,
                pair_repulsion=True,
                atomic_inter_scale=scale,
                atomic_inter_shift=0.0,
            )
            torch.save(network, path)
        finally:
            torch.set_default_dtype(before)
