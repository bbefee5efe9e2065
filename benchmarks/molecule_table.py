"""The tables of the molecule benchmark, made from its JSON alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.crystal_table import TIMES, failures, number, shared_columns, tables
from benchmarks.lj38_table import markdown
from benchmarks.molecule_starts import reasons

Row = dict[str, Any]


def columns(rows: list[Row]) -> dict[str, Callable[[Row], str]]:
    """Return the columns of a table: title, and what makes the cell."""
    return shared_columns(rows) | {"other bonds": number(0, "other_bonds")} | TIMES


def sheets(results: Row) -> dict[float, tuple[list[str], list[list[str]]]]:
    """Return titles and cells of each table by its fmax (eV/A), fewest calls first."""
    return tables(results, "fmax", columns)


def title(results: Row, fmax: float) -> str:
    """Return what a table is of."""
    starts = f"starts rattled by {results['rattle']:g} A" if results["rattle"] else "starts as they are"
    return f"{len(results['structures'])} molecules, {results['method']}, {starts}, fmax {fmax:g} eV/A"


def why_failed(results: Row, fmax: float) -> list[str]:
    """Return a line on each optimizer that failed: why, and how often."""
    return failures(results, fmax, "fmax")


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    checks = results["checks"]
    text = (
        "Force calls, counted at the calculator, until no force is above fmax; a run that failed is "
        f"scored at the cap of {results['cap']}. ≤ 1 and ≤ 10 meV: part of the molecules that ended that "
        "near, per atom, to the lowest energy at which any optimizer of the table converged; points: by how "
        "much that part is above another's; excess: mean height above that energy. Other bonds: ends whose "
        f"bonds, atoms nearer than {checks['bond']:g} of their covalent radii, are not those of the molecule "
    )
    text += (
        "(a failure). " if checks["bonds_decide"] else "(no failure here: this is a potential of metals). "
    )
    text += (
        "ms a call: in the calculator / outside. In parentheses: 95 % bootstrap intervals over the molecules."
    )
    if results["excluded"]:
        text += f" Left out of the G2 set for everybody: {reasons(results['excluded'])}."
    return text


def as_markdown(results: Row) -> str:
    """Return the whole page."""
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    lines = [f"# {len(results['structures'])} molecules, {results['method']}", "", notes(results), ""]
    for fmax, (titles, cells) in sheets(results).items():
        lines += [f"## {title(results, fmax)}", "", *markdown(tuple(titles), cells, ("optimizer",)), ""]
        why = why_failed(results, fmax)
        if why:
            lines += ["Why runs failed:", "", *(f"- {line}" for line in why), ""]
    return "\n".join([*lines, f"`{results['command']}`", "", f"{versions}.", ""])
