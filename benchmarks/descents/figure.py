"""The figure of :mod:`benchmarks.descents`, as PNG and SVG: a column for each structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.figures import drawing
from relax.analysis.comparison.files.results_file import Json

# The colours of Okabe and Ito, for the colour-blind; dashes and markers also distinguish the curves.
STYLES: dict[str, Json] = {
    "ase:FIRE": {"color": "0.45", "linestyle": (0, (1, 1.2)), "marker": "X"},
    "ase:LBFGS": {"color": "#E69F00", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "ase:PreconLBFGS": {"color": "#CC79A7", "linestyle": (0, (5, 1.2, 1.2, 1.2)), "marker": "D"},
    "frankenstein": {"color": "#009E73", "marker": "v"},
    "lbfgs": {"color": "#0072B2", "marker": "s"},
    "pair-lbfgs": {"color": "#D55E00", "linewidth": 2.2, "marker": "o"},
}
"""The style of each optimizer's curve, in the order in which they are drawn."""
LONG = 100
"""Force calls above which the lines of a panel are thin."""


@dataclass(frozen=True)
class Curve:
    """One run, force call by force call.

    Attributes
    ----------
    above
        Energy above the lowest final one (calls,), eV/atom.
    force
        Largest force (calls,), eV/A.
    """

    name: str
    status: str
    above: np.ndarray
    force: np.ndarray

    @property
    def converged(self) -> bool:
        """Whether the run converged."""
        return self.status == "converged"


def curves(results: Json, system: str) -> list[Curve]:
    """Return the runs of a structure, with energies above the lowest final one of all runs."""
    rows = [row for row in results["rows"] if row["system"] == system and row["energy"]]
    ends = [row["energy"][-1] for row in rows if row["status"] == "converged"]
    lowest = min(ends or [row["energy"][-1] for row in rows], default=0.0)
    return [
        Curve(row["optimizer"], row["status"], np.array(row["energy"]) - lowest, np.array(row["force"]))
        for row in rows
    ]


def draw(results: Json, path: Path) -> None:
    """Write a figure to ``path``, as .png and as .svg whatever its suffix."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    systems = results["systems"]
    with drawing(path) as plt:
        figure, axes = plt.subplots(
            2, len(systems), figsize=(3.6 * len(systems) + 0.4, 6.2), sharex="col", squeeze=False,
            layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06, wspace=0.02),
        )  # fmt: skip
        handles: dict[str, Any] = {}
        for column, (name, spec) in zip(axes.T, systems.items(), strict=True):
            found = {curve.name: curve for curve in curves(results, name)}
            for curve in (found[optimizer] for optimizer in STYLES if optimizer in found):
                handles[curve.name] = panels(column, spec, curve)
            frame(column, spec, list(found.values()))
        axes[0][0].set_ylabel("energy above the lowest, eV/atom")
        axes[1][0].set_ylabel("largest force, eV/Å")
        named = [handles[name] for name in reversed(STYLES) if name in handles]
        figure.legend(handles=named, loc="outside lower center", ncols=6, frameon=False, handlelength=3.4)


def panels(column: Any, spec: Json, curve: Curve) -> Any:
    """Draw one run into both panels of its structure, and return its line for the legend."""
    from matplotlib.lines import Line2D

    style: Json = {"linewidth": 1.4} | STYLES[curve.name]
    width, _ = style.pop("linewidth"), style.pop("marker")
    calls = np.arange(1, len(curve.force) + 1)
    # A curve below the panel is drawn along its edge.
    for axis, values in zip(column, (np.maximum(curve.above, spec["lowest"]), curve.force), strict=True):
        axis.plot(calls, values, linewidth=width * (0.7 if len(calls) > LONG else 1.0), **style)
        # The marker at the end is empty for a run that did not converge.
        axis.plot(calls[-1], values[-1], clip_on=False, zorder=4, **marker(curve.name, curve.converged))
    return Line2D([], [], label=curve.name, linewidth=width, **style, **marker(curve.name))


def marker(name: str, full: bool = True) -> Json:
    """Return the style of the marker at the end of a curve."""
    color = STYLES[name]["color"]
    face, edge = (color, "white") if full else ("white", color)
    size: Json = {"markersize": 6.5, "markeredgewidth": 0.8}
    return {"marker": STYLES[name]["marker"], "markerfacecolor": face, "markeredgecolor": edge} | size


def frame(column: Any, spec: Json, found: list[Curve]) -> None:
    """Set the axes of the panels of a structure."""
    from matplotlib.ticker import NullLocator

    energy, force = column
    energy.set_title(f"{spec['title']}\n", fontsize=11)
    subtitle = spec["subtitle"].format(**spec)
    energy.text(0.5, 1.025, subtitle, transform=energy.transAxes, ha="center", color="0.35")
    force.set_xlabel("force calls")
    most = max((len(curve.force) for curve in found), default=1)
    for axis in column:
        axis.set_yscale("log")
        axis.set_xscale("log")
        axis.set_xlim(0.93, 1.15 * most)
        axis.set_xticks([tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick < 1.1 * most])
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.25, linewidth=0.6)
    energy.set_ylim(bottom=spec["lowest"])
    force.axhline(spec["fmax"], color="0.2", linewidth=0.8, linestyle=":", zorder=1)
    # Leave space for the words below the line, where there are no curves.
    low, high = force.get_ylim()
    force.set_ylim(min(low, spec["fmax"] * (spec["fmax"] / high) ** 0.1), high)
    words = f"runs end at {spec['fmax']:g} eV/Å"
    force.annotate(
        words, (0, spec["fmax"]), (6, -3), xycoords=("axes fraction", "data"), textcoords="offset points",
        color="0.2", fontsize=8, va="top",
    )  # fmt: skip
