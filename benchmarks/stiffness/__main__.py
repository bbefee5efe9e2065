"""How near the model Hessian of molecules is to their Hessian: ``python -m benchmarks.stiffness``.

Molecules that are in no reported set are relaxed with GFN2-xTB, and their Hessians there compared with the
model of ``internal-lbfgs`` and with others, in which one of its parts is missing.  With ``--fit`` the
constants are looked for that bring the model nearest: the mean over molecules of the variance of the
logarithms is least.  It takes a few minutes more.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import errors_in_one_line, print_plain, print_table, progress, wide_console
from benchmarks.stiffness.hessians import Measured, measured, ratios
from benchmarks.stiffness.molecules import molecules
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.preconditioner.internal_stiffness import InternalStiffness

CALCULATOR = "gfn2"

MODEL = InternalStiffness()
MODELS = {
    "internal-lbfgs": MODEL,
    "no planes": replace(MODEL, plane=0.0),
    "double bonds as single ones": replace(MODEL, double=0.0),
    "neighbours of an atom as far pairs": replace(MODEL, geminal=1.0),
    "bends and torsions of Lindh": replace(MODEL, bend=0.0933, torsion=0.0063),
    "springs only, no coordinates": replace(MODEL, bend=0.0, linear=0.0, plane=0.0, torsion=0.0),
}

FITTED = ("bend", "linear", "plane", "torsion", "double", "geminal")
"""The constants that are looked for."""

EVALUATIONS = 400
"""How often the mean is computed in that search."""


def row_of(name: str, found: Sequence[Measured], model: InternalStiffness) -> Json:
    """Return how a model compares with all molecules."""
    every = [ratios(one, model) for one in found]
    return {
        "model": name,
        "spread": float(np.mean([np.log(r).std() for r in every])),
        "softest": float(np.median([r[0] for r in every])),
        "stiffest": float(np.median([r[-1] for r in every])),
        "worst": float(max(r[-1] for r in every)),
    }


def fitted(found: Sequence[Measured]) -> Json:
    """Return the constants that bring the model nearest, with the root of the mean variance."""
    from scipy.optimize import minimize

    begin = np.array([getattr(MODEL, name) for name in FITTED])

    def model(logs: np.ndarray) -> InternalStiffness:
        return replace(MODEL, **dict(zip(FITTED, (begin * np.exp(logs)).tolist(), strict=True)))

    def cost(logs: np.ndarray) -> float:
        return float(np.mean([np.log(ratios(one, model(logs))).var() for one in found]))

    end = minimize(cost, np.zeros(len(FITTED)), method="Nelder-Mead", options={"maxfev": EVALUATIONS})
    best = model(end.x)
    return {"before": cost(np.zeros(len(FITTED))) ** 0.5, "after": float(end.fun) ** 0.5} | {
        name: getattr(best, name) for name in FITTED
    }


def main(
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    fit: Annotated[bool, typer.Option(help="Look for the constants that bring the model nearest.")] = False,
) -> None:
    """Compare the model Hessian of molecules with their Hessian."""
    with errors_in_one_line("stiffness"):
        starts, found = molecules(), []
        with progress("Hessians", len(starts)) as (_, advance):
            for atoms in starts.values():
                found.append(measured(atoms, CALCULATOR))
                advance()
        known = [one for one in found if one is not None]
        rows = [row_of(name, known, model) for name, model in MODELS.items()]
        best = fitted(known) if fit else None
        console = wide_console(110)
        print_table(
            console,
            f"Stiffness over that of the model, {len(known)} molecules, GFN2-xTB",
            ("model", "spread", "softest mode", "stiffest mode", "stiffest of all"),
            [
                [row["model"], *(f"{row[key]:.2f}" for key in ("spread", "softest", "stiffest", "worst"))]
                for row in rows
            ],
            ("model",),
        )
        print_plain(
            console,
            [
                "spread: standard deviation of the logarithm over the modes of a molecule, mean of all.",
                "softest and stiffest mode: median over the molecules, where the mean of a molecule is 1.",
            ],
        )
        if best is not None:
            print_table(
                console,
                f"Constants that bring it nearest: {best['before']:.3f} -> {best['after']:.3f}",
                ("constant", "used", "nearest"),
                [[name, f"{getattr(MODEL, name):.4g}", f"{best[name]:.4g}"] for name in FITTED],
                ("constant",),
            )
        if json_path is not None:
            record = {
                "command": command_line("benchmarks.stiffness"),
                "versions": versions("numpy", "scipy", "relax", "tblite", "rdkit"),
                "python": platform.python_version(),
                "molecules": len(known),
                "left_out": len(found) - len(known),
                "rows": rows,
                "fit": best,
            }
            write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
