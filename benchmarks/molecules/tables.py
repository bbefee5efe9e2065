"""The tables of the molecule benchmark."""

from __future__ import annotations

from benchmarks.common.tables import (
    TIMES,
    Cell,
    Page,
    Row,
    number,
    rattle_text,
    shared_columns,
    statistics_page,
)
from benchmarks.molecules.starts import excluded_text


def columns(rows: list[Row]) -> dict[str, Cell]:
    """Return the columns of a table: title and cell."""
    return shared_columns(rows) | {"other bonds": number(0, "other_bonds")} | TIMES


def title(results: Row, fmax: float) -> str:
    """Return the title of a table."""
    molecules = f"{len(results['structures'])} molecules, {results['method']}"
    return f"{molecules}, {rattle_text(results['rattle'])}, fmax {fmax:g} eV/A"


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
        text += f" Left out of the G2 set for everybody: {excluded_text(results['excluded'])}."
    return text


def page(results: Row) -> Page:
    """Return all tables."""
    return statistics_page(results, f"molecules, {results['method']}", notes(results), "fmax", columns, title)


def as_markdown(results: Row) -> str:
    """Return the whole page as Markdown."""
    return page(results).markdown()
