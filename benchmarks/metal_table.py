"""The tables of the benchmark of large crystals, made from its JSON alone."""

from __future__ import annotations

from typing import Any

from benchmarks.lj38_table import markdown

Row = dict[str, Any]

COLUMNS = (
    "optimizer", "status", "force calls", "s in the calculator", "s outside", "ms a call in the calculator",
    "ms a call outside", "eV/atom", "largest force, eV/A", "peak MB", "above the calculator's, MB",
)  # fmt: skip
WORDS = ("optimizer", "status")


def cells(row: Row) -> list[str]:
    """Return the cells of a row; empty where nothing is known."""

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
    """Return the cells of each table by its number of atoms: converged first, of these fewest calls first."""
    found = {}
    for atoms in dict.fromkeys(row["atoms"] for row in results["rows"]):
        rows = [row for row in results["rows"] if row["atoms"] == atoms]
        rows.sort(key=lambda row: (row["status"] != "converged", row["calls"], row["optimizer"]))
        found[atoms] = [cells(row) for row in rows]
    return found


def title(results: Row, atoms: int) -> str:
    """Return what a table is of."""
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
    """Return a line on each run that failed: why."""
    return [
        f"{row['optimizer']}, {row['atoms']:,} atoms: {row['status']}, {row['reason']}"
        for row in results["rows"]
        if row["status"] != "converged"
    ]


def as_markdown(results: Row) -> str:
    """Return the whole page."""
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    lines = ["# Large crystals", "", notes(results), ""]
    for atoms, rows in tables(results).items():
        lines += [f"## {title(results, atoms)}", "", *markdown(COLUMNS, rows, WORDS), ""]
    why = failures(results)
    if why:
        lines += ["Why runs failed:", "", *(f"- {line}" for line in why), ""]
    return "\n".join([*lines, f"`{results['command']}`", "", f"{results['processor']}; {versions}.", ""])
