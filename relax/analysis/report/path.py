"""The page of one run: its path, its curves, and what it has changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from relax.analysis.report.changes import BONDED, LOOSE, bond_changes, changes, displacements
from relax.analysis.report.drawn import STEP, elements, integers, shown
from relax.analysis.report.packing import packed, rounded
from relax.analysis.report.reading.frames import Frame
from relax.analysis.report.reading.thinning import Thinned

__all__ = ["MOST_ATOMS", "MOST_POINTS", "path_page"]

MOST_ATOMS = 300_000
"""Atoms in all frames together that are drawn; where a path has more, frames are left out."""

MOST_POINTS = 20_000
"""Points of the curves."""

FORCES = 1000
"""Integers that stand for 1 eV/A."""

Json = dict[str, Any]


def path_page(frames: Iterable[Frame], by: str) -> tuple[Json, dict[str, str], list[str]]:
    """Return the data of the page, the parts to unpack, and what was left out, in words.

    Parameters
    ----------
    frames
        The path, one frame or more, which are taken one after the other.
    by
        The optimizer, where that is known.
    """
    kept: Thinned[Json] | None = None
    points: Thinned[list[float | None]] = Thinned(MOST_POINTS)
    first = last = None
    for last in frames:
        if kept is None:
            first, kept = last, Thinned(MOST_ATOMS // max(len(last.atoms), 1))
        kept.add(_drawn(last)) if kept.due else kept.skip()
        points.add(_point(last)) if points.due else points.skip()
    assert kept is not None
    assert first is not None
    assert last is not None
    if kept.items[-1]["frame"] != last.number:
        kept.items.append(_drawn(last))
        points.items.append(_point(last))
    far = displacements(first.atoms, last.atoms, last.positions)
    notes = _notes(kept, points, first.counted)
    meta: Json = {
        "kind": "path",
        "formula": str(first.atoms.get_chemical_formula("metal")),
        "atoms": len(first.atoms),
        "frames": points.seen,
        "calls": last.calls,
        "counted": first.counted,
        "optimizer": by,
        "changes": changes(first.atoms, last.atoms),
        "displacement": {
            "atom": int(far.argmax()) if len(far) else None,
            "largest": rounded(far.max(initial=0.0), 4),
            "rms": rounded(np.sqrt(np.mean(far**2)) if len(far) else 0.0, 4),
        },
        "strained": bool(np.abs(last.atoms.cell.array - first.atoms.cell.array).max() > 1e-9),
        "bonds": bond_changes(first.atoms, last.atoms, last.positions),
        "bonded": [BONDED, LOOSE],
        "elements": elements(first.atoms.numbers),
        "symbols": first.atoms.get_chemical_symbols(),
        "z": first.atoms.numbers.tolist(),
        "scale": STEP,
        "forceScale": FORCES,
        "columns": ["frame", "calls", "energy", "fmax", "smax", "step", "radius"],
        "notes": notes,
    }
    return meta, {"frames": packed(kept.items), "points": packed(points.items)}, notes


def _drawn(frame: Frame) -> Json:
    found = shown(frame.atoms)
    del found["z"]
    forces = integers(frame.atoms.get_forces(), FORCES)
    return found | {"frame": frame.number, "x": integers(frame.positions), "f": forces}


def _point(frame: Frame) -> list[float | None]:
    numbers = (frame.energy, 6), (frame.fmax, 6), (frame.smax, 5), (frame.step, 5), (frame.radius, 5)
    return [frame.number, frame.calls, *(rounded(value, digits) for value, digits in numbers)]


def _notes(kept: Thinned[Json], points: Thinned[Any], counted: bool) -> list[str]:
    notes = []
    if len(kept.items) < kept.seen:
        notes.append(f"{len(kept.items):,} of {kept.seen:,} frames are drawn, evenly spaced.")
    if len(points.items) < points.seen:
        notes.append(f"The curves have {len(points.items):,} of {points.seen:,} points.")
    if not counted:
        notes.append("The file does not say how many force calls there were: each frame counts as one.")
    return notes
