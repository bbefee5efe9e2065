"""The table of an LJ38 run, made from its JSON alone, with the published figures beside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = (
    "optimizer", "mean", "median", "min", "max", "failed", "evaporated", "mean energy",
    "published mean", "published min", "published max", "published for",
)  # fmt: skip
PUBLISHED = Path(__file__).with_name("published.json")


class Entry(NamedTuple):
    """A published row."""

    name: str
    mean: int
    least: int
    most: int
    failed: int | None
    ours: list[str]  # names of the optimizers it stands beside


def published() -> Iterator[tuple[str, Entry]]:
    """Yield each published row, after where it was published."""
    for table in json.loads(PUBLISHED.read_text())["lj38"].values():
        for row in table["rows"]:
            yield table["source"], Entry(*row)


def table_rows(results: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table, one row for each optimizer, fewest calls first."""
    beside = {name: entry for _, entry in published() for name in entry.ours}
    rows = []
    for row in sorted(results["rows"], key=lambda row: (row["mean"], row["optimizer"])):
        energy = "" if row["mean_energy"] is None else f"{row['mean_energy']:.2f}"
        cells = [row["optimizer"], f"{row['mean']:.1f}", f"{row['median']:g}"]
        cells += [str(row[key]) for key in ("min", "max", "failed", "evaporated")]
        entry = beside.get(row["optimizer"])
        theirs = [str(entry.mean), str(entry.least), str(entry.most), entry.name] if entry else [""] * 4
        rows.append([*cells, energy, *theirs])
    return rows


def markdown(columns: tuple[str, ...], rows: list[list[str]], words: tuple[str, ...]) -> list[str]:
    """Return the lines of a Markdown table; columns named in ``words`` are set to the left."""
    rules = ["---" if column in words else "---:" for column in columns]
    return [f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows)]


def as_markdown(results: dict[str, Any]) -> str:
    """Return the whole page: what was run, the table, why runs failed, and published rows not run here."""
    protocol, versions = results["protocol"], results["versions"]
    origin = f"the file {results['start']}" if results["start"] else f"seed {results['seed']}"
    lines = [
        f"# LJ38: force calls of {results['n']} random clusters",
        "",
        f"Starts: {origin} (sha256 {results['starts_sha256'][:16]}). A run stops when the L2 norm of all "
        f"forces is at most {protocol['stop']:g}; at most {protocol['cap']} force calls, counted at the "
        f"calculator. A run that failed, or ended as a cluster that is no longer bound (bonds up to "
        f"{protocol['bond']:g}), is scored at the cap; mean energies are over the others. "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
        + ".",
        "",
        *markdown(COLUMNS, table_rows(results), ("optimizer", "published for")),
    ]
    failures = [
        f"- {row['optimizer']}: " + ", ".join(f"{why} {n}" for why, n in row["failures"].items())
        for row in sorted(results["rows"], key=lambda row: row["optimizer"])
        if row["failures"]
    ]
    if failures:
        lines += ["", "Why runs failed:", "", *failures]
    ran = {row["optimizer"] for row in results["rows"]}
    others = [
        [
            entry.name,
            str(entry.mean),
            str(entry.least),
            str(entry.most),
            "" if entry.failed is None else str(entry.failed),
        ]
        for _, entry in published()
        if not ran & set(entry.ours)
    ]
    if others:
        columns = ("published", "mean", "min", "max", "failed")
        lines += ["", "Published, and not run here:", "", *markdown(columns, others, ("published",))]
    sources = dict.fromkeys(source for source, _ in published())
    return "\n".join([*lines, "", "Published figures: " + "; ".join(sources) + ".", ""])
