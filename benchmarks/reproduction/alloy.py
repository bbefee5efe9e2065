"""Verdicts on the claims about the alloy: Frankenstein beside the minimizers of LAMMPS, box by box."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.reproduction.verdicts import Claim, Found, Results

Row = dict[str, Any]

OURS = "frankenstein"
THEIRS = ("lammps:fire", "lammps:cg", "lammps:hftn")
"""The minimizers of the paper's table."""


def least(quantity: str, unit: str) -> Callable[[Results, Claim], Found]:
    """Return the verdict of the claim that Frankenstein ends with the least of ``quantity``."""

    def judge(results: Results, claim: Claim) -> Found:
        if not results.has("alloy"):
            return Found("", "not measured yet: smaller boxes of the same alloy take hours")
        boxes = boxes_of(results.file("alloy")["rows"], quantity)
        won = [box for box, rows in boxes.items() if min(rows, key=rows.__getitem__) == OURS]
        parts = [
            f"{atoms:,} atoms, {grains} grains: "
            + ", ".join(f"`{name}` {value - base:.4g}" for name, value in sorted(rows.items()))
            for (atoms, grains, _), rows in sorted(boxes.items())
            for base in [min(rows.values()) if quantity == "energy" else 0.0]
        ]
        here = f"{unit}: " + "; ".join(parts)
        if not boxes:
            return Found(
                "", "not measured yet: no box has a run of Frankenstein and one of LAMMPS that converged"
            )
        said = f"in {len(won)} of {len(boxes)} boxes, far smaller than the paper's, changed for atoms"
        return Found(
            here, f"{'reproduced' if len(won) == len(boxes) else 'partly' if won else 'not'}: {said}"
        )

    return judge


def boxes_of(rows: list[Row], quantity: str) -> dict[tuple[int, int, int], dict[str, float]]:
    """Return ``quantity`` by optimizer, of each box where Frankenstein and one of LAMMPS converged."""
    found: dict[tuple[int, int, int], dict[str, float]] = {}
    for row in rows:
        if row["optimizer"] in (OURS, *THEIRS) and row["status"] == "converged" and row[quantity] is not None:
            found.setdefault((row["size"], row["grains"], row["seed"]), {})[row["optimizer"]] = row[quantity]
    return {box: values for box, values in found.items() if OURS in values and len(values) > 1}


ALLOY: dict[str, Callable[[Results, Claim], Found]] = {
    "alloy_energy": least("energy", "above the lowest, eV"),
    "alloy_segments": least("segments", "segments"),
    "alloy_length": least("length", "nm"),
    "alloy_grains": least("energy", "above the lowest, eV"),
}
