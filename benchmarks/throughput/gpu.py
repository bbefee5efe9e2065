"""What is measured on a GPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ase.io import read

from benchmarks.throughput.measurements import Row, read_method, warm_up_batch
from benchmarks.throughput.models import CAP, FMAX
from relax import relax_many
from relax.calculators import as_potential


def gpu_available() -> bool:
    """Return whether torch finds a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def on_gpu(method: str, model: str, given: str, n: int) -> Row:
    """Relax ``n`` crystals on the first GPU, in a batch or (``:one by one``) one after the other."""
    import torch

    begun = read(given, f":{n}")
    rule, settings, one_by_one, _ = read_method(method)
    potential: Any = as_potential(f"mace:{model}", "cuda")
    warm_up_batch(potential, begun[0])
    budget = 1.0 if one_by_one else None
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    run = relax_many(begun, potential, rule, fmax=FMAX, steps=CAP, cell=True, budget=budget, **settings)
    done = list(run)
    seconds = time.perf_counter() - began
    return {
        "method": method,
        "structures": n,
        "structures_per_s": n / seconds,
        "force_calls": sum(one.result.force_calls for one in done) / n,
        "converged": sum(one.result.converged for one in done),
        "peak_MB": torch.cuda.max_memory_allocated() / 1024**2,
        "device": torch.cuda.get_device_name(),
    }


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
