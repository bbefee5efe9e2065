"""What is measured here of each claim, and the verdict: functions of the files of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.reproduction.claims import Claim, published

VERDICTS = (
    "reproduced", "partly", "not", "cannot be tested here", "not measured yet", "out of scope",
)  # fmt: skip
"""The words that a verdict begins with."""

Row = dict[str, Any]


class Found(NamedTuple):
    """What is measured here, and what that says of a claim."""

    here: str
    verdict: str


class Results:
    """The files of results, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Any] = {}

    def file(self, name: str) -> Any:
        """Return a file of results."""
        if name not in self.files:
            self.files[name] = json.loads((self.folder / f"{name}.json").read_text())
        return self.files[name]

    def has(self, name: str) -> bool:
        """Return whether there is a file of results."""
        return (self.folder / f"{name}.json").exists()

    def row(self, name: str, **chosen: Any) -> Row:
        """Return the one row of a file with these values."""
        rows = self.file(name)["rows"]
        (row,) = (row for row in rows if all(row[key] == value for key, value in chosen.items()))
        return row

    def lj38(self, optimizer: str) -> Row:
        """Return the row of an optimizer for the clusters."""
        return self.row("lj38", optimizer=optimizer)


def spread(row: Row) -> str:
    """Return the calls of an optimizer for the clusters."""
    lost = f", {row['failed']} failed" if row["failed"] else ""
    middle = f"median {row['median']:.0f}, {row['min']} to {row['max']}"
    return f"`{row['optimizer']}` mean {row['mean']:.0f}, {middle}{lost}"


def frankenstein_calls(results: Results, claim: Claim) -> Found:
    """Compare the published forms, and ours, with the published figures."""
    ours, printed = results.lj38("frankenstein"), results.lj38("frankenstein:paper")
    package, n = results.lj38("frankenstein:package"), results.file("lj38")["n"]
    here = f"as printed {printed['failed']:,} of {n:,} do not end, authors' package {package['failed']:,}; "
    if printed["failed"] == 0 and printed["mean"] <= claim["printed"]["mean"]:
        return Found(here + spread(printed), "reproduced")
    if ours["mean"] > claim["printed"]["mean"]:
        return Found(here + spread(ours), "not: neither as printed nor changed for atoms")
    words = "partly: not as printed, with the step of 0.001 that the paper names; "
    return Found(here + spread(ours), words + "changed for atoms it needs fewer")


def fewest_calls(results: Results, claim: Claim) -> Found:
    """Compare Frankenstein with the algorithms of the table, and with L-BFGS, which is not in it."""
    ours, lbfgs = results.lj38("frankenstein"), results.lj38("lbfgs")
    others = [results.lj38(name) for name in ("ase:CG", "ase:BFGS", "ase:FIRE", "sgd")]
    here = "; ".join(f"`{row['optimizer']}` {row['mean']:.0f}" for row in (ours, *others, lbfgs))
    if any(row["mean"] < ours["mean"] for row in others):
        return Found(here, "not: another one of the table needs fewer")
    if lbfgs["mean"] < ours["mean"]:
        words = (
            "partly: changed for atoms it needs the fewest of these, but L-BFGS, which the table leaves out, "
        )
        return Found(here, words + "needs fewer still")
    return Found(here, "reproduced, changed for atoms")


def high_maximum(results: Results, claim: Claim) -> Found:
    """Compare how far the longest run is above the mean."""
    ours, beside = results.lj38("frankenstein"), results.lj38("ase:CG")
    ratios = [row["max"] / row["mean"] for row in (ours, beside)]
    there = claim["printed"]["max"] / claim["printed"]["mean"]
    here = f"the longest run has {ratios[0]:.1f} times the mean, of CG {ratios[1]:.1f} (paper: {there:.1f})"
    return Found(here, "reproduced, less so" if ratios[0] > ratios[1] else "not")


def global_minimum(results: Results, claim: Claim) -> Found:
    """Compare the mean energy of the ends with that of the global minimum."""
    ours, lowest = results.lj38("frankenstein"), published()["global_minimum_lj38"]
    here = f"mean energy of the ends {ours['mean_energy']:.2f} epsilon; the global minimum has {lowest:.2f}"
    if ours["mean_energy"] - lowest < 0.01:
        return Found(here, "reproduced")
    return Found(here, "not: a minimizer ends in a near minimum, of which there are a great many")


def baseline(name: str, otherwise: str) -> Callable[[Results, Claim], Found]:
    """Return the comparison of one of the other algorithms of the table."""

    def compare(results: Results, claim: Claim) -> Found:
        row = results.lj38(name)
        near = abs(row["mean"] / claim["printed"]["mean"] - 1) < 0.1 and row["failed"] == 0
        return Found(spread(row), "reproduced, within 10 %" if near else otherwise)

    return compare


CRYSTALS = {"LBFGS": "ase:LBFGS", "FIRE": "ase:FIRE", "Frankenstein": "frankenstein"}


def crystal_rows(results: Results, rattle: float) -> dict[str, Row]:
    """Return the rows of the table's optimizers for starts with this rattle."""
    return {
        name: results.row("crystals_mace_mini", optimizer=own, rattle=rattle)
        for name, own in CRYSTALS.items()
    }


def fails_least(results: Results, claim: Claim) -> Found:
    """Count the runs that failed, for both kinds of starts."""
    counts = {name: 0 for name in CRYSTALS}
    for rattle in (0.0, 0.05):
        for name, row in crystal_rows(results, rattle).items():
            counts[name] += row["failed"]
    runs = 2 * len(results.file("crystals_mace_mini")["structures"])
    here = f"of {runs} runs failed: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    why = "cannot be tested here: the crystals and the model may not be shipped; "
    least = counts["Frankenstein"] == min(counts.values())
    return Found(
        here, why + ("with a small model it fails least, as FIRE does" if least else "nor does it hold")
    )


def lower_energy(results: Results, claim: Claim) -> Found:
    """Compare the mean height above the lowest end, for both kinds of starts."""
    parts, order = [], True
    for rattle, words in ((0.0, "as they are"), (0.05, "rattled")):
        rows = crystal_rows(results, rattle)
        heights = {name: row["excess"] for name, row in rows.items()}
        order = order and heights["Frankenstein"] == min(heights.values())
        parts.append(f"{words} " + ", ".join(f"{name} {height:.1f}" for name, height in heights.items()))
    gain = results.row("crystals_mace_mini", optimizer="frankenstein", rattle=0.0)["beside"]["ase:FIRE"]
    low, high = gain["within_10"][1:]
    doubt = "the difference to FIRE is within the error for starts as they are" if low <= 0 <= high else ""
    here = "meV/atom above the lowest end: " + "; ".join(parts)
    if not order:
        return Found(
            here, "not: another one of the three ends lower, with a small model and a hundred crystals"
        )
    return Found(
        here, f"partly: the same order, with a small model and a hundred crystals; {doubt}".rstrip("; ")
    )


JUDGES: dict[str, Callable[[Results, Claim], Found]] = {
    judge.__name__: judge
    for judge in (
        frankenstein_calls, fewest_calls, high_maximum, global_minimum, fails_least, lower_energy,
    )
} | {
    "cg": baseline("ase:CG", "partly: fewer, with ASE's, where the figure is eOn's"),
    "bfgs": baseline("ase:BFGS", "partly: most take as many, but with ASE as it is now some fall apart"),
    "fire": baseline("ase:FIRE", "partly"),
    "steepest_descent": baseline("sgd", "not: more, with a step of 0.003; that of OptBench is not said"),
}  # fmt: skip
