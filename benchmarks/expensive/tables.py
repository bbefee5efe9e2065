"""The tables of the benchmark of expensive calculators."""

from __future__ import annotations

from typing import Any

from benchmarks.expensive.parts import PARTS
from relax.comparison.tables import failure_counts, failure_list, markdown, versions_text

__all__ = ["as_markdown"]

Json = dict[str, Any]

NOTES = (
    "Force calls of the calculator that counts, until no force is above fmax; a run that failed counts "
    "as the cap.  direct: from the structure as it is; pre: from the minimum of the cheap calculator, "
    "whose calls do not count; prior: kriging with that calculator as prior, its calls not counted "
    "either.  ours, of its: mean calls of the first method with a prior over those of the row.  Ends no"
    " higher: on how many structures ours ended within 1 meV of the other's end or below it, and the "
    "other of ours.  ms outside: beside the calculator that counts, for each of its calls; the cheap "
    "calculator included."
)


def as_markdown(results: Json) -> str:
    """Return the table of a part as Markdown."""
    part = PARTS[results["part"]]
    title = f"{len(results['structures'])} {part.title}, {part.calculator}, fmax {results['fmax']:g} eV/A"
    rows = sorted(results["rows"], key=lambda row: row["mean"])
    columns = ["method", "mean", "median", "max", "failed", "ours, of its", "ends no higher: ours / its",
               "ms outside"]  # fmt: skip
    cells = [
        [
            f"`{row['optimizer']}`",
            f"{row['mean']:.2f}",
            f"{row['median']:.1f}",
            str(row["max"]),
            str(row["failed"]),
            f"{row['ours']['calls']:.2f}" if "ours" in row else "",
            " / ".join(map(str, row["ours"]["no_higher"])) if "ours" in row else "",
            f"{row['ms_outside']:.0f}",
        ]
        for row in rows
    ]
    lines = [f"# {title}", "", NOTES, "", *markdown(columns, cells, ("method",)), ""]
    lines += failure_list(failure_counts(rows))
    lines += [f"`{results['command']}`", "", f"{versions_text(results)}."]
    return "\n".join(lines) + "\n"
