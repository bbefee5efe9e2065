"""The tables of the benchmark of large crystals."""

from __future__ import annotations

from relax.analysis.comparison.tables import Page, Row, Sheet, versions_text

COLUMNS = (
    "optimizer", "status", "force calls", "s in the calculator", "s outside", "ms a call in the calculator",
    "ms a call outside", "eV/atom", "largest force, eV/A", "peak MB", "above the calculator's, MB",
)  # fmt: skip
WORDS = ("optimizer", "status")
"""Columns that are aligned to the left."""


def cells(row: Row) -> list[str]:
    """Return the cells of a row, empty where a value is None."""

    def shown(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    def each(seconds: float | None) -> float | None:
        return None if seconds is None or not row["calls"] else 1e3 * seconds / row["calls"]

    inside, outside = row["seconds_calculator"], row["seconds_outside"]
    more = None if row["MB"] is None or row["calculator_MB"] is None else row["MB"] - row["calculator_MB"]
    return [
        f"`{row['optimizer']}`",
        row["status"],
        str(row["calls"] or ""),
        shown(inside, 1),
        shown(outside, 1),
        shown(each(inside), 0),
        shown(each(outside), 1),
        shown(row["energy"], 6),
        shown(row["force"], 4),
        shown(row["MB"], 0),
        shown(more, 0),
    ]


def tables(results: Row) -> dict[int, list[list[str]]]:
    """Return the cells of each table by its number of atoms: converged first, then fewest calls."""
    found = {}
    for atoms in dict.fromkeys(row["atoms"] for row in results["rows"]):
        rows = [row for row in results["rows"] if row["atoms"] == atoms]
        rows.sort(key=lambda row: (row["status"] != "converged", row["calls"], row["optimizer"]))
        found[atoms] = [cells(row) for row in rows]
    return found


def title(results: Row, atoms: int) -> str:
    """Return the title of a table."""
    return f"{atoms:,} atoms of Cu, EMT, rattled by {results['rattle']:g} A, fmax {results['fmax']:g} eV/A"


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    return (
        "A cube of fcc copper with one vacancy, its cell held. Force calls, counted at the calculator, until "
        f"no force is above {results['fmax']:g} eV/A, at most {results['cap']}. Seconds are of processor "
        "time, one thread. Each run has a process of its own; above the calculator's: by how much its peak "
        "of memory exceeds that of a force call without an optimizer."
    )


def failures(results: Row) -> list[str]:
    """Return a line for each run that failed, with the reason."""
    return [
        f"{row['optimizer']}, {row['atoms']:,} atoms: {row['status']}, {row['reason']}"
        for row in results["rows"]
        if row["status"] != "converged"
    ]


def page(results: Row) -> Page:
    """Return all tables."""
    return Page(
        "Large crystals",
        notes(results),
        [Sheet(title(results, atoms), COLUMNS, rows, left=WORDS) for atoms, rows in tables(results).items()],
        results["command"],
        f"{results['processor']}; {versions_text(results)}",
        failures(results),
    )


def as_markdown(results: Row) -> str:
    """Return the whole page as Markdown."""
    return page(results).markdown()
