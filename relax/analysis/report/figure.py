"""The curves of runs as a picture."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from relax.analysis.report.reading.frames import Frame
from relax.campaign.exports.target import new_target
from relax.core.errors import UsageError

__all__ = ["PICTURES", "Curves", "curves_of", "draw"]

PICTURES = (".png", ".svg", ".pdf")
"""The endings of the pictures there are."""

MARKED = 60
"""Points of a curve up to which each is marked."""


@dataclass
class Curves:
    """What a run has computed at its force calls.

    Parameters
    ----------
    name
        What the legend calls it.
    formula, natoms
        The chemical formula, and the number of atoms.
    calls, energy, fmax
        Force calls so far, energies, eV, and longest forces on an atom, eV/A, of each frame.
    """

    name: str
    formula: str = ""
    natoms: int = 0
    calls: array[float] = field(default_factory=lambda: array("d"))
    energy: array[float] = field(default_factory=lambda: array("d"))
    fmax: array[float] = field(default_factory=lambda: array("d"))


def curves_of(name: str, frames: Iterable[Frame]) -> Curves:
    """Return the curves of a path, see :func:`relax.analysis.report.reading.frames.frames`."""
    found = Curves(name)
    for frame in frames:
        if not found.natoms:
            found.natoms = len(frame.atoms)
            found.formula = str(frame.atoms.get_chemical_formula("metal"))
        found.calls.append(frame.calls)
        found.energy.append(frame.energy)
        found.fmax.append(frame.fmax)
    return found


def draw(runs: Sequence[Curves], path: str | Path, force: bool = False) -> None:
    """Draw energies and longest forces against force calls, both with logarithmic axes.

    Runs of the same atoms share the zero of the energy, the lowest of all of them; others have their own.
    The lowest energy itself has no place on its axis.

    Parameters
    ----------
    runs
        The curves, one run or more.
    path
        The picture; the ending of its name says of which kind.
    force
        Whether a file that is there is replaced.

    Raises
    ------
    UsageError
        It is no picture, there is something at ``path``, or it cannot be written; or matplotlib is missing.
    """
    path = Path(path)
    if path.suffix not in PICTURES:
        raise UsageError(f"{path}: give a name in {', '.join(PICTURES)}")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("a picture needs matplotlib; pip install matplotlib") from None
    # The files must not depend on when or where they are made.
    looks: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 9}
    looks |= {"axes.spines.top": False, "axes.spines.right": False}
    with new_target(path, force) as part, mpl.rc_context(looks):
        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        energy, fmax = figure.subplots(1, 2)
        zeros = _zeros(runs)
        for run, zero in zip(runs, zeros, strict=True):
            _curve(energy, run, [value - zero for value in run.energy])
            _curve(fmax, run, run.fmax)
        _frame(energy, "energy above the lowest, eV")
        _frame(fmax, "longest force on an atom, eV/Å")
        lines = energy.get_lines()
        if len(runs) > 1:
            figure.legend(handles=lines, loc="outside right upper", frameon=False)
        else:
            figure.suptitle(f"{runs[0].name}, {runs[0].formula}", fontsize=9, x=0.01, ha="left")
        undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(part, dpi=160, metadata=undated.get(path.suffix))


def _zeros(runs: Sequence[Curves]) -> list[float]:
    """Return the energy (eV) that each run is drawn above."""
    lowest: dict[tuple[str, int], float] = {}
    for run in runs:
        key = run.formula, run.natoms
        lowest[key] = min(lowest.get(key, math.inf), *run.energy)
    return [lowest[run.formula, run.natoms] for run in runs]


def _curve(axis: Any, run: Curves, values: Sequence[float]) -> None:
    heights = np.array(values)
    heights[heights <= 0] = np.nan  # which a logarithmic axis does not have
    marks = {"marker": "o", "markersize": 2.5} if len(heights) <= MARKED else {}
    axis.plot(run.calls, heights, linewidth=1.3, label=run.name, **marks)


def _frame(axis: Any, label: str) -> None:
    axis.set_yscale("log")
    axis.set_xlabel("force calls")
    axis.set_title(label, fontsize=9, loc="left")
    axis.grid(alpha=0.2)
