"""The table of LJ38, with published figures for comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from relax.analysis.comparison.tables import failure_counts, failure_list, markdown, versions_text

COLUMNS = (
    "optimizer", "mean", "median", "min", "max", "failed", "evaporated", "mean energy",
    "published mean", "published min", "published max", "published for",
)  # fmt: skip
PUBLISHED = Path(__file__).with_name("published.json")


LEFT = ("optimizer", "published", "published for")
"""Columns that are aligned to the left."""


class Entry(NamedTuple):
    """A published row, and the names of our optimizers to compare it with."""

    name: str
    mean: int
    least: int
    most: int
    failed: int | None
    ours: list[str]


def published() -> Iterator[tuple[str, Entry]]:
    """Yield the source and the entries of each published row."""
    for table in json.loads(PUBLISHED.read_text())["lj38"].values():
        for row in table["rows"]:
            yield table["source"], Entry(*row)


def table_rows(results: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table, a row for each optimizer, fewest calls first."""
    theirs = {name: entry for _, entry in published() for name in entry.ours}
    rows = []
    for row in sorted(results["rows"], key=lambda row: (row["mean"], row["optimizer"])):
        energy = "" if row["mean_energy"] is None else f"{row['mean_energy']:.2f}"
        cells = [row["optimizer"], f"{row['mean']:.1f}", f"{row['median']:g}"]
        cells += [str(row[key]) for key in ("min", "max", "failed", "evaporated")]
        entry = theirs.get(row["optimizer"])
        figures = [str(entry.mean), str(entry.least), str(entry.most), entry.name] if entry else [""] * 4
        rows.append([*cells, energy, *figures])
    return rows


def as_markdown(results: dict[str, Any]) -> str:
    """Return the whole page: the protocol, the table, why runs failed, and other published rows."""
    protocol = results["protocol"]
    origin = f"the file {results['start']}" if results["start"] else f"seed {results['seed']}"
    lines = [
        f"# LJ38: force calls of {results['n']} random clusters",
        "",
        f"Starts: {origin} (sha256 {results['starts_sha256'][:16]}). A run stops when the L2 norm of all "
        f"forces is at most {protocol['stop']:g}; at most {protocol['cap']} force calls, counted at the "
        f"calculator. A run that failed, or ended as a cluster that is no longer bound (bonds up to "
        f"{protocol['bond']:g}), is scored at the cap; mean energies are over the others. "
        f"{versions_text(results)}.",
        "",
        *markdown(COLUMNS, table_rows(results), LEFT),
        "",
        *failure_list(failure_counts(sorted(results["rows"], key=lambda row: row["optimizer"]))),
    ]
    ran = {row["optimizer"] for row in results["rows"]}
    others = [entry for _, entry in published() if not ran & set(entry.ours)]
    if others:
        cells = [[e.name, *("" if n is None else str(n) for n in e[1:5])] for e in others]
        columns = ("published", "mean", "min", "max", "failed")
        lines += ["Published, and not run here:", "", *markdown(columns, cells, LEFT), ""]
    sources = dict.fromkeys(source for source, _ in published())
    return "\n".join([*lines, "Published figures: " + "; ".join(sources) + ".", ""])
