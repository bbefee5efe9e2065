"""What is measured with crystals and a network, each in a separate process with one thread.

Every function takes words and numbers, and returns a row that can be written as JSON.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.io.jsonio import encode

from benchmarks.throughput.baselines import Outcome, Stopwatch, ase_one_by_one, torch_sim_batched
from benchmarks.throughput.models import CAP, FMAX, WARM_UP, one_thread
from relax import relax_many
from relax.analysis.comparison.minimizers.names import read_settings
from relax.calculators import Potential, as_potential
from relax.calculators.registry import DTYPES
from relax.core.rule import Point
from relax.core.segments import Array
from relax.core.state import State
from relax.rules import RULES
from relax.rules.wrappers import Wrapper, for_atoms

Row = dict[str, Any]
ONE_BY_ONE = "one by one"


def crystals(method: str, model: str, given: str, n: int) -> Row:
    """Relax ``n`` crystals, positions and cell; return how long it took, and the final structures.

    Parameters
    ----------
    method
        ``"ase:NAME"``, one by one; ``"torch_sim:FIRE"`` and others of torch-sim, see :func:`by_torch_sim`;
        ``"relax:RULE"`` and ``"relax:RULE:SETTINGS"``, in a batch, otherwise with the defaults of
        :func:`relax.relax_many`; ``"relax:RULE:one by one"``.  ``:float32`` and ``:mixed``
        compute in that precision.
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
        "structures_per_processor_s": n / outcome.processor_seconds,
        "seconds": outcome.seconds,
        "force_calls": outcome.evaluations / n,
    }
    if method.startswith("torch_sim"):
        row["torch_sim"] = version("torch-sim-atomistic")
    return row | {"ends": [encode(end) for end in outcome.structures]}


def by_ase(method: str, given: list[Atoms], model: Path, device: str = "cpu") -> Outcome:
    """Relax with an optimizer of ASE, one structure after the other."""
    return ase_one_by_one(given, model, method, FMAX, CAP, device)


def by_torch_sim(method: str, given: list[Atoms], model: Path, device: str = "cpu") -> Outcome:
    """Relax with torch-sim.

    ``:between=N`` checks for convergence every N steps; ``:kept memory`` lets the process keep memory that is
    freed.
    """
    from relax.calculators.memory import keep_memory
    from relax.optimizers.torch_sim import for_torch_sim

    _, name, *options = method.split(":")
    if "kept memory" in options:
        keep_memory()
    between = next((int(word.partition("=")[2]) for word in options if word.startswith("between=")), 1)
    optimizer = None if name == "FIRE" else for_torch_sim(for_atoms(RULES[name]()), cell=True)
    return torch_sim_batched(given, model, FMAX, CAP, between=between, optimizer=optimizer, device=device)


def by_relax(method: str, given: list[Atoms], model: Path, device: str = "cpu") -> Outcome:
    """Relax with a rule, in a batch unless the method says one by one."""
    rule, settings, one_by_one, dtype = read_method(method)
    if one_by_one:
        return ase_one_by_one(given, model, rule, FMAX, CAP, device)
    potential = as_potential(f"mace:{model}", device, dtype)
    warm_up_batch(potential, given[0])
    stopwatch = Stopwatch()
    done = list(relax_many(given, potential, rule, fmax=FMAX, steps=CAP, cell=True, **settings))
    seconds = stopwatch.read()
    done.sort(key=lambda one: one.index)
    return Outcome([one.atoms for one in done], sum(one.result.force_calls for one in done), *seconds)


def read_method(method: str) -> tuple[str, dict[str, Any], bool, str]:
    """Return the rule, the settings, whether structures are relaxed one by one, and the precision."""
    _, rule, *options = method.split(":")
    words = [word for word in options if word not in (ONE_BY_ONE, *DTYPES)]
    dtype = next((word for word in options if word in DTYPES), DTYPES[0])
    return rule, read_settings(":".join([rule, *words]))[1], ONE_BY_ONE in options, dtype


def warm_up_batch(potential: Potential, atoms: Atoms) -> None:
    """Evaluate as often as it takes until calls are fast."""
    for _ in relax_many([atoms], potential, "sgd", fmax=0.0, steps=WARM_UP - 1, cell=True):
        pass


METHODS: dict[str, Callable[..., Outcome]] = {
    "ase": by_ase,
    "torch_sim": by_torch_sim,
    "relax": by_relax,
}


def alloy(seed: int) -> Atoms:
    """Return a rattled, stretched cell of eight atoms of a random Cu-Ni alloy."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols[rng.permutation(8)[:4]] = "Ni"
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.05, (8, 3))
    return atoms


@dataclass(frozen=True)
class Timed(Wrapper):
    """A rule that notes how long its updates take, in s."""

    seconds: list[float] = field(default_factory=list)

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        began = time.perf_counter()
        result = self.rule.update(state, point)
        self.seconds.append(time.perf_counter() - began)
        return result


def profile(rule: str, model: str, n: int) -> Row:
    """Relax ``n`` crystals of eight atoms in one batch; return the share of time of each part."""
    one_thread()
    given = [alloy(seed) for seed in range(n)]
    potential: Any = as_potential(f"mace:{model}")
    warm_up_batch(potential, given[0])
    followed = Timed(for_atoms(RULES[rule]()))
    before, began = dict(potential.seconds), time.perf_counter()
    done = list(relax_many(given, potential, followed, fmax=FMAX, steps=CAP, cell=True, budget=1e9))
    seconds = time.perf_counter() - began
    parts = {name: potential.seconds[name] - before[name] for name in ("model", "neighbours", "graph")}
    parts["rule"] = sum(followed.seconds)
    parts["engine"] = seconds - sum(parts.values())
    return {
        "method": f"relax:{rule}",
        "structures": n,
        "structures_per_s": n / seconds,
        "force_calls": sum(one.result.force_calls for one in done) / n,
        "converged": sum(one.result.converged for one in done),
        "shares": {name: spent / seconds for name, spent in parts.items()},
        "outside": 1 - parts["model"] / seconds,
    }
