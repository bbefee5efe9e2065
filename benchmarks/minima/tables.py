"""The table of the benchmark of the minimum check."""

from __future__ import annotations

from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import Page, Sheet, versions_text

LEVELS = ("minimum", "tight")
"""The checks that are compared, by the word for ``check=``."""

LEFT = ("structure", *(f"{level}: {words}" for level in LEVELS for words in ("status", "sign")))


def key_of(row: Json) -> str:
    """Return what distinguishes a row: its structure."""
    return str(row["structure"])


def right(row: Json, level: str) -> bool:
    """Return whether a check says saddle exactly where the lowest eigenvalue of the Hessian is negative."""
    expected = "saddle" if row["lowest"][0] < 0 else "converged"
    return bool(row["levels"][level]["status"] == expected)


def cells(row: Json) -> list[str]:
    """Return the cells of a structure."""
    lowest, by_energies = row["lowest"]
    found = [row["structure"], str(row["atoms"]), f"{lowest:.3f}", f"{by_energies:.3f}" if lowest < 0 else ""]
    for level in LEVELS:
        run = row["levels"][level]
        curvature = "" if run["curvature"] is None else f"{run['curvature']:.3f}"
        found += [curvature, run["status"], "right" if right(row, level) else "wrong", str(run["calls"])]
    return found


def sheet(results: Json) -> Sheet:
    """Return the table: a line for each structure."""
    columns = ["structure", "atoms", "lowest eigenvalue", "by energies"]
    for level in LEVELS:
        columns += [f"{level}: curvature", f"{level}: status", f"{level}: sign", f"{level}: calls"]
    return Sheet("minimum check", columns, [cells(row) for row in results["rows"]], left=LEFT)


def summary(results: Json) -> str:
    """Return how many signs are right and how many calls that took, for each check."""
    rows = results["rows"]
    parts = []
    for level in LEVELS:
        calls = sum(row["levels"][level]["calls"] for row in rows) / len(rows)
        count = sum(right(row, level) for row in rows)
        parts.append(f'check="{level}": {count} of {len(rows)} right, {calls:.1f} calls on average')
    return "; ".join(parts) + "."


def page(results: Json) -> Page:
    """Return the page of the benchmark."""
    rows = f"No row of the gradient is above {results['fmax']:g} eV/A; curvatures are in eV/A^2."
    return Page(
        title="The minimum check",
        notes=f"{rows} {summary(results)}",
        sheets=[sheet(results)],
        command=results["command"],
        footer=f"{results['platform']}, {versions_text(results)}",
    )
