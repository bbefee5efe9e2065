"""The figure of :mod:`benchmarks.descents`, as PNG and SVG: a column for each structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]

# Okabe and Ito's colours, which all can tell apart; dashes and marks say the same once more.
LOOKS: dict[str, Json] = {
    "ase:FIRE": {"color": "0.45", "linestyle": (0, (1, 1.2)), "marker": "X"},
    "ase:LBFGS": {"color": "#E69F00", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "ase:PreconLBFGS": {"color": "#CC79A7", "linestyle": (0, (5, 1.2, 1.2, 1.2)), "marker": "D"},
    "frankenstein": {"color": "#009E73", "marker": "v"},
    "lbfgs": {"color": "#0072B2", "marker": "s"},
    "pair-lbfgs": {"color": "#D55E00", "linewidth": 2.2, "marker": "o"},
}
"""How the curve of each optimizer looks, in the order in which they are drawn."""
LONG = 100
"""Force calls above which the lines of a panel are thin."""


@dataclass(frozen=True)
class Curve:
    """One run, call by call."""

    name: str
    status: str
    above: np.ndarray  # energy above the lowest end, eV/atom
    force: np.ndarray  # eV/A

    @property
    def converged(self) -> bool:
        return self.status == "converged"


def curves(results: Json, system: str) -> list[Curve]:
    """Return the runs of a structure, energies being above the lowest that any run ended at."""
    rows = [row for row in results["rows"] if row["system"] == system and row["energy"]]
    ends = [row["energy"][-1] for row in rows if row["status"] == "converged"]
    lowest = min(ends or [row["energy"][-1] for row in rows], default=0.0)
    return [
        Curve(row["optimizer"], row["status"], np.array(row["energy"]) - lowest, np.array(row["force"]))
        for row in rows
    ]


def draw(results: Json, stem: Path) -> None:
    """Write ``stem``.png and ``stem``.svg."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    systems = results["systems"]
    # Text stays text, and nothing in the file depends on when or where it was made.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 10}):
        figure, axes = plt.subplots(
            2, len(systems), figsize=(3.6 * len(systems) + 0.4, 6.2), sharex="col", squeeze=False,
            layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06, wspace=0.02),
        )  # fmt: skip
        handles: dict[str, Any] = {}
        for column, (name, spec) in zip(axes.T, systems.items(), strict=True):
            found = {curve.name: curve for curve in curves(results, name)}
            for curve in (found[optimizer] for optimizer in LOOKS if optimizer in found):
                handles[curve.name] = panels(column, spec, curve)
            frame(column, spec, list(found.values()))
        axes[0][0].set_ylabel("energy above the lowest, eV/atom")
        axes[1][0].set_ylabel("largest force, eV/Å")
        named = [handles[name] for name in reversed(LOOKS) if name in handles]
        figure.legend(handles=named, loc="outside lower center", ncols=6, frameon=False, handlelength=3.4)
        figure.savefig(stem.with_name(f"{stem.name}.png"), dpi=160)
        figure.savefig(stem.with_name(f"{stem.name}.svg"), metadata={"Date": None})
        plt.close(figure)


def panels(column: Any, spec: Json, curve: Curve) -> Any:
    """Draw one run into both panels of its structure; return the line that stands for it in the legend."""
    from matplotlib.lines import Line2D

    look: Json = {"linewidth": 1.4} | LOOKS[curve.name]
    width, _ = look.pop("linewidth"), look.pop("marker")
    calls = np.arange(1, len(curve.force) + 1)
    # What is lower than the panel goes along its edge.
    for axis, values in zip(column, (np.maximum(curve.above, spec["lowest"]), curve.force), strict=True):
        axis.plot(calls, values, linewidth=width * (0.7 if len(calls) > LONG else 1.0), **look)
        # The mark is at the end of the run, and empty where that is not where it should have ended.
        axis.plot(calls[-1], values[-1], clip_on=False, zorder=4, **mark(curve.name, curve.converged))
    return Line2D([], [], label=curve.name, linewidth=width, **look, **mark(curve.name))


def mark(name: str, full: bool = True) -> Json:
    """Return how the end of a curve looks."""
    color = LOOKS[name]["color"]
    face, edge = (color, "white") if full else ("white", color)
    size: Json = {"markersize": 6.5, "markeredgewidth": 0.8}
    return {"marker": LOOKS[name]["marker"], "markerfacecolor": face, "markeredgecolor": edge} | size


def frame(column: Any, spec: Json, found: list[Curve]) -> None:
    """Give the panels of a structure their axes."""
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
    # Room for words below the line, where no run goes on.
    low, high = force.get_ylim()
    force.set_ylim(min(low, spec["fmax"] * (spec["fmax"] / high) ** 0.1), high)
    words = f"runs end at {spec['fmax']:g} eV/Å"
    force.annotate(
        words, (0, spec["fmax"]), (6, -3), xycoords=("axes fraction", "data"), textcoords="offset points",
        color="0.2", fontsize=8, va="top",
    )  # fmt: skip
