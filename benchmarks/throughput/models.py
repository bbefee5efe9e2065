"""The potentials of the throughput benchmark, its starting crystals, and its criterion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.common.provenance import ROOT
from benchmarks.crystals.wbm_like import wbm_like
from benchmarks.tools.mace_mini.crystals import ELEMENTS
from relax.analysis.comparison.runs.call_counter import silenced
from relax.analysis.comparison.runs.ends import final_state
from relax.analysis.comparison.runs.run import classify
from relax.analysis.comparison.starts import rattled
from relax.calculators.registry import load

MINI = ROOT / "data" / "mace-mini.model"
FMAX, CAP = 0.05, 500
"""Largest row of the gradient that counts as converged (eV/A), and most force calls of a structure."""
RATTLE = 0.05
"""Standard deviation (A) of the displacements of the starts."""
WARM_UP = 4
"""First calls of a network, during which torch compiles it; they are not timed."""


def starts(n: int, seed: int, largest: int = 8) -> list[Atoms]:
    """Return ``n`` crystals of the elements of the model, rattled by :data:`RATTLE`."""
    made = wbm_like(n, seed, largest, elements=ELEMENTS)
    return [rattled(atoms, RATTLE, seed, index) for index, atoms in enumerate(made)]


def warm_up(calculator: Any, atoms: Atoms) -> None:
    """Calculate as often as it takes until calls are fast."""
    with silenced():
        for _ in range(WARM_UP):
            calculator.calculate(atoms.copy(), ["energy", "forces", "stress"], ["positions"])


def statuses(ends: Sequence[Atoms], begun: Sequence[Atoms], model: Path, fmax: float) -> list[str]:
    """Return the status of each final structure, see :mod:`relax.analysis.comparison.runs.run`."""
    calculator, found = load(f"mace:{model}"), []
    for end, start in zip(ends, begun, strict=True):
        atoms = end.copy()
        atoms.calc = calculator
        with silenced():
            found.append(classify(final_state(atoms, start, cell=True), None, ("", ""), fmax)[0])
    return found


def one_thread() -> None:
    """Let torch use one thread; for linear algebra the environment of the process says the same."""
    import torch

    torch.set_num_threads(1)


def counted_model(model: Path, device: str = "cpu") -> Any:
    """Return the MACE model of a file for torch-sim; its ``evaluations`` counts the structures evaluated."""
    import torch
    from torch_sim.models.mace import MaceModel

    class Counted(MaceModel):  # type: ignore[misc]  # torch-sim has no types
        evaluations = 0

        def forward(self, state: Any) -> dict[str, torch.Tensor]:
            self.evaluations += state.n_systems
            return dict(super().forward(state))

    # As the calculator loads it, so that all methods have the same network, without gradients of weights.
    network = load(f"mace:{model}", device).models[0]
    return Counted(network, device=torch.device(device), dtype=torch.float64, compute_stress=True)


def larger_mace(path: Path, seed: int, scale: float = 300.0) -> None:
    """Write a MACE model of the size that is used in production, with random weights, to ``path``.

    It has the elements of ``data/mace-mini.model``, 128 scalar channels, two layers and a cutoff of 5 A.

    Parameters
    ----------
    scale
        Factor of the energies (eV), which with random weights are about a thousandth.  With the default
        stresses are some GPa, and relaxations from the starts here converge.
    """
    from ase.data import atomic_numbers

    from relax.calculators.optional import environment_restored

    with environment_restored(), silenced():
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
