"""Force calls for other values of a rule's defaults: ``python -m benchmarks.tools.tune core --json OUT``.

Each number of the rule is changed by one step down and one step up, the others unchanged.  Each variant
relaxes Lennard-Jones clusters, of another seed than that of the published table but to the same criterion,
and rattled crystals like those of WBM, with CHGNet, atoms and cell.  A failure counts as twice the cap.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import print_table
from benchmarks.lj38.batched_runs import run_batch
from benchmarks.lj38.clusters import is_bound, random_clusters
from relax import RuleOptimizer
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
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
    """Force calls of one variant; ``crystals_energy`` is the mean final energy, eV/atom."""

    clusters_mean: float
    clusters_max: int
    clusters_failed: int
    crystals_mean: float
    crystals_failed: int
    crystals_energy: float


def neighbours(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield the rule itself, then each variant with one number changed by a step."""
    yield "defaults", rule
    for name, declared in parameters(rule).items():
        for value in stepped(getattr(rule, name), declared):
            with contextlib.suppress(ValueError):
                yield f"{name} = {value:.4g}", dataclasses.replace(rule, **{name: value})


def stepped(value: Any, declared: Param) -> tuple[float, ...]:
    """Return the values one step below and above: a factor of 1.5, for a decay in its difference from 1."""
    if declared.bounds is None or isinstance(value, bool | int) or value == 0:
        return ()
    if declared.bounds.high == 1.0:
        return (1 - 1.5 * (1 - value), 1 - (1 - value) / 1.5)
    if declared.bounds.low == 1.0:
        return (1 + (value - 1) / 1.5, 1 + 1.5 * (value - 1))
    return (value / 1.5, 1.5 * value)


def score_clusters(rule: Rule, n: int) -> tuple[float, int, int]:
    """Return mean and largest number of force calls, and failures, of ``n`` clusters."""
    ends = run_batch(rule, random_clusters(n, CLUSTER_SEED), STOP, CAP)
    good = ends.converged & np.array([is_bound(x) for x in ends.x])
    calls = np.where(good, ends.calls, 2 * CAP)
    return float(calls.mean()), int(calls.max()), int((~good).sum())


def score_crystals(rule: Rule, n: int) -> tuple[float, int, float]:
    """Return mean number of force calls, failures and mean final energy (eV/atom) of ``n`` crystals."""
    from benchmarks.crystals.wbm_like import wbm_like
    from relax.calculators.registry import load

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
    name: Annotated[str, typer.Argument(metavar="RULE", help="Name of the rule.")],
    clusters: Annotated[int, typer.Option(help="Clusters for each variant.")] = 100,
    crystals: Annotated[int, typer.Option(help="Crystals for each variant.")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Change this parameter only; repeatable.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Print the force calls of a rule with each number one step down and one step up."""
    if name not in RULES:
        raise typer.BadParameter(f"no rule is called {name!r}; there are {', '.join(RULES)}")
    rows: list[Json] = []
    for label, rule in neighbours(RULES[name]()):
        if only and label != "defaults" and label.split(" = ")[0] not in only:
            continue
        wrapped = for_atoms(rule)
        with contextlib.redirect_stdout(io.StringIO()):
            score = Score(*score_clusters(wrapped, clusters), *score_crystals(wrapped, crystals))
        rows.append({"variant": label} | score._asdict())
        print(f"{label}: {score}", file=sys.stderr)
    print_table(
        Console(),
        f"{name}: force calls of its defaults and their neighbours",
        [column.replace("_", " ") for column in rows[0]],
        [[cell(column, value) for column, value in row.items()] for row in rows],
        ("variant",),
    )
    if json_path is not None:
        record = {
            "command": command_line("benchmarks.tools.tune"),
            "versions": versions("numpy", "ase", "chgnet", "torch", "pymatgen", "relax"),
            "seeds": {"clusters": CLUSTER_SEED, "crystals": CRYSTAL_SEED},
            "rows": rows,
        }
        write_record(json_path, record)


def cell(column: str, value: Any) -> str:
    """Return a number as it is shown in the table."""
    digits = 4 if column == "crystals_energy" else 1
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)
