"""How the defaults of a rule sit among their neighbours: ``python -m benchmarks.tune core --json OUT``.

Every number of the rule is moved one step down and one step up, all others held.  Each variant relaxes
Lennard-Jones clusters of another seed than the one that is reported, to the same stop, and crystals made
like WBM's, rattled, with CHGNet and the cell free.  Failures are scored at twice the cap.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.clusters import is_bound, lennard_jones, random_clusters
from benchmarks.lockstep import advance
from relax.core.parameters import Param, parameters
from relax.core.rule import Rule
from relax.rules import RULES
from relax.rules.wrappers import for_atoms

CLUSTER_SEED, CRYSTAL_SEED = 1, 8
STOP, CAP = 0.01, 2000
FMAX, CRYSTAL_CAP, RATTLE = 0.05, 500, 0.05
LARGEST = 10
"""Atoms of the largest crystal."""


class Score(NamedTuple):
    """Force calls of one variant; energies only compare variants."""

    clusters_mean: float
    clusters_max: int
    clusters_failed: int
    crystals_mean: float
    crystals_failed: int
    crystals_energy: float  # mean final energy, eV/atom


def neighbours(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield the rule itself, then each variant with one number moved by a step."""
    yield "defaults", rule
    for name, declared in parameters(rule).items():
        for value in moved(getattr(rule, name), declared):
            with contextlib.suppress(ValueError):
                yield f"{name} = {value:.4g}", dataclasses.replace(rule, **{name: value})


def moved(value: Any, declared: Param) -> tuple[float, ...]:
    """Return the values one step below and above: a third of the way to 1 for a decay, else 1.5 times."""
    if declared.bounds is None or isinstance(value, bool | int) or value == 0:
        return ()
    if declared.bounds.high == 1.0:
        return (1 - 1.5 * (1 - value), 1 - (1 - value) / 1.5)
    if declared.bounds.low == 1.0:
        return (1 + (value - 1) / 1.5, 1 + 1.5 * (value - 1))
    return (value / 1.5, 1.5 * value)


def score_clusters(rule: Rule, n: int) -> tuple[float, int, int]:
    """Return mean, largest and failed of ``n`` clusters."""
    ends = advance(rule, random_clusters(n, CLUSTER_SEED), lennard_jones, STOP, CAP)
    good = ends.converged & np.array([is_bound(x) for x in ends.x])
    calls = np.where(good, ends.calls, 2 * CAP)
    return float(calls.mean()), int(calls.max()), int((~good).sum())


def score_crystals(rule: Rule, n: int) -> tuple[float, int, float]:
    """Return mean calls, failures and mean final energy (eV/atom) of ``n`` crystals."""
    from benchmarks.wbm_like import wbm_like
    from relax.calculators.registry import load
    from relax.optimizers.base import RuleOptimizer

    calculator = load("chgnet")
    calls, energies = [], []
    for i, crystal in enumerate(wbm_like(n, CRYSTAL_SEED, LARGEST)):
        atoms = crystal.copy()
        atoms.rattle(RATTLE, seed=i)
        atoms.calc = calculator
        opt = RuleOptimizer(atoms, rule, cell=True, logfile=None)
        opt.run(FMAX, CRYSTAL_CAP)
        result = opt.result
        calls.append(result.force_calls if result.converged else 2 * CRYSTAL_CAP)
        energies.append(result.energy_last / len(atoms))
    return float(np.mean(calls)), sum(c == 2 * CRYSTAL_CAP for c in calls), float(np.mean(energies))


def main(
    name: Annotated[str, typer.Argument(metavar="RULE", help="name of the rule")],
    clusters: Annotated[int, typer.Option(help="clusters for each variant")] = 100,
    crystals: Annotated[int, typer.Option(help="crystals for each variant")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="move this parameter alone; may be repeated")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Print what each number of a rule is worth, one step down and one step up."""
    if name not in RULES:
        raise typer.BadParameter(f"no rule is called {name!r}; there are {', '.join(RULES)}")
    columns = Score._fields
    table = Table(title=f"{name}: force calls of its defaults and their neighbours")
    table.add_column("variant")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    rows: list[dict[str, Any]] = []
    for label, rule in neighbours(RULES[name]()):
        if only and label != "defaults" and label.split(" = ")[0] not in only:
            continue
        dressed = for_atoms(rule)
        with contextlib.redirect_stdout(io.StringIO()):
            score = Score(*score_clusters(dressed, clusters), *score_crystals(dressed, crystals))
        rows.append({"variant": label} | score._asdict())
        cells = score._asdict() | {"crystals_energy": f"{score.crystals_energy:.4f}"}
        table.add_row(label, *(f"{v:.1f}" if isinstance(v, float) else str(v) for v in cells.values()))
        print(f"{label}: {score}", file=sys.stderr)
    Console().print(table)
    if json_path is not None:
        record = {
            "command": f"python -m benchmarks.tune {' '.join(sys.argv[1:])}",
            "versions": {p: version(p) for p in ("numpy", "ase", "chgnet", "torch", "pymatgen", "relax")},
            "seeds": {"clusters": CLUSTER_SEED, "crystals": CRYSTAL_SEED},
            "rows": rows,
        }
        json_path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
