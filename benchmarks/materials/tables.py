"""The tables of the benchmark of materials."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.materials.sets import SETS
from benchmarks.materials.statistics import SAME, pooled, summarized
from relax.analysis.comparison.tables import (
    TIMES,
    Cell,
    Page,
    Row,
    Sheet,
    failure_counts,
    interval_text,
    joined,
    number,
    versions_text,
)


def ratio(row: Row) -> str:
    """Return the text of the default's calls over those of a row, with the interval."""
    if row["default_calls"] is None:
        return ""
    return interval_text(row["default_calls"])


def ends(row: Row) -> str:
    """Return the text of where a row ended, beside the default."""
    return "" if row["ends"] is None else " / ".join(str(n) for n in row["ends"].values())


COLUMNS: dict[str, Cell] = {
    "optimizer": lambda row: str(row["optimizer"]),
    "mean": number(1, "mean"),
    "median": number(1, "median"),
    "max": number(0, "max"),
    "failed": number(0, "failed"),
    "default's calls over these": ratio,
    "lower / same / higher": ends,
    "≤ 1 and ≤ 10 meV, %": joined(number(0, "within_1"), number(0, "within_10")),
} | TIMES


def sheet(title: str, rows: Sequence[Row]) -> Sheet:
    """Return the table of rows that have statistics, fewest calls first."""
    ordered = sorted(rows, key=lambda row: (row["mean"], row["optimizer"]))
    body = [[cell(row) for cell in COLUMNS.values()] for row in ordered]
    return Sheet(title, list(COLUMNS), body, failure_counts(ordered))


def title(results: Row) -> str:
    """Return the title of the table of a set."""
    cell = "cell and positions" if results["cell"] else "positions"
    words = SETS[results["set"]].words
    return f"{results['set']}: {len(results['structures'])} {words}, {cell}, {results['calculator']}"


def of_all_sets(found: Sequence[Row]) -> list[Row]:
    """Return the rows over all sets, with statistics."""
    cap = found[0]["cap"]
    rows = pooled([results["rows"] for results in found])
    return [row | more for row, more in zip(rows, summarized(rows, cap), strict=True)]


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    return (
        "Force calls, counted at the calculator, until no row of forces, and of the cell gradient where the "
        f"cell relaxes, is above {results['fmax']:g} eV/A: the calculator ends a run at the first such call, "
        f"the same for all. A run that failed is scored at the cap of {results['cap']}. In parentheses: 95 % "
        "bootstrap intervals over the structures. Lower / same / higher: where the optimizer ended beside "
        f"the default, same within {SAME:g} meV/atom, of the structures for which both converged. ≤ 1 and "
        "≤ 10 meV: part of the structures that ended that near, per atom, to the lowest energy at which any "
        "optimizer of the table converged. ms a call: in the calculator / outside."
    )


def page(found: Sequence[Row]) -> Page:
    """Return the tables of the results of some sets, and one over all if there are several."""
    sheets = [sheet(title(results), results["rows"]) for results in found]
    structures = sum(len(results["structures"]) for results in found)
    if len(found) > 1:
        sheets.append(sheet(f"all sets: {structures} structures", of_all_sets(found)))
    heading = f"{structures} structures, {found[0]['calculator']}"
    commands = "`, `".join(results["command"] for results in found)
    return Page(heading, notes(found[0]), sheets, commands, versions_text(found[0]))


def as_markdown(results: Row) -> str:
    """Return the page of one set as Markdown."""
    return page([results]).markdown()
