"""The page of many runs: how they ended, the spread of their numbers, and the structures."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms

from relax.analysis.report.drawn import STEP, elements, integers, shown
from relax.analysis.report.packing import packed, rounded
from relax.analysis.report.reading.sources import Results, drawable
from relax.analysis.report.reading.thinning import Thinned
from relax.analysis.report.spread import histogram
from relax.io.overview.summary import Summary
from relax.io.overview.totals import Totals

__all__ = ["FULL", "MOST_ATOMS", "many_page"]

FULL = 5000
"""Structures up to which each has a row."""

MOST_ATOMS = 250_000
"""Atoms of all structures together that are drawn, before and after."""

Json = dict[str, Any]
Watch: TypeAlias = Callable[[Iterable[Any], int | None, str], Iterator[Any]]


def many_page(results: Results, limit: int, watch: Watch) -> tuple[Json, dict[str, str], list[str], Totals]:
    """Return the data of the page, the parts to unpack, what was left out in words, and the counts.

    Parameters
    ----------
    results
        The results.
    limit
        Structures up to which each has a row.  Of more, those that have not converged and a sample of the
        others have one, as many together.
    watch
        Shows how far a loop over items is, given how many there are and what they are.
    """
    table, totals = _Table(limit), Totals()
    for summary in watch(results.summaries(), results.total(), "structures"):
        totals.add(summary)
        totals.shown += 1  # its line then says nothing of that
        table.add(summary)
    rows = table.rows()
    drawn, missing = _structures(results, _to_draw(rows), watch)
    notes = [*table.notes(rows), *results.faults]
    if len(drawn) < len(rows):
        notes.append(
            f"{len(drawn):,} of the {len(rows):,} structures in the table are drawn, those that did not "
            f"converge first: together they have at most {MOST_ATOMS:,} atoms."
        )
    if missing:
        notes.append(
            f"{missing:,} of them {'is' if missing == 1 else 'are'} drawn without the start: its file is not "
            "found, or has changed."
        )
    places = {summary.frame: k for k, summary in enumerate(rows)}
    order = sorted(drawn, key=places.__getitem__)
    meta: Json = {
        "kind": "many",
        "total": sum(totals.statuses.values()),
        "statuses": totals.statuses.most_common(),
        "words": totals.line(),
        "histograms": table.histograms(),
        "settings": table.settings(),
        "elements": elements(number for one in drawn.values() for number in one["z"]),
        "scale": STEP,
        "columns": COLUMNS,
        "notes": notes,
    }
    at = {place: k for k, place in enumerate(order)}
    parts = {
        "rows": packed([*_cells(summary), at.get(summary.frame)] for summary in rows),
        "structures": packed(drawn[place] for place in order),
    }
    return meta, parts, notes, totals


COLUMNS = [
    "name", "formula", "atoms", "status", "calls", "energy", "change", "volume", "fmax", "before", "after",
    "reason", "curvature", "drawn",
]  # fmt: skip
"""The cells of a row: energy, eV/atom, and its change, meV/atom; volume change, %; fmax, eV/A; space groups;
lowest curvature, eV/A^2; place among the structures that are drawn."""


def _cells(summary: Summary) -> list[Any]:
    natoms, calls = max(summary.natoms, 1), summary.number("relax_force_calls")
    converged = summary.status == "converged"
    return [
        summary.source, summary.formula, summary.natoms, summary.status or "-",
        int(calls) if math.isfinite(calls) else None, rounded(summary.energy / natoms, 6),
        rounded(_change(summary), 3), rounded(_swelling(summary), 3), rounded(summary.fmax, 5),
        summary.text("relax_spacegroup_first"), summary.text("relax_spacegroup_last"),
        "" if converged else summary.text("relax_reason"), rounded(summary.number("relax_curvature"), 4),
    ]  # fmt: skip


def _change(summary: Summary) -> float:
    """Return the change of the energy, meV/atom."""
    return 1e3 * (summary.energy - summary.number("relax_energy_first")) / max(summary.natoms, 1)


def _swelling(summary: Summary) -> float:
    """Return the change of the volume, %."""
    return 100 * (summary.number("relax_volume_ratio") - 1)


class _Table:
    """Rows of at most ``limit`` structures, and some numbers of all."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.all: list[tuple[int, Summary]] = []
        self.failed: Thinned[tuple[int, Summary]] = Thinned(limit // 2)
        self.others: Thinned[tuple[int, Summary]] = Thinned(limit // 2)
        self.numbers = {name: array("d") for name in ("calls", "change", "volume")}
        self.seen = 0
        self._settings: set[tuple[str, str]] = set()

    def add(self, summary: Summary) -> None:
        """Count a structure."""
        part = self.others if summary.status in ("", "converged", "waiting") else self.failed
        part.add((self.seen, summary))
        if self.seen <= self.limit:
            self.all.append((self.seen, summary))
        elif self.all:
            self.all = []
        self.seen += 1
        values = summary.number("relax_force_calls"), _change(summary), _swelling(summary)
        for numbers, value in zip(self.numbers.values(), values, strict=True):
            if math.isfinite(value):
                numbers.append(value)
        if len(self._settings) < 2:
            self._settings.add((summary.text("relax_rule"), summary.text("relax_options")))

    def rows(self) -> list[Summary]:
        """Return the structures that have a row, in their order."""
        found = self.all if self.seen <= self.limit else [*self.failed.items, *self.others.items]
        return [summary for _, summary in sorted(found, key=lambda each: each[0])]

    def notes(self, rows: Sequence[Summary]) -> list[str]:
        """Return what has no row, in words."""
        if self.seen <= self.limit:
            return []
        counts = [
            f"{len(part.items):,} of the {part.seen:,} {words}"
            for part, words in ((self.failed, "that did not converge"), (self.others, "others"))
            if part.seen
        ]
        return [
            f"There are {self.seen:,} structures. The table has {' and '.join(counts)}, evenly spaced; "
            "counts and histograms are of all."
        ]

    def settings(self) -> list[str]:
        """Return the rule and the options of the runs, where all have the same."""
        return [text for text in min(self._settings, default=()) if text] if len(self._settings) == 1 else []

    def histograms(self) -> dict[str, Json]:
        """Return the histograms by what they are of."""
        return {name: histogram(np.array(values), name == "calls") for name, values in self.numbers.items()}


def _to_draw(rows: Sequence[Summary]) -> dict[int, Summary]:
    """Return the structures that are drawn by their numbers: within the limit, failed ones first."""
    found, atoms = {}, 0
    for summary in sorted(rows, key=lambda each: each.status in ("", "converged", "waiting")):
        if (atoms := atoms + summary.natoms) > MOST_ATOMS:
            break
        found[summary.frame] = summary
    return found


def _structures(results: Results, wanted: dict[int, Summary], watch: Watch) -> tuple[dict[int, Json], int]:
    """Return what is drawn of each structure, and of how many the start is not found."""
    drawn: dict[int, Json] = {}
    positions: dict[int, np.ndarray] = {}
    for place, atoms in watch(results.ends(wanted.keys()), len(wanted), "structures"):
        if drawable(atoms):
            positions[place] = atoms.positions
            drawn[place] = shown(atoms) | {"x": integers(atoms.positions)} | _mode(atoms)
    there = {place: summary for place, summary in wanted.items() if place in drawn}
    missing = set(there)
    for place, atoms in watch(results.starts(there), len(there), "structures"):
        if drawable(atoms) and atoms.numbers.tolist() == drawn[place]["z"]:
            drawn[place] |= _start(atoms, positions[place])
            missing.discard(place)
    return drawn, len(missing)


def _start(atoms: Atoms, positions: np.ndarray) -> Json:
    """Return the start of a structure: how far atoms are from where they ended, which takes less room."""
    found: Json = {"dx": integers(atoms.positions - positions)}
    if cell := shown(atoms).get("cell"):
        found["cell0"] = cell
    return found


def _mode(atoms: Atoms) -> Json:
    """Return the direction of the lowest curvature where it is known; its longest row is 1."""
    mode = atoms.arrays.get("relax_mode")
    if mode is None or not np.isfinite(mode).all() or not (longest := np.linalg.norm(mode, axis=1).max()):
        return {}
    return {"mode": integers(mode / longest)}
