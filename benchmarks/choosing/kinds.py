"""The columns of each kind of structure, from the files of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.alloy.summary import main_size, of_size, own_rows
from benchmarks.choosing.columns import Column, Measured
from benchmarks.choosing.names import canonical
from benchmarks.disturbed.calculator import Disturbance
from benchmarks.profile.sets import Set
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.statistics import capped_calls, excess, lowest_energies

NEAR = 10.0
"""How near to the lowest energy an end counts as there, meV/atom."""


def calls_cell(each: np.ndarray, failed: int) -> Measured:
    """Return a cell of force calls (S,), where failures count as the cap."""
    mean = f"{each.mean():.1f}" if len(each) > 1 else f"{each[0]:.0f}"
    return Measured(mean + (f" ({failed})" if failed else ""), each, failed)


def calls(kind: str, one: Set, unit: str = "") -> Column:
    """Return the column of force calls of a set."""
    cells = {name: calls_cell(capped_calls(row, one.cap), row["failed"]) for name, row in one.rows.items()}
    return Column(kind, one.structures, cells, unit)


def ends(kind: str, one: Set, unit: str = ", %") -> Column:
    """Return the column of the share of ends near the lowest of all rows of a set, in percent."""
    lowest = lowest_energies(list(one.rows.values()))
    cells = {
        name: Measured(f"{row['within_10']:.0f}", 100.0 * (excess(row, lowest) > NEAR), row["failed"])
        for name, row in one.rows.items()
    }
    return Column(kind, one.structures, cells, unit)


def clusters(results: Json) -> Column:
    """Return the column of force calls of LJ38."""
    return lj38(results, "", lambda row, each: calls_cell(each, row["failed"]))


def cluster_energies(results: Json) -> Column:
    """Return the column of mean energies of LJ38, where a run held together."""

    def cell(row: Json, each: np.ndarray) -> Measured | None:
        energies = np.array(row["energies"], dtype=float)
        energies[row["failed_clusters"]] = np.nan
        failed = f" ({row['failed']})" if row["failed"] else ""
        if row["mean_energy"] is None:
            return None
        return Measured(f"{row['mean_energy']:.2f}{failed}", energies, row["failed"])

    return lj38(results, ": mean energy, epsilon", cell)


def lj38(results: Json, unit: str, cell: Callable[[Json, np.ndarray], Measured | None]) -> Column:
    """Return a column of LJ38; ``cell`` gets a row and its force calls, with failures at the cap."""
    cells = {}
    for row in results["rows"]:
        each = np.array(row["calls"], dtype=float)
        each[row["failed_clusters"]] = results["protocol"]["cap"]
        found = cell(row, each)
        if found is not None:
            cells[canonical(row["optimizer"])] = found
    return Column("LJ38 clusters", results["n"], cells, unit)


def metals(results: Json) -> Iterator[Column]:
    """Yield a column of force calls for each size of crystals of copper."""
    for atoms in dict.fromkeys(row["atoms"] for row in results["rows"]):
        cells = {}
        for row in results["rows"]:
            if row["atoms"] == atoms:
                good = row["status"] == "converged"
                each = np.array([row["calls"] if good else results["cap"]], dtype=float)
                cells[row["optimizer"]] = calls_cell(each, int(not good))
        yield Column(f"copper, {atoms:,} atoms", 1, cells)


def polycrystals(results: Json) -> Column:
    """Return the column of force calls of the alloy, of the boxes of the size with the most runs.

    Optimizers that did not run on all of them are left out: single boxes differ too much.
    """
    size = main_size(results)
    boxes, cells = of_size(results, size), {}
    for name in dict.fromkeys(row["optimizer"] for row in results["rows"]):
        own = [row for row, _ in own_rows(boxes, name)]
        if len(own) == len(boxes):
            good = np.array([row["status"] == "converged" for row in own])
            each = np.where(good, [float(row["calls"]) for row in own], results["cap"])
            cells[name] = calls_cell(each, int((~good).sum()))
    return Column(f"polycrystals of {size:,} atoms", len(boxes), cells)


def disturbed(results: Json, system: str, how: Disturbance) -> Column:
    """Return the column of force calls of a system whose forces are disturbed."""
    cells = {
        row["optimizer"]: calls_cell(np.array(row["calls"], dtype=float), row["failed"])
        for row in results["rows"]
        if (row["kind"], row["noise"], row["curl"]) == (system, how.noise, how.curl)
    }
    return Column(how.words, results["n"], cells)
