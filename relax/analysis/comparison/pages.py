"""The tables of a comparison in words, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from relax.analysis.comparison import profiles
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.names import is_foreign, read_settings, resolved
from relax.analysis.comparison.results import over_draws
from relax.analysis.comparison.tables import (
    TIMES,
    Cell,
    Page,
    Sheet,
    interval_text,
    joined,
    number,
    rattle_text,
    versions_text,
)

__all__ = ["draw", "page"]

MOST_REASONS = 20
"""Number of runs whose reason for failing is given."""


def columns(first: str) -> dict[str, Cell]:
    """Return the columns of a table whose rows are compared with ``first``: title and cell."""
    return {
        "rule": lambda row: str(row["optimizer"]),
        "mean calls": number(1, "mean"),
        "median": number(1, "median"),
        "failed": number(0, "failed"),
        f"of {first}'s calls": ratio,
        "≤ 1 / 10 meV, %": joined(number(0, "within_1"), number(0, "within_10")),
    } | TIMES


def ratio(row: Json) -> str:
    """Return the text of mean calls as a multiple of those of the first, with the interval."""
    if row["calls"] is None:
        return ""
    value, low, _ = row["calls"]
    return f"{value:.2f}" if low is None else interval_text(row["calls"])


def of_rattles(results: Json) -> dict[str, list[Json]]:
    """Return the statistics of each table by its title."""
    found: dict[str, list[Json]] = {}
    for row in results["tables"]:
        found.setdefault(title(results, row["rattle"], row["draws"]), []).append(row)
    return found


def title(results: Json, rattle: float, draws: int) -> str:
    """Return the title of a table."""
    count = len(results["structures"])
    several = f", {draws} draws each" if draws > 1 else ""
    return f"{count} structure{'s' if count > 1 else ''}, {rattle_text(rattle)}{several}"


def sheet(words: str, rows: Sequence[Json]) -> Sheet:
    """Return a table, fewest calls first."""
    cells = columns(rows[0]["optimizer"])
    ordered = sorted(rows, key=lambda row: (row["mean"], row["optimizer"]))
    body = [[cell(row) for cell in cells.values()] for row in ordered]
    return Sheet(words, list(cells), body, left=("rule",))


def failures(results: Json) -> list[str]:
    """Return a line for each run that was asked for and failed: which, and why."""
    starts, found = [tuple(start) for start in results["starts"]], []
    for row in results["rows"]:
        if (row["rattle"], row["draw"]) not in starts or row["optimizer"] not in results["names"]:
            continue
        start = f", rattled by {row['rattle']:g} A" if row["rattle"] else ""
        start += f", draw {row['draw']}" if row["draw"] else ""
        for name, status in zip(results["structures"], row["status"], strict=True):
            if status != "converged":
                found.append(f"{row['optimizer']}, {name}{start}: {status}: {row['reasons'].get(name, '')}")
    more = len(found) - MOST_REASONS
    return found if more <= 0 else [*found[:MOST_REASONS], f"and {more} more"]


def notes(results: Json) -> str:
    """Return what one must know to read the tables."""
    rows = "force on an atom" + (" and no row of the cell gradient" if any(results["cells"]) else "")
    stop = (
        "the calculator ends a run at the first such call, the same for all"
        if results["stop"] == "calculator"
        else "each minimizer ends its run itself"
    )
    text = (
        f"Force calls, counted at the calculator, until no {rows} is above {results['fmax']:g} eV/A; {stop}. "
        f"A run that failed counts as {results['cap']} calls. In parentheses: 95 % intervals, bootstrapped "
        "over the structures. ≤ 1 / 10 meV: part of the runs that ended that near, per atom, to the lowest "
        "end of any run of the structure. ms a call: in the calculator / outside."
    )
    alone = [name for name in results["names"] if without_metric(name)]
    words = " and ".join(f"{name}{',' if ':' in name else ':'}metric=true" for name in alone)
    run = "runs" if len(alone) == 1 else "run"
    more = f" {' and '.join(alone)} {run} without the preconditioner; with it, as in relax run: {words}."
    return text + (more if alone else "")


def without_metric(name: str) -> bool:
    """Whether a name means a rule alone that has a preconditioner unless one asks for none."""
    name = resolved(name)
    if is_foreign(name):
        return False
    named, settings = read_settings(name)
    return named.rule_class.default_metric and settings["metric"] is False and "metric" not in name


def page(results: Json) -> Page:
    """Return all tables, and why runs failed."""
    count = len(results["structures"])
    free = "atoms and cell" if any(results["cells"]) else "atoms"
    heading = f"{count} structure{'s' if count > 1 else ''}, {free}, {results['calculator']}"
    sheets = [sheet(words, rows) for words, rows in of_rattles(results).items()]
    return Page(heading, notes(results), sheets, command(results), versions_text(results), failures(results))


def command(results: Json) -> str:
    """Return the options that make these results."""
    rattles = "".join(f" --rattle {rattle:g}" for rattle in dict.fromkeys(r for r, _ in results["starts"]))
    draws = 1 + max(draw for _, draw in results["starts"])
    words = [f"--calculator {results['calculator']}", f"--rules {','.join(results['names'])}"]
    words += ["--cell"] if any(results["cells"]) else []
    words += [f"--fmax {results['fmax']:g} --cap {results['cap']} --stop {results['stop']}"]
    return f"relax compare FILE... {' '.join(words)}{rattles} --draws {draws} --seed {results['seed']}"


def draw(results: Json, path: Path) -> None:
    """Write performance profiles, a panel for each rattle, to ``path``.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    panels: Mapping[str, list[Json]] = {
        words: [
            row
            for name in dict.fromkeys(each["optimizer"] for each in rows)
            if (row := over_draws(results["rows"], rows[0]["rattle"], range(rows[0]["draws"]), name))
        ]
        for words, rows in of_rattles(results).items()
    }
    whole = "the runs" if any(row["draws"] > 1 for row in results["tables"]) else "the structures"
    profiles.draw(panels, path, whole, [path.suffix])
