"""Tables of results, made from the files of results alone, for Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Cell = Callable[[Row], str]
"""Returns the text of a cell."""
Columns = Callable[[list[Row]], dict[str, Cell]]
"""Returns the columns of a table with these rows: title and cell."""


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes
    ----------
    rows
        Cells of each row.
    failures
        A line for each optimizer that failed.
    left
        Columns that are aligned to the left.
    """

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    failures: Sequence[str] = ()
    left: Collection[str] = ("optimizer",)


@dataclass(frozen=True)
class Page:
    """The tables of a file of results.

    Attributes
    ----------
    notes
        What one must know to read the tables.
    failures
        A line for each run that failed, unless the sheets have them.
    footer
        Machine and versions.
    """

    title: str
    notes: str
    sheets: list[Sheet]
    command: str
    footer: str
    failures: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """Return the page as Markdown."""
        lines = [f"# {self.title}", "", self.notes, ""]
        for sheet in self.sheets:
            lines += [f"## {sheet.title}", "", *markdown(sheet.columns, sheet.rows, sheet.left), ""]
            lines += failure_list(sheet.failures)
        lines += failure_list(self.failures)
        return "\n".join([*lines, f"`{self.command}`", "", f"{self.footer}.", ""])


def failure_list(failures: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown list of failures, none if there are none."""
    return ["Why runs failed:", "", *(f"- {line}" for line in failures), ""] if failures else []


def markdown(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str] = ("optimizer",)
) -> list[str]:
    """Return the lines of a Markdown table; columns named in ``left`` are aligned to the left."""
    rules = ["---" if column in left else "---:" for column in columns]
    return [f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows)]


def versions_text(results: Row) -> str:
    """Return the versions of packages in words."""
    return ", ".join(f"{package} {version}" for package, version in results["versions"].items())


def number(digits: int, *path: str) -> Cell:
    """Return a cell with the number at ``path`` in a row, empty where it is None."""

    def cell(row: Row) -> str:
        value: Any = row
        for key in path:
            value = value[key]
        return "" if value is None else f"{value:.{digits}f}"

    return cell


def joined(*cells: Cell) -> Cell:
    """Return a cell with the text of several, separated by slashes."""
    return lambda row: " / ".join(cell(row) for cell in cells)


def compared(digits: int, other: str, key: str, sign: str = "") -> Cell:
    """Return a cell with a comparison and its interval, empty for the row of ``other`` itself."""

    def cell(row: Row) -> str:
        if row["optimizer"] == other:
            return ""
        return interval_text(row["beside"][other][key], digits, sign)

    return cell


def interval_text(numbers: Iterable[float], digits: int = 2, sign: str = "") -> str:
    """Return the text of a number and its interval, given as the number, the lowest and the highest."""
    value, low, high = numbers
    return f"{value:{sign}.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def shared_columns(rows: list[Row]) -> dict[str, Cell]:
    """Return the columns of all tables whose rows have statistics."""
    others = list(rows[0]["beside"])
    found: dict[str, Cell] = {
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


TIMES = {"ms a call": joined(number(1, "ms_calculator"), number(1, "ms_outside"))}


def sheets_by(results: Row, key: str, columns: Columns, title: Callable[[Row, float], str]) -> list[Sheet]:
    """Return a sheet for each value of ``key``, such as each rattle, fewest calls first.

    Parameters
    ----------
    title
        Returns the title of a sheet, from the results and the value.
    """
    sheets = []
    for value in dict.fromkeys(row[key] for row in results["rows"]):
        rows = [row for row in results["rows"] if row[key] == value]
        cells = columns(rows)
        ordered = sorted(rows, key=lambda row: (row["mean"], row["optimizer"]))
        body = [[cell(row) for cell in cells.values()] for row in ordered]
        sheets.append(Sheet(title(results, value), list(cells), body, failure_counts(rows)))
    return sheets


def statistics_page(
    results: Row, subject: str, notes: str, key: str, columns: Columns, title: Callable[[Row, float], str]
) -> Page:
    """Return all tables of a benchmark whose rows have statistics.

    Parameters
    ----------
    subject
        What is relaxed, without the number of structures.
    key, columns, title
        As in :func:`sheets_by`.
    """
    heading = f"{len(results['structures'])} {subject}"
    sheets = sheets_by(results, key, columns, title)
    return Page(heading, notes, sheets, results["command"], versions_text(results))


def failure_counts(rows: Sequence[Row]) -> list[str]:
    """Return a line for each optimizer that failed: why, and how often."""
    return [
        f"{row['optimizer']}: " + ", ".join(f"{why} {n}" for why, n in row["failures"].items())
        for row in rows
        if row["failures"]
    ]


def rattle_text(rattle: float) -> str:
    """Return in words what ``rattle`` (A) does to the starts."""
    return f"starts rattled by {rattle:g} A" if rattle else "starts as they are"
