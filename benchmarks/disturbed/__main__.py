"""What noise and forces without an energy cost: ``python -m benchmarks.disturbed --json OUT``.

Lennard-Jones clusters of 38 atoms, and crystals rattled by 0.05 A with their cells and CHGNet.  Each is
relaxed until no force that the optimizer sees is above 0.05 eV/A, with forces as they are, with noise, and
with a curl.  A run that does not end within the cap has failed, and counts as the cap.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from rich.console import Console

from benchmarks.common.optimizer_names import System
from benchmarks.common.optimizers import chosen_optimizers, make_optimizer
from benchmarks.common.provenance import command_line, versions
from benchmarks.common.results_file import Json, write_record
from benchmarks.common.structures import bare, rattled
from benchmarks.common.terminal import Optimizers, errors_in_one_line, print_plain, print_table
from benchmarks.crystals.starts import Source, known_elements
from benchmarks.disturbed.calculator import CALM, Disturbance, Disturbed
from benchmarks.lj38.clusters import atoms_of, random_cluster

OPTIMIZERS = (
    "default", "frankenstein:metric=true", "core:metric=true", "fire", "ase:FIRE", "ase:GoodOldQuasiNewton",
)  # fmt: skip
DISTURBANCES = (
    CALM,
    Disturbance(noise=1e-4),
    Disturbance(noise=1e-3),
    Disturbance(noise=1e-2),
    Disturbance(curl=0.05),
    Disturbance(curl=0.3),
)
FMAX, CAP, RATTLE = 0.05, 500, 0.05
SETS = ("lj38", "crystals")


def starts(kind: str, n: int, seed: int) -> Iterator[tuple[Atoms, Any]]:
    """Yield ``n`` structures, each with its calculator."""
    if kind == "lj38":
        for k in range(n):
            atoms = atoms_of(random_cluster(np.random.default_rng([seed, k])))
            yield atoms, atoms.calc
        return
    from relax.calculators.registry import load

    calculator = load("chgnet")
    crystals = bare(Source(None, n, None, "", 8, 2).read(seed, known_elements(calculator)))
    for k, crystal in enumerate(crystals):
        yield rattled(crystal, RATTLE, seed, k), calculator


def measured(kind: str, optimizer: str, disturbance: Disturbance, n: int, seed: int) -> Json:
    """Return the row of an optimizer: mean calls, failures, and how many runs saw that forces contradict."""
    system = System.CRYSTALS if kind == "crystals" else System.POSITIONS
    calls, failed, contradicted = [], 0, 0
    for k, (atoms, calculator) in enumerate(starts(kind, n, seed)):
        atoms.calc = Disturbed(calculator, disturbance, k)
        run = make_optimizer(optimizer, atoms, system)
        ended = False
        with contextlib.suppress(ArithmeticError, ValueError, np.linalg.LinAlgError):
            ended = bool(run.run(fmax=FMAX, steps=CAP - 1))
        result = getattr(run, "result", None)
        ended = result.converged if result is not None else ended
        calls.append(min(atoms.calc.calls, CAP) if ended else CAP)
        failed += not ended
        contradicted += result is not None and not result.conservative
    row = {"kind": kind, "optimizer": optimizer, "noise": disturbance.noise, "curl": disturbance.curl}
    return row | {
        "mean": float(np.mean(calls)),
        "failed": failed,
        "contradicted": contradicted,
        "calls": calls,
    }


def main(
    kinds: Annotated[list[str] | None, typer.Option("--set", help="lj38, crystals; may be repeated.")] = None,
    n: Annotated[int, typer.Option(min=1, help="Structures of each set.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the structures.")] = 3,
    optimizers: Optimizers = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Count force calls with forces as they are, with noise, and with with a curl."""
    with errors_in_one_line("disturbed"):
        names, sets = (
            chosen_optimizers(optimizers or [], OPTIMIZERS, System.POSITIONS),
            kinds or list(SETS),
        )
        for kind in sets:
            if kind not in SETS:
                raise ValueError(f"there is no set {kind!r} (there are: {', '.join(SETS)})")
    record: Json = {
        "command": command_line("benchmarks.disturbed"),
        "versions": versions("numpy", "ase", "relax"),
        "n": n, "seed": seed, "fmax": FMAX, "cap": CAP, "rows": [],
    }  # fmt: skip
    if json_path is not None and json_path.exists():
        found = json.loads(json_path.read_text())
        if all(found[key] == record[key] for key in ("n", "seed", "fmax", "cap")):
            record["rows"] = found["rows"]
    done = {(row["kind"], row["optimizer"], row["noise"], row["curl"]) for row in record["rows"]}
    for kind in sets:
        for name in names:
            for disturbance in DISTURBANCES:
                if (kind, name, disturbance.noise, disturbance.curl) not in done:
                    record["rows"].append(measured(kind, name, disturbance, n, seed))
                    if json_path is not None:
                        write_record(json_path, record)
    show(Console(width=200), record["rows"], sets)


def show(console: Console, rows: list[Json], sets: list[str]) -> None:
    """Print a table of each set: mean calls, and failures in parentheses."""
    for kind in sets:
        mine = [row for row in rows if row["kind"] == kind]
        table = []
        for name in dict.fromkeys(row["optimizer"] for row in mine):
            cells = {
                (row["noise"], row["curl"]): f"{row['mean']:.1f} ({row['failed']})"
                for row in mine
                if row["optimizer"] == name
            }
            table.append([name, *(cells.get((d.noise, d.curl), "") for d in DISTURBANCES)])
        print_table(console, kind, ("optimizer", *(d.words for d in DISTURBANCES)), table, ("optimizer",))
    print_plain(console, [f"mean force calls, failures in parentheses, which count as {CAP}"])


if __name__ == "__main__":
    typer.run(main)
