"""Relax argon crystals with torch-sim, slowly and one after another, with a trajectory of each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch_sim as ts
from argon import crystals, model, relaxation


class Slow:
    """Mixed into a model so that its calls take time."""

    def forward(self, state: Any) -> Any:
        """Wait, and evaluate."""
        time.sleep(0.02)
        return super().forward(state)  # type: ignore[misc]


def told(state: Any, energy: Any) -> Any:
    """Return which structures have converged, and write a file ``finished`` once one has."""
    found = ts.generate_force_convergence_fn(0.01, include_cell_forces=False)(state, energy)
    if bool(found.any()):
        Path("finished").touch()
    return found


if __name__ == "__main__":
    slow = model(Slow)
    reporter = ts.TrajectoryReporter([f"{n}.h5" for n in range(3)], state_frequency=1)
    batches = ts.InFlightAutoBatcher(model=slow, max_memory_scaler=33, memory_scales_with="n_atoms")
    relaxation(
        crystals(),
        slow,
        autobatcher=batches,
        trajectory_reporter=reporter,
        convergence_fn=told,
        max_steps=2000,
    )
