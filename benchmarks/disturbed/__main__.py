"""What noise and forces without an energy cost: ``python -m benchmarks.disturbed --json OUT``.

Lennard-Jones clusters of 38 atoms, and crystals rattled by 0.05 A with their cells and CHGNet.  Each is
relaxed until no force that the optimizer sees is above 0.05 eV/A, with forces as they are, with noise, and
with a curl.  A run that does not end within the cap has failed, and counts as the cap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms

from benchmarks.common.structures import bare
from benchmarks.common.terminal import (
    JsonFile,
    Optimizers,
    RenderFile,
    Resume,
    TableFile,
    errors_in_one_line,
    show,
    warn_outdated,
)
from benchmarks.crystals.starts import Source, known_elements
from benchmarks.disturbed.calculator import DISTURBANCES, Disturbance, Disturbed
from benchmarks.disturbed.results import POTENTIAL, SCHEMA, SETS, header, identity
from benchmarks.disturbed.tables import page
from benchmarks.lj38.clusters import atoms_of, random_cluster
from relax.analysis.comparison.files.results_file import Json, ResultsFile
from relax.analysis.comparison.minimizers.construction import chosen_optimizers, make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.starts import rattled

OPTIMIZERS = (
    "default", "frankenstein:metric=true", "core:metric=true", "fire", "ase:FIRE", "ase:GoodOldQuasiNewton",
)  # fmt: skip
FMAX, CAP, RATTLE = 0.05, 500, 0.05


def starts(kind: str, n: int, seed: int) -> Iterator[tuple[Atoms, Any]]:
    """Yield ``n`` structures, each with its calculator."""
    if kind == "lj38":
        for k in range(n):
            atoms = atoms_of(random_cluster(np.random.default_rng([seed, k])))
            yield atoms, atoms.calc
        return
    from relax.calculators.registry import load

    calculator = load(POTENTIAL)
    crystals = bare(Source(None, n, None, "", 8, 2).read(seed, known_elements(calculator)))
    for k, crystal in enumerate(crystals):
        yield rattled(crystal, RATTLE, seed, k), calculator


def measured(kind: str, optimizer: str, disturbance: Disturbance, n: int, seed: int) -> Json:
    """Return the row of an optimizer: mean calls, failures, and how many runs saw that forces contradict."""
    calls, failed, contradicted = [], 0, 0
    for k, (atoms, calculator) in enumerate(starts(kind, n, seed)):
        atoms.calc = Disturbed(calculator, disturbance, k)
        run = make_optimizer(optimizer, atoms, SETS[kind])
        ended = False
        with contextlib.suppress(ArithmeticError, ValueError, np.linalg.LinAlgError):
            ended = bool(run.run(fmax=FMAX, steps=CAP - 1))
        result = getattr(run, "result", None)
        ended = result.converged if result is not None else ended
        calls.append(min(atoms.calc.calls, CAP) if ended else CAP)
        failed += not ended
        contradicted += result is not None and not result.conservative
    counts = {"mean": float(np.mean(calls)), "failed": failed, "contradicted": contradicted, "calls": calls}
    return identity(kind, optimizer, disturbance.noise, disturbance.curl) | counts


def main(
    kinds: Annotated[list[str] | None, typer.Option("--set", help="lj38, crystals; may be repeated.")] = None,
    n: Annotated[int, typer.Option(min=1, help="Structures of each set.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the structures.")] = 3,
    optimizers: Optimizers = None,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    resume: Resume = True,
) -> None:
    """Count force calls with forces as they are, with noise, and with a curl."""
    with errors_in_one_line("disturbed"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = chosen_optimizers(optimizers or [], OPTIMIZERS, System.POSITIONS)
            sets = list(dict.fromkeys(kinds or SETS))
            for kind in sets:
                if kind not in SETS:
                    raise ValueError(f"there is no set {kind!r} (there are: {', '.join(SETS)})")
            file = ResultsFile(out, header(n, seed, FMAX, CAP), SCHEMA, resume)
            warn_outdated(file.outdated)
            asked = [(k, name, d.noise, d.curl) for k in sets for name in names for d in DISTURBANCES]
            for kind, name, noise, curl in file.missing(asked):
                file.add(measured(kind, name, Disturbance(noise, curl), n, seed))
            results = file.save()
        show(page(results), table)


if __name__ == "__main__":
    typer.run(main)
