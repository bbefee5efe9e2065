"""Performance profiles (Dolan and More, Math. Program. 91, 201 (2002)) of force calls, as PNG and SVG.

The curve of an optimizer is, at each factor, the share of the structures for which it took at most that many
times the calls of the best optimizer; a run that failed counts as infinitely many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relax.analysis.comparison.minimizers.names import FIRE, is_foreign
from relax.analysis.comparison.statistics import Row, converged

MARKS = "osv^D<>Xph"
LARGEST = 16.0
"""Factor at which the plot ends."""
COLUMNS = 4
"""Panels beside each other."""


def ratios(rows: Sequence[Row]) -> np.ndarray:
    """Return calls over the fewest of any optimizer, (optimizers, structures); infinite for a failure."""
    calls = np.array([np.where(converged(row), row["calls"], np.inf) for row in rows])
    least = calls.min(axis=0)
    return np.where(np.isfinite(calls), calls / np.where(np.isfinite(least), least, 1.0), np.inf)


def profile(ratio: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the share of the structures (S,) for which ``ratio`` is within each of ``factors``."""
    return np.searchsorted(np.sort(ratio), factors, side="right") / len(ratio)


def draw(
    panels: Mapping[str, Sequence[Row]], path: Path, whole: str, suffixes: Sequence[str] = (".png", ".svg")
) -> None:
    """Write a figure with a panel for each table to ``path``, with each of ``suffixes`` whatever its own.

    Parameters
    ----------
    panels
        The rows of each table, by its title.
    whole
        What the curves are a part of, such as ``"the crystals"``.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    looks = styles(list(dict.fromkeys(row["optimizer"] for rows in panels.values() for row in rows)))
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    # The files must not depend on when or where they are made.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 9}):
        figure = Figure(figsize=(4.6 * columns + 1.8, 4.4 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axis, (title, rows) in zip(axes.flat, panels.items(), strict=False):
            panel(axis, rows, looks)
            axis.set_title(title, fontsize=9)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel(f"part of {whole}")
        curves = {curve.get_label(): curve for axis in axes.flat for curve in axis.get_lines()}
        named = [curves[name] for name in looks]
        figure.legend(handles=named, loc="outside right center", frameon=False, handlelength=3.2)
        for suffix in suffixes:
            dated = {"metadata": {"Date": None}} if suffix == ".svg" else {"dpi": 160}
            figure.savefig(path.with_suffix(suffix), **dated)


def styles(names: Sequence[str]) -> dict[str, Row]:
    """Return the style of each curve: ours in colours, others dashed, in grey, with markers.

    After ten of ours colours come again, with dotted curves.
    """
    from matplotlib import colormaps

    ours = [name for name in names if not is_foreign(name)]
    theirs = [name for name in names if is_foreign(name)]
    looks: dict[str, Row] = {
        name: {
            "color": colormaps["tab10"](i % 10),
            "linestyle": "-" if i < 10 else (0, (1, 0.8)),
            "linewidth": 2.2,
            "zorder": 3,
        }
        for i, name in enumerate(ours)
    }
    for i, name in enumerate(theirs):
        marks = {"marker": MARKS[i % len(MARKS)], "markersize": 4, "markevery": (10 + 3 * i, 40)}
        # FIRE is the reference in the tables.
        line = {"color": "0.1", "linewidth": 1.6} if name == FIRE else {"color": "0.55", "linewidth": 0.9}
        looks[name] = line | marks | {"linestyle": "--"}
    return looks


def panel(axis: Any, rows: Sequence[Row], looks: dict[str, Row]) -> None:
    """Draw the profiles of one table."""
    factors = np.geomspace(1, LARGEST, 400)
    for ratio, row in zip(ratios(rows), rows, strict=True):
        name = row["optimizer"]
        axis.plot(factors, profile(ratio, factors), label=name, **looks[name])
    frame(axis)


def frame(axis: Any) -> None:
    """Set the axes of a panel."""
    axis.set_xscale("log", base=2)
    axis.set_xticks([2**k for k in range(int(np.log2(LARGEST)) + 1)])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlim(1, LARGEST)
    axis.set_ylim(0, 1.01)
    axis.set_xlabel("force calls, as a multiple of the fewest any optimizer took")
    axis.grid(alpha=0.25)
