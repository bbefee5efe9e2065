"""The tables of the crystal benchmark."""

from __future__ import annotations

from benchmarks.common.curvature import SADDLE
from relax.analysis.comparison.tables import (
    TIMES,
    Cell,
    Page,
    Row,
    joined,
    number,
    rattle_text,
    shared_columns,
    statistics_page,
)


def counts(name: str) -> Cell:
    """Return a cell with the numbers in a list of a row, empty where there is none."""
    return lambda row: " / ".join(map(str, row[name] or ()))


def columns(rows: list[Row]) -> dict[str, Cell]:
    """Return the columns of a table: title and cell."""
    found = shared_columns(rows) | {
        "stress, GPa": joined(number(2, "smax_median"), number(2, "smax_max")),
        "symmetry": joined(*(number(0, "symmetry", word) for word in ("kept", "lost", "gained"))),
    }
    if any(row["saddles"] is not None for row in rows):
        found["saddles"] = counts("saddles")
    found |= TIMES
    if "reference" in rows[0]:
        found |= {
            "errors > 1 eV": number(0, "reference", "errors_above_1"),
            "MAE, meV": number(1, "reference", "mae"),
            "Matbench MAE, meV": number(1, "reference", "matbench_mae"),
        }
    return found


def title(results: Row, rattle: float) -> str:
    """Return the title of a table."""
    return f"{len(results['structures'])} crystals, {results['calculator']}, {rattle_text(rattle)}"


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    text = (
        f"Force calls, counted at the calculator, until no row of forces and cell gradient is above "
        f"{results['fmax']:g} eV/A; a run that failed is scored at the cap of {results['cap']}. "
        "≤ 1 and ≤ 10 meV: part of the crystals that ended that near, per atom, to the lowest energy at "
        "which any optimizer of the table converged; points: by how much that part is above another's; "
        "excess: mean height above that energy. Of those that converged: stress: largest component, "
        "median / largest; symmetry: space group kept / lost / gained. "
        f"saddles: of optimizers that check for minima, ends with a curvature below {SADDLE} eV/A^2, by a "
        "Hessian of atoms and strain from gradients / and by the energies along its modes; the calls for "
        "that are not counted. ms a call: in the calculator / outside. In parentheses: "
        "95 % bootstrap intervals over the crystals."
    )
    if results["elements"]:
        text += f" The crystals are of what the calculator knows: {', '.join(results['elements'])}."
    if "reference" in results:
        text += f" Errors are against the {results['reference']['kind']} energies of the WBM summary."
    return text


def page(results: Row) -> Page:
    """Return all tables."""
    subject = f"crystals, {results['calculator']}"
    return statistics_page(results, subject, notes(results), "rattle", columns, title)


def as_markdown(results: Row) -> str:
    """Return the whole page as Markdown."""
    return page(results).markdown()
