"""The tables of the page of benchmarks: beside table 3 of the paper, and by grains as its figure 6."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean

from benchmarks.alloy import tables
from benchmarks.alloy.boxes import LATTICE
from benchmarks.alloy.methods import LAMMPS
from benchmarks.alloy.tables import Boxes, lowest
from relax.analysis.comparison.minimizers.names import DEFAULT
from relax.analysis.comparison.tables import Row, markdown

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
SAME = 0.05
"""Energies that differ by less (meV/atom) count as the same."""

COLUMNS = (
    "optimizer", "boxes", "failed", "force calls", "above the lowest, meV/atom", "lowest on",
    "dislocation segments", "length, nm", "fcc, %", "outside the calculator, %",
    "paper: above, meV/atom", "paper: segments", "paper: length, nm",
)  # fmt: skip
WORDS = ("optimizer",)


def beside_paper(results: Row) -> str:
    """Return means of each optimizer on the boxes of the size with the most runs, beside the paper's."""
    found = of_size(results, main_size(results))
    ran = [row for rows in found.values() for row in rows]
    names = sorted({row["optimizer"] for row in ran}, key=lambda name: (mean_above(found, name), name))
    return "\n".join(markdown(COLUMNS, [cells(found, name) for name in names], WORDS))


def by_grains(results: Row) -> str:
    """Return how far above the lowest each optimizer ends, by atoms and grains, mean of the seeds."""
    found = boxes(results)
    kinds = sorted({box[:2] for box in found})
    titles = [f"{size:,} atoms, {grains} grains of {diameter(size, grains):.1f} nm" for size, grains in kinds]
    names = sorted(
        {row["optimizer"] for rows in found.values() for row in rows},
        key=lambda name: (mean_above(found, name), name),
    )
    rows = []
    for name in names:
        each = [{box: one for box, one in found.items() if box[:2] == kind} for kind in kinds]
        rows.append([f"`{name}`", *(figure(above(some, name), 2) for some in each)])
    return "\n".join(markdown(("above the lowest, meV/atom", *titles), rows, ("above the lowest, meV/atom",)))


def verdict(results: Row) -> str:
    """Return what the rows say of the paper's claim and of the default, as a list."""
    found = boxes(results)
    lines, tried, won = [], 0, 0
    for rows in found.values():
        own = [row for row in rows if row["optimizer"].partition(":")[0] == "frankenstein"]
        tried, won = tried + bool(own), won + any(is_lowest(row, rows) for row in own)
    if tried:
        lines.append(
            f"- One of the forms of Frankenstein ends lowest, or within {SAME} meV/atom of it, on {won} of "
            f"{counted(tried)}."
        )
    beside = [beside_lammps(rows, "frankenstein") for rows in found.values()]
    if known := [value for value in beside if value is not None]:
        lower, higher = (sum(sign * value > SAME for value in known) for sign in (-1, 1))
        lines.append(
            f"- `frankenstein` beside the lowest end of LAMMPS's minimizers: lower on {lower} and higher on "
            f"{higher} of {counted(len(known))}, by {mean(known):+.2f} meV/atom on average."
        )
    ratios = [ratio for rows in found.values() if (ratio := calls_beside_lammps(rows)) is not None]
    if ratios:
        lines.append(
            f"- The default needs {mean(ratios):.2f} of the force calls of the best of LAMMPS's minimizers "
            f"on average of {counted(len(ratios))}, {min(ratios):.2f} to {max(ratios):.2f}."
        )
    return "\n".join(lines)


def boxes(results: Row) -> Boxes:
    """Return the rows of each box on which both an optimizer of ours and one of LAMMPS have run."""
    found = tables.boxes(results)
    theirs = {box: {row["optimizer"] in LAMMPS for row in rows} for box, rows in found.items()}
    return {box: rows for box, rows in found.items() if len(theirs[box]) == 2}


def counted(boxes: int) -> str:
    """Return a number of boxes in words."""
    return f"{boxes} box" if boxes == 1 else f"{boxes} boxes"


def main_size(results: Row) -> int:
    """Return the size of the boxes with the most runs."""
    sizes = [box[0] for box, rows in boxes(results).items() for _ in rows]
    return max(dict.fromkeys(sizes), key=sizes.count)


def of_size(results: Row, size: int) -> Boxes:
    """Return the rows of each box of a size."""
    return {box: rows for box, rows in boxes(results).items() if box[0] == size}


def diameter(size: int, grains: int) -> float:
    """Return the diameter (nm) of a sphere with the volume of a grain."""
    volume = (LATTICE / 10) ** 3 * size / 4 / grains
    return float((6 * volume / math.pi) ** (1 / 3))


def own_rows(found: Boxes, name: str) -> list[tuple[Row, list[Row]]]:
    """Return the rows of an optimizer, each with all rows of its box."""
    return [(row, rows) for rows in found.values() for row in rows if row["optimizer"] == name]


def above_lowest(row: Row, rows: list[Row]) -> float:
    """Return how far (meV/atom) a run ended above the lowest of its box."""
    return 1e3 * (row["energy"] - lowest(rows)) / row["atoms"]


def is_lowest(row: Row, rows: list[Row]) -> bool:
    """Return whether a run that converged ended as low as any."""
    return row["status"] == "converged" and above_lowest(row, rows) < SAME


def above(found: Boxes, name: str) -> list[float]:
    """Return how far (meV/atom) the converged runs of an optimizer ended above the lowest of their boxes."""
    return [above_lowest(row, rows) for row, rows in own_rows(found, name) if row["status"] == "converged"]


def mean_above(found: Boxes, name: str) -> float:
    """Return the mean of :func:`above`, infinity where none converged."""
    values = above(found, name)
    return mean(values) if values else float("inf")


def figure(values: Iterable[float], digits: int) -> str:
    """Return the mean of some values as text, empty where there are none."""
    known = list(values)
    return f"{mean(known):.{digits}f}" if known else ""


def cells(found: Boxes, name: str) -> list[str]:
    """Return the cells of an optimizer."""
    own = own_rows(found, name)
    rows = [row for row, _ in own]
    converged = [row for row in rows if row["status"] == "converged"]

    def known(key: str, factor: float = 1.0) -> list[float]:
        return [factor * row[key] for row in converged if row[key] is not None]

    paper = next((row for row in PUBLISHED["rows"] if row["optimizer"] == name), None)
    share = [
        100 * row["seconds_outside"] / (row["seconds_outside"] + row["seconds_calculator"]) for row in rows
    ]
    beside = ["", "", ""]
    if paper is not None:
        in_meV = 1e3 * paper["above_eV"] / PUBLISHED["atoms"]
        beside = [f"{in_meV:.2f}", f"{paper['segments']:,}", f"{paper['length_nm']:,}"]
    return [
        f"`{name}`",
        f"{len(rows)}",
        f"{len(rows) - len(converged)}",
        figure((row["calls"] for row in rows), 0),
        figure(above(found, name), 2),
        f"{sum(is_lowest(row, others) for row, others in own)}",
        figure(known("segments"), 1),
        figure(known("length"), 1),
        figure(known("fcc", 100), 1),
        figure(share, 0),
        *beside,
    ]


def of_lammps(rows: list[Row], value: Callable[[Row], float]) -> float | None:
    """Return the smallest ``value`` of the converged runs of LAMMPS's minimizers on a box, if any is."""
    return min(
        (value(row) for row in rows if row["optimizer"] in LAMMPS and row["status"] == "converged"),
        default=None,
    )


def beside_lammps(rows: list[Row], name: str) -> float | None:
    """Return by how much (meV/atom) an optimizer ended above the lowest end of LAMMPS's minimizers."""
    row = next((row for row in rows if row["optimizer"] == name and row["status"] == "converged"), None)
    other = of_lammps(rows, lambda row: float(row["energy"]))
    return None if row is None or other is None else 1e3 * float(row["energy"] - other) / row["atoms"]


def calls_beside_lammps(rows: list[Row]) -> float | None:
    """Return the default's force calls over the fewest of LAMMPS's minimizers on a box."""
    row = next((row for row in rows if row["optimizer"] == DEFAULT and row["status"] == "converged"), None)
    other = of_lammps(rows, lambda row: float(row["calls"]))
    return None if row is None or other is None else row["calls"] / other
