"""The figure of the alloy, as figure 6 of the paper: ends and force calls by the size of the grains."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.alloy.summary import above_lowest, boxes, diameter, main_size
from benchmarks.common.figures import drawing
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import Row

# The colours of Okabe and Ito, for the colour-blind; dashes and markers also distinguish the curves.
STYLES: dict[str, Json] = {
    "lammps:fire": {"color": "0.45", "linestyle": (0, (1, 1.2)), "marker": "X"},
    "lammps:cg": {"color": "#CC79A7", "linestyle": (0, (5, 1.2, 1.2, 1.2)), "marker": "D"},
    "core": {"color": "#E69F00", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "frankenstein": {"color": "#009E73", "marker": "v"},
    "pair-lbfgs": {"color": "#0072B2", "marker": "s"},
    "default": {"color": "#D55E00", "marker": "o"},
    "core:metric=true": {"color": "#56B4E9", "linestyle": (0, (3, 1)), "marker": "P"},
}
"""The style of each optimizer's curve, in the order in which they are drawn."""

Points = dict[float, list[tuple[float, float]]]
"""Energies above the lowest (meV/atom) and force calls of the boxes, by the diameter of their grains (nm)."""


def points(results: Row, name: str, size: int) -> Points:
    """Return the converged runs of an optimizer on the boxes of a size."""
    found: Points = {}
    for (atoms, grains, _), rows in boxes(results).items():
        for row in rows:
            if (atoms, row["optimizer"], row["status"]) == (size, name, "converged"):
                found.setdefault(diameter(size, grains), []).append((above_lowest(row, rows), row["calls"]))
    return dict(sorted(found.items()))


def draw(results: Row, path: Path) -> None:
    """Write a figure of the boxes of the size with the most runs to ``path``, as .png and as .svg."""
    size = main_size(results)
    with drawing(path) as plt:
        figure, axes = plt.subplots(1, 2, figsize=(8.2, 4.4), layout="constrained")
        handles = []
        for shift, name in enumerate(STYLES):
            if found := points(results, name, size):
                # Points of several optimizers must not hide each other.
                handles.append(curves(axes, found, name, 0.008 * (shift - (len(STYLES) - 1) / 2)))
        axes[0].set_ylabel("energy above the lowest, meV/atom")
        axes[1].set_ylabel("force calls")
        axes[1].set_yscale("log")
        ticks = [100, 200, 500, 1000, 2000, 5000]
        axes[1].set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        axes[1].minorticks_off()
        for axis in axes:
            axis.set_xlabel("diameter of the grains, nm")
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(axis="y", color="0.9", linewidth=0.8)
            axis.set_axisbelow(True)
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, handlelength=3.4)


def curves(axes: Any, found: Points, name: str, shift: float) -> Any:
    """Draw means as lines and single boxes as points into both panels, and return a line for the legend."""
    style = {"linewidth": 1.6, "markersize": 6} | STYLES[name]
    for k, axis in enumerate(axes):
        x = [at + shift for at in found]
        (line,) = axis.plot(x, [mean(box[k] for box in each) for each in found.values()], label=name, **style)
        single = [(at, box[k]) for at, each in zip(x, found.values(), strict=True) for box in each]
        axis.plot(*zip(*single, strict=True), ".", color=style["color"], markersize=4, alpha=0.6)
    return line
