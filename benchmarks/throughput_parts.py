"""What :mod:`benchmarks.throughput` measures, each in a process of its own with one thread.

Every function takes plain words and numbers, and returns a row that JSON holds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.io.jsonio import encode

from benchmarks.memory import peak
from benchmarks.throughput_baselines import WARM, Outcome, ase_one_by_one, torch_sim_batched
from relax.calculators import Potential, as_potential
from relax.core.settings import Criteria
from relax.engine.api import Ensemble, dressed, relax_many
from relax.engine.entries import Entrance
from relax.rules.wrappers import innermost

Row = dict[str, Any]

FMAX, CAP = 0.05, 500  # eV/A, force calls of a structure
ELEMENTS = ("Mg", "Al", "Ti", "Fe", "Co", "Ni", "Cu", "Zn", "Pd", "Ag", "Pt", "Au")


def one_thread() -> None:
    """Have torch compute in one thread, as the process was told of the other libraries."""
    import torch

    torch.set_num_threads(1)


# --------------------------------------------------------------------------------------------------
# Crystals


def crystals(method: str, model: str, given: str, n: int) -> Row:
    """Relax ``n`` crystals, positions and cell, by one method; return how long it took, and where they ended.

    Parameters
    ----------
    method
        ``"ase:NAME"``, one by one; ``"torch_sim:FIRE"`` and its kin; ``"relax:RULE"``, in batch, with what
        :func:`relax.relax_many` does by default; ``"relax:RULE:one by one"``.
    model
        File of a MACE model.
    given, n
        File of crystals, and how many of them.
    """
    one_thread()
    outcome = METHODS[method.partition(":")[0]](method, read(given, f":{n}"), Path(model))
    row = {
        "method": method,
        "structures": n,
        "structures_per_s": n / outcome.seconds,
        "structures_per_processor_s": n / outcome.processor,
        "seconds": outcome.seconds,
        "force_calls": outcome.evaluations / n,
    }
    return row | {"ends": [encode(end) for end in outcome.structures]}


def by_ase(method: str, given: list[Atoms], model: Path) -> Outcome:
    return ase_one_by_one(given, model, method, FMAX, CAP)


def by_torch_sim(method: str, given: list[Atoms], model: Path) -> Outcome:
    """``:between=N`` looks for who has finished every N steps, ``:kept memory`` keeps what is freed."""
    from relax.calculators.memory import keep_memory
    from relax.optimizers.torch_sim import for_torch_sim
    from relax.rules import RULES
    from relax.rules.wrappers import for_atoms

    _, name, *options = method.split(":")
    if "kept memory" in options:
        keep_memory()
    between = next((int(word.partition("=")[2]) for word in options if word.startswith("between=")), 1)
    optimizer = None if name == "FIRE" else for_torch_sim(for_atoms(RULES[name]()), cell=True)
    return torch_sim_batched(given, model, FMAX, CAP, between=between, optimizer=optimizer)


def by_relax(method: str, given: list[Atoms], model: Path) -> Outcome:
    _, rule, *options = method.split(":")
    if "one by one" in options:
        return ase_one_by_one(given, model, rule, FMAX, CAP)
    potential = as_potential(f"mace:{model}")
    warm_up(potential, given[0])
    began = time.perf_counter(), time.process_time()
    done = list(relax_many(given, potential, rule, fmax=FMAX, steps=CAP, cell=True))
    spent = time.perf_counter() - began[0], time.process_time() - began[1]
    done.sort(key=lambda one: one.index)
    return Outcome([one.atoms for one in done], sum(one.result.force_calls for one in done), *spent)


def warm_up(potential: Potential, atoms: Atoms) -> None:
    """Calculate what takes long only at first, as :func:`benchmarks.throughput_baselines.warm` does."""
    for _ in relax_many([atoms], potential, "sgd", fmax=0.0, steps=WARM - 1, cell=True):
        pass


METHODS: dict[str, Callable[[str, list[Atoms], Path], Outcome]] = {
    "ase": by_ase,
    "torch_sim": by_torch_sim,
    "relax": by_relax,
}


# --------------------------------------------------------------------------------------------------
# Where the time goes


def alloy(seed: int) -> Atoms:
    """Return a rattled, stretched cell of eight atoms of a random Cu-Ni alloy."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols[rng.permutation(8)[:4]] = "Ni"
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.05, (8, 3))
    return atoms


def profile(rule: str, model: str, n: int) -> Row:
    """Relax ``n`` crystals of eight atoms at once; return which part of the time went where."""
    one_thread()
    given = [alloy(seed) for seed in range(n)]
    potential: Any = as_potential(f"mace:{model}")
    warm_up(potential, given[0])
    followed = dressed(rule, {})
    ensemble = Ensemble(potential, followed, Criteria(FMAX, CAP), Entrance(innermost(followed), True), 1e9)
    before, began = dict(potential.seconds), time.perf_counter()
    done = list(ensemble.run(given))
    seconds = time.perf_counter() - began
    parts = {name: potential.seconds[name] - before[name] for name in ("model", "neighbours", "graph")}
    parts |= {name: ensemble.seconds[name] for name in ("rule", "cell", "bookkeeping")}
    parts["bookkeeping"] += seconds - sum(parts.values())
    return {
        "method": f"relax:{rule}",
        "structures": n,
        "structures_per_s": n / seconds,
        "force_calls": sum(one.result.force_calls for one in done) / n,
        "converged": sum(one.result.converged for one in done),
        "shares": {name: spent / seconds for name, spent in parts.items()},
        "outside": 1 - parts["model"] / seconds,
    }


# --------------------------------------------------------------------------------------------------
# A stream


SITES = np.argwhere(np.ones((3, 3, 3), bool)) - 1.0


def clusters(n: int) -> Iterator[Atoms]:
    """Yield ``n`` clusters of 5 to 12 atoms, about a lattice, for Lennard-Jones in reduced units."""
    near = SITES[np.argsort((SITES**2).sum(axis=1), kind="stable")] * 1.1
    for seed in range(n):
        rng = np.random.default_rng(seed)
        atoms = 5 + seed % 8
        yield Atoms(f"Ar{atoms}", near[:atoms] + rng.normal(0, 0.05, (atoms, 3)))


def stream(n: int) -> Row:
    """Relax ``n`` clusters as they come; return the time and the memory it took."""
    # What is loaded at the first call is no cost of a structure.
    for _ in relax_many(clusters(50), "lj", STREAM_RULE, fmax=FMAX, budget=STREAM_BUDGET):
        pass
    before, calls, ended, tenth = peak(), 0, Counter[str](), 0.0
    began = time.perf_counter(), time.process_time()
    run = relax_many(clusters(n), "lj", STREAM_RULE, fmax=FMAX, budget=STREAM_BUDGET)
    for count, done in enumerate(run, 1):
        calls += done.result.force_calls
        ended[done.result.status] += 1
        tenth = peak() if count == max(1, n // 10) else tenth
    seconds, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    return {
        "method": f"relax:{STREAM_RULE}",
        "structures": n,
        "structures_per_s": n / seconds,
        "ms_per_structure": 1e3 * seconds / n,
        "processor_ms_per_structure": 1e3 * processor / n,
        "force_calls": calls / n,
        "ended": dict(ended),
        "before_MB": before,
        "after_a_tenth_MB": tenth,
        "peak_MB": peak(),
    }


STREAM_RULE = "frankenstein"
STREAM_BUDGET = 4000  # atoms


# --------------------------------------------------------------------------------------------------
# A GPU


def on_gpu(method: str, model: str, given: str, n: int) -> Row:
    """Relax ``n`` crystals on the first GPU, in batch or (``:one by one``) one after the other."""
    import torch

    begun = read(given, f":{n}")
    _, rule, *options = method.split(":")
    potential: Any = as_potential(f"mace:{model}", "cuda")
    warm_up(potential, begun[0])
    budget = 1.0 if "one by one" in options else None
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    done = list(relax_many(begun, potential, rule, fmax=FMAX, steps=CAP, cell=True, budget=budget))
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


PARTS: dict[str, Callable[..., Row]] = {
    part.__name__: part for part in (crystals, profile, stream, on_gpu, repeatable)
}
