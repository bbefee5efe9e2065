"""Crystals relaxed by a newer torch-sim than there is for the Python of this project: a program of its own.

torch-sim 0.4 and later need Python 3.12.  The benchmark starts this program with the Python of an environment
that has such a torch-sim::

    python3.12 -m venv ENVIRONMENT
    ENVIRONMENT/bin/pip install torch==2.13.0 torch-sim-atomistic==0.6.2 mace-torch==0.3.16 ase==3.29.0
    python -m benchmarks.throughput --torch-sim-python ENVIRONMENT/bin/python

Without the option the environment variable ``TORCH_SIM_PYTHON`` counts, and without either these methods are
left out.  The program imports what is there, and of this project only
:mod:`relax.calculators.memory`, which needs no package.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from ase.io.jsonio import encode

WARM_UP = 4
"""First calls of a network, which are not timed; as in :mod:`benchmarks.throughput.models`."""


def counted_model(path: Path, dtype: str) -> Any:
    """Return the MACE model of a file, on the CPU; its ``evaluations`` counts the structures evaluated."""
    import torch
    from torch_sim.models.mace import MaceModel

    class Counted(MaceModel):  # type: ignore[misc,valid-type]  # torch-sim has no types
        evaluations = 0

        def forward(self, state: Any) -> dict[str, Any]:
            self.evaluations += state.n_systems
            return dict(super().forward(state))

    network = torch.load(path, map_location="cpu", weights_only=False).requires_grad_(False)
    precision = getattr(torch, dtype)
    return Counted(network.to(precision), device=torch.device("cpu"), dtype=precision, compute_stress=True)


def crystals(method: str, model: str, given: str, n: int, fmax: float, cap: int) -> dict[str, Any]:
    """Relax ``n`` crystals, positions and cell, in one batch; return how long it took, and the ends.

    Parameters
    ----------
    method
        ``"newer_torch_sim:NAME"`` of an optimizer of torch-sim, such as lbfgs; ``:kept memory`` lets the
        process keep memory that is freed, ``:float32`` computes in that precision, ``:between=N`` checks for
        convergence every N steps and not at each, ``:atoms=N`` has at most N atoms in a batch.
    model
        File of a MACE model.
    given, n
        File of crystals, and how many of them.
    fmax, cap
        Largest row of the gradient that counts as converged (eV/A), and most steps of a structure.
    """
    import torch
    import torch_sim as ts

    from relax.calculators.memory import keep_memory

    torch.set_num_threads(1)
    structures: list[Atoms] = read(given, f":{n}")
    _, name, *options = method.split(":")
    if "kept memory" in options:
        keep_memory()
    numbers = {key: int(value) for key, _, value in (word.partition("=") for word in options) if value}
    counted = counted_model(Path(model), "float32" if "float32" in options else "float64")
    for _ in range(WARM_UP):
        counted(ts.initialize_state([structures[0]], counted.device, counted.dtype))
    counted.evaluations = 0
    began, processor = time.perf_counter(), time.process_time()
    last = ts.optimize(
        list(structures),
        counted,
        optimizer=ts.Optimizer(name),
        convergence_fn=ts.generate_force_convergence_fn(fmax, include_cell_forces=True),
        max_steps=cap,
        steps_between_swaps=numbers.get("between", 1),
        autobatcher=ts.InFlightAutoBatcher(
            counted,
            memory_scales_with="n_atoms",
            max_memory_scaler=numbers.get("atoms", sum(map(len, structures)) + 1),
        ),
        init_kwargs={"cell_filter": ts.CellFilter.frechet},
    )
    seconds, spent = time.perf_counter() - began, time.process_time() - processor
    return {
        "method": method,
        "torch_sim": version("torch-sim-atomistic"),
        "torch": version("torch"),
        "structures": n,
        "structures_per_s": n / seconds,
        "structures_per_processor_s": n / spent,
        "seconds": seconds,
        "force_calls": counted.evaluations / n,
        "ends": [encode(end) for end in last.to_atoms()],
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print("RESULT " + json.dumps(crystals(*json.loads(sys.argv[1]))))
