"""The tables of the crystal benchmark, made from its JSON alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.lj38_table import markdown

Row = dict[str, Any]


def number(digits: int, *path: str) -> Callable[[Row], str]:
    """Return a cell that shows the number found along ``path`` in a row, or nothing."""

    def cell(row: Row) -> str:
        value: Any = row
        for key in path:
            value = value[key]
        return "" if value is None else f"{value:.{digits}f}"

    return cell


def together(*cells: Callable[[Row], str]) -> Callable[[Row], str]:
    return lambda row: " / ".join(cell(row) for cell in cells)


def compared(digits: int, other: str, key: str, sign: str = "") -> Callable[[Row], str]:
    """Return a cell that shows a comparison with its interval, but not with itself."""

    def cell(row: Row) -> str:
        if row["optimizer"] == other:
            return ""
        value, low, high = row["beside"][other][key]
        return f"{value:{sign}.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    return cell


def shared_columns(rows: list[Row]) -> dict[str, Callable[[Row], str]]:
    """Return the columns that a table has whatever its structures are: title, and what makes the cell."""
    others = list(rows[0]["beside"])
    found: dict[str, Callable[[Row], str]] = {
        "optimizer": lambda row: str(row["optimizer"]),
        "mean": number(1, "mean"),
        "median": number(1, "median"),
        "max": number(0, "max"),
        "failed": number(0, "failed"),
    }
    found |= {f"of {other}'s calls": compared(2, other, "calls") for other in others}
    found |= {"≤ 1 meV, %": number(0, "within_1"), "≤ 10 meV, %": number(0, "within_10")}
    found |= {f"points on {other}": compared(0, other, "within_10", "+") for other in others}
    return found | {"excess, meV": number(1, "excess")}


TIMES = {"ms a call": together(number(1, "ms_calculator"), number(1, "ms_outside"))}


def columns(rows: list[Row]) -> dict[str, Callable[[Row], str]]:
    """Return the columns of a table: title, and what makes the cell."""
    found = shared_columns(rows) | {
        "stress, GPa": together(number(2, "smax_median"), number(2, "smax_max")),
        "symmetry": together(*(number(0, "symmetry", word) for word in ("kept", "lost", "gained"))),
    }
    found |= TIMES
    if "reference" in rows[0]:
        found |= {
            "errors > 1 eV": number(0, "reference", "errors_above_1"),
            "MAE, meV": number(1, "reference", "mae"),
            "Matbench MAE, meV": number(1, "reference", "matbench_mae"),
        }
    return found


RaggedArrays = Callable[[list[Row]], dict[str, Callable[[Row], str]]]


def tables(
    results: Row, key: str = "rattle", columns: RaggedArrays = columns
) -> dict[float, tuple[list[str], list[list[str]]]]:
    """Return titles and cells of each table by its ``key``, such as its rattle (A), fewest calls first."""
    found = {}
    for value in dict.fromkeys(row[key] for row in results["rows"]):
        rows = [row for row in results["rows"] if row[key] == value]
        cells = columns(rows)
        rows.sort(key=lambda row: (row["mean"], row["optimizer"]))
        found[value] = list(cells), [[cell(row) for cell in cells.values()] for row in rows]
    return found


def title(results: Row, rattle: float) -> str:
    """Return what a table is of."""
    starts = f"starts rattled by {rattle:g} A" if rattle else "starts as they are"
    return f"{len(results['structures'])} crystals, {results['calculator']}, {starts}"


def failures(results: Row, value: float, key: str = "rattle") -> list[str]:
    """Return a line on each optimizer that failed in the table with that ``key``: why, and how often."""
    return [
        f"{row['optimizer']}: " + ", ".join(f"{why} {n}" for why, n in row["failures"].items())
        for row in results["rows"]
        if row[key] == value and row["failures"]
    ]


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    text = (
        f"Force calls, counted at the calculator, until no row of forces and cell gradient is above "
        f"{results['fmax']:g} eV/A; a run that failed is scored at the cap of {results['cap']}. "
        "≤ 1 and ≤ 10 meV: part of the crystals that ended that near, per atom, to the lowest energy at "
        "which any optimizer of the table converged; points: by how much that part is above another's; "
        "excess: mean height above that energy. Of those that converged: stress: largest component, "
        "median / largest; "
        "symmetry: space group kept / lost / gained. ms a call: in the calculator / outside. In parentheses: "
        "95 % bootstrap intervals over the crystals."
    )
    if results["elements"]:
        text += f" The crystals are of what the calculator knows: {', '.join(results['elements'])}."
    if "reference" in results:
        text += f" Errors are against the {results['reference']['kind']} energies of the WBM summary."
    return text


def as_markdown(results: Row) -> str:
    """Return the whole page."""
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    lines = [f"# {len(results['structures'])} crystals, {results['calculator']}", "", notes(results), ""]
    for rattle, (titles, cells) in tables(results).items():
        lines += [f"## {title(results, rattle)}", "", *markdown(tuple(titles), cells, ("optimizer",)), ""]
        why = failures(results, rattle)
        if why:
            lines += ["Why runs failed:", "", *(f"- {line}" for line in why), ""]
    return "\n".join([*lines, f"`{results['command']}`", "", f"{versions}.", ""])
