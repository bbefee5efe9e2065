"""The tables of the benchmark of disturbed forces."""

from __future__ import annotations

from benchmarks.disturbed.calculator import DISTURBANCES
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import Page, Sheet, versions_text


def key_of(row: Json) -> tuple[str, str, float, float]:
    """Return what distinguishes a row: set, optimizer, noise and curl."""
    return row["kind"], row["optimizer"], row["noise"], row["curl"]


def sheet(results: Json, kind: str) -> Sheet:
    """Return the table of a set: mean calls, and failures in parentheses."""
    found = {key_of(row): f"{row['mean']:.1f} ({row['failed']})" for row in results["rows"]}
    names = dict.fromkeys(optimizer for of, optimizer, _, _ in found if of == kind)
    rows = [
        [f"`{name}`", *(found.get((kind, name, d.noise, d.curl), "") for d in DISTURBANCES)] for name in names
    ]
    return Sheet(kind, ("optimizer", *(each.words for each in DISTURBANCES)), rows)


def page(results: Json) -> Page:
    """Return the tables of all sets."""
    kinds = dict.fromkeys(row["kind"] for row in results["rows"])
    return Page(
        title="Disturbed forces",
        notes=(
            f"Mean force calls, n = {results['n']}, until no force is above {results['fmax']:g} eV/A. "
            f"Failures in parentheses, which count as {results['cap']}."
        ),
        sheets=[sheet(results, kind) for kind in kinds],
        command=results["command"],
        footer=f"{results['platform']}, {versions_text(results)}",
    )
