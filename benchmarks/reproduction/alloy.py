"""Verdicts on the claims about the alloy: Frankenstein beside the minimizers of LAMMPS, box by box."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from benchmarks.reproduction.verdicts import Claim, Found, Results

Row = dict[str, Any]

Boxes = dict[tuple[int, int, int], dict[str, float]]
"""A quantity by optimizer, by the atoms, grains and seed of a box."""

FORMS = {
    "frankenstein:granularity=component": "by component, as the paper has it,",
    "frankenstein": "by atom",
}
"""The forms of Frankenstein, and what they are called."""

THEIRS = ("lammps:fire", "lammps:cg", "lammps:hftn")
"""The minimizers of the paper's table."""

ENOUGH = 3
"""Boxes from which on a claim can be reproduced."""


def least(quantity: str, unit: str) -> Callable[[Results, Claim], Found]:
    """Return the verdict of the claim that Frankenstein ends with the least of ``quantity``."""

    def judge(results: Results, claim: Claim) -> Found:
        if not results.has("alloy"):
            return Found("", "not measured yet: smaller boxes of the same alloy take hours")
        boxes = boxes_of(results.file("alloy")["rows"], quantity)
        if not boxes:
            return Found(
                "", "not measured yet: no box has a run of Frankenstein and one of LAMMPS that converged"
            )
        parts = means(boxes, above_lowest=quantity == "energy")
        counts = {form: won_and_tried(form, boxes) for form in FORMS}
        said = [f"{FORMS[form]} in {won} of {tried} boxes" for form, (won, tried) in counts.items() if tried]
        whole = any(won == tried >= ENOUGH for won, tried in counts.values())
        word = "reproduced" if whole else "partly" if any(won for won, _ in counts.values()) else "not"
        return Found(
            f"{unit}: {'; '.join(parts)}", f"{word}: {', '.join(said)}, far smaller than the paper's"
        )

    return judge


def means(boxes: Boxes, above_lowest: bool) -> list[str]:
    """Return the means over the seeds in words, for each size and number of grains."""
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    for (atoms, grains, _), rows in sorted(boxes.items()):
        base = min(rows.values()) if above_lowest else 0.0
        values = {name: value - base for name, value in rows.items()}
        found.setdefault((atoms, grains), []).append(values)
    parts = []
    for (atoms, grains), each in found.items():
        names = sorted({name for values in each for name in values})
        own = {name: [values[name] for values in each if name in values] for name in names}
        words = ", ".join(f"`{name}` {mean(values):.4g}" for name, values in own.items())
        number = f", mean of {len(each)} boxes" if len(each) > 1 else ""
        parts.append(f"{atoms:,} atoms, {grains} grains{number}: {words}")
    return parts


def won_and_tried(form: str, boxes: Boxes) -> tuple[int, int]:
    """Return on how many boxes a form ended with no more than LAMMPS's minimizers, and on how many it ran."""
    beside = [
        (rows[form], min(value for name, value in rows.items() if name in THEIRS))
        for rows in boxes.values()
        if form in rows
    ]
    return sum(own <= best for own, best in beside), len(beside)


def boxes_of(rows: list[Row], quantity: str) -> Boxes:
    """Return ``quantity`` by optimizer, of each box where Frankenstein and one of LAMMPS converged."""
    found: Boxes = {}
    for row in rows:
        named = row["optimizer"] in (*FORMS, *THEIRS)
        if named and row["status"] == "converged" and row[quantity] is not None:
            found.setdefault((row["size"], row["grains"], row["seed"]), {})[row["optimizer"]] = row[quantity]
    return {box: values for box, values in found.items() if {*FORMS} & {*values} and {*THEIRS} & {*values}}


ALLOY: dict[str, Callable[[Results, Claim], Found]] = {
    "alloy_energy": least("energy", "above the lowest, eV"),
    "alloy_segments": least("segments", "segments"),
    "alloy_length": least("length", "nm"),
    "alloy_grains": least("energy", "above the lowest, eV"),
}
