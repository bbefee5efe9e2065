"""What is measured on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from benchmarks.throughput.measurements import METHODS, Row
from benchmarks.throughput.models import FMAX, one_thread
from relax import relax_many
from relax.calculators import as_potential


def gpu_available() -> bool:
    """Return whether torch finds a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def on_gpu(method: str, model: str, given: str, n: int, device: str = "cuda") -> Row:
    """Relax ``n`` crystals on the first GPU.

    The methods are those of :func:`benchmarks.throughput.measurements.crystals`.  ``energies`` (eV/atom) and
    what has converged are from one more calculation of all ends.
    """
    import torch

    one_thread()
    outcome = METHODS[method.partition(":")[0]](method, read(given, f":{n}"), Path(model), device)
    peak = torch.cuda.max_memory_allocated() / 1024**2 if device == "cuda" else 0.0
    energies, converged = ends(outcome.structures, model, device)
    return {
        "method": method,
        "structures": n,
        "structures_per_s": n / outcome.seconds,
        "force_calls": outcome.evaluations / n,
        "converged": converged,
        "energies": energies,
        "peak_MB": peak,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }


def ends(structures: list[Atoms], model: str, device: str) -> tuple[list[float], int]:
    """Return the energies (eV/atom) of structures, and how many of them have converged."""
    done = list(relax_many(structures, as_potential(f"mace:{model}", device), fmax=FMAX, steps=0, cell=True))
    done.sort(key=lambda one: one.index)
    energies = [float(one.atoms.get_potential_energy()) / len(one.atoms) for one in done]
    return energies, sum(one.result.converged for one in done)


def repeatable(rows: int = 200_000, tries: int = 20) -> Row:
    """Return whether sums over structures on the first GPU are the same to the last bit every time."""
    import torch

    from relax.core.segments import Segments

    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 60, rows // 30)
    seg = Segments(lengths.tolist())
    a = torch.as_tensor(rng.normal(size=(int(lengths.sum()), 3)), device="cuda")
    sums = [seg.sum(a) for _ in range(tries)]
    return {"method": "segment sums", "tries": tries, "same": all(torch.equal(sums[0], s) for s in sums)}
