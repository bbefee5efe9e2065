"""The tables of the benchmark of expensive calculators."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.expensive.parts import PARTS
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import failure_counts, failure_list, markdown, versions_text

__all__ = ["as_markdown", "overview", "whole_relaxations"]

NOTES = (
    "Force calls of the calculator that counts, until no force is above fmax; a run that failed counts "
    "as the cap.  direct: from the structure as it is; pre: from the minimum of the cheap calculator, "
    "whose calls do not count; prior: kriging with that calculator as prior, its calls not counted "
    "either.  ours, of its: mean calls of the first method with a prior over those of the row; over 2 more: "
    "on how many structures ours needs over two calls more.  Ends no higher: from how many starts ours ended "
    "within 1 meV of the other's end or below it, and the other of ours.  s a call: in the calculator that "
    "counts / outside, the cheap calculator included."
)

KRIGING_ALONE = (
    "Kriging alone: the same of direct:kriging, beside others that begin from the structure as it is."
)

BESIDE = (
    ("ours", ("ours, of its", "over 2 more", "ends no higher: ours / its")),
    ("alone", ("kriging alone, of its", "alone: over 2 more", "ends no higher: alone / its")),
)
"""Entries of a row that compare it with one of ours, and their columns."""

DRAWS = "Each structure is relaxed from {} starts, moved by 0.002 A, and its calls are the mean."


def as_markdown(results: Json) -> str:
    """Return the table of a part as Markdown."""
    part = PARTS[results["part"]]
    count = len(results["structures"]) // part.draws
    title = f"{count} {part.title}, {part.calculator}, fmax {results['fmax']:g} eV/A"
    rows = sorted(results["rows"], key=lambda row: row["mean"])
    notes, more = [NOTES], BESIDE[:1]
    if any("alone" in row for row in rows):
        notes, more = [*notes, KRIGING_ALONE], BESIDE
    if part.draws > 1:
        notes.append(DRAWS.format(part.draws))
    beside = [column for _, three in more for column in three]
    columns = ["method", "mean", "median", "max", "failed", *beside, "s a call"]
    cells = [
        [
            f"`{row['optimizer']}`",
            f"{row['mean']:.2f}",
            f"{row['median']:.1f}",
            f"{row['max']:g}",
            str(row["failed"]),
            *(cell for name, _ in more for cell in comparison(row.get(name))),
            f"{row['ms_calculator'] / 1e3:.3g} / {row['ms_outside'] / 1e3:.3g}",
        ]
        for row in rows
    ]
    lines = [f"# {title}", "", "  ".join(notes), "", *markdown(columns, cells, ("method",)), ""]
    lines += failure_list(failure_counts(rows))
    lines += [f"`{results['command']}`", "", f"{versions_text(results)}."]
    return "\n".join(lines) + "\n"


def comparison(beside: Json | None) -> list[str]:
    """Return the cells of a comparison with one of ours, empty where there is none."""
    if beside is None:
        return [""] * 3
    return [f"{beside['calls']:.2f}", str(beside["worse"]), " / ".join(map(str, beside["no_higher"]))]


def overview(parts: Sequence[Json]) -> list[str]:
    """Return the lines of a table of methods with a prior in several parts, and the best of other rules."""
    cells = []
    for results in parts:
        rows = results["rows"]
        begun = [row for row in rows if row["optimizer"].startswith("pre:")]
        begun = [row for row in begun if row["optimizer"] != "pre:kriging"]
        best = min(begun, key=lambda row: row["mean"], default=None)
        direct = next((row for row in rows if row["optimizer"] == "direct:default"), None)
        title = PARTS[results["part"]].title
        for row in rows:
            kind, _, name = row["optimizer"].partition(":")
            if kind != "prior":
                continue
            cells.append(
                [
                    f"{len(results['structures']) // results['draws']} {title}",
                    f"`{PARTS[results['part']].calculator.rpartition(':')[2]}`",
                    f"`{name}`",
                    f"{row['mean']:.2f}",
                    f"{row['max']:g}",
                    str(row["failed"]),
                    f"`{best['optimizer']}`" if best else "",
                    f"{best['mean']:.2f}" if best else "",
                    f"{row['mean'] / best['mean']:.2f}" if best else "",
                    f"{direct['mean']:.2f}" if direct else "",
                ]
            )
    columns = ("structures", "calculator", "prior", "calls", "most", "failed", "another after the cheap one",
               "its calls", "of its", "default, direct: calls")  # fmt: skip
    words = ("structures", "calculator", "prior", "another after the cheap one")
    return markdown(columns, cells, words)


def whole_relaxations(results: Json) -> list[str]:
    """Return the lines of a table of the calls and minutes of each method, for the only structure."""
    cells = [
        [
            f"`{row['optimizer']}`",
            f"{row['max']:g}",
            f"{(row['seconds_calculator'][0] + row['seconds_outside'][0]) / 60:.1f}",
        ]
        for row in sorted(results["rows"], key=lambda row: -row["mean"])
    ]
    return markdown(("method", "force calls", "minutes"), cells, ("method",))
