"""Performance profiles (Dolan and More, Math. Program. 91, 201 (2002)) of force calls, as PNG and SVG.

The curve of an optimizer gives, at each factor, the part of the crystals on which it took at most that
many times the calls of the best optimizer there; a run that failed took infinitely many.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crystal_statistics import converged
from benchmarks.crystal_table import title

Row = dict[str, Any]

LARGEST = 16.0
"""Factor at which the plot ends."""


def ratios(rows: Sequence[Row]) -> np.ndarray:
    """Return calls over the fewest of any optimizer, (optimizers, structures); infinite for a failure.

    A structure on which all failed counts for nobody.
    """
    calls = np.array([np.where(converged(row), row["calls"], np.inf) for row in rows])
    least = calls.min(axis=0)
    return np.where(np.isfinite(calls), calls / np.where(np.isfinite(least), least, 1.0), np.inf)


def profile(ratio: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the part of the structures (S,) on which an optimizer is within each of ``factors``."""
    return np.searchsorted(np.sort(ratio), factors, side="right") / len(ratio)


def draw(results: Row, stem: Path) -> None:
    """Write ``stem``.png and ``stem``.svg, a panel for each table."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rattles = list(dict.fromkeys(row["rattle"] for row in results["rows"]))
    # Text stays text, and nothing in the file depends on when or where it was made.
    style = {"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 9}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(
            1,
            len(rattles),
            figsize=(5.4 * len(rattles), 4.6),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, rattle in zip(axes[0], rattles, strict=True):
            panel(axis, [row for row in results["rows"] if row["rattle"] == rattle])
            axis.set_title(title(results, rattle), fontsize=9)
        axes[0][0].set_ylabel("part of the crystals")
        figure.savefig(stem.with_name(f"{stem.name}.png"), dpi=160)
        figure.savefig(stem.with_name(f"{stem.name}.svg"), metadata={"Date": None})
        plt.close(figure)


def panel(axis: Any, rows: Sequence[Row]) -> None:
    """Draw the profiles of one table: ours in colours, ASE's in grey."""
    from matplotlib import colormaps

    factors = np.geomspace(1, LARGEST, 400)
    ours = [row["optimizer"] for row in rows if not row["optimizer"].startswith("ase:")]
    theirs = [row["optimizer"] for row in rows if row["optimizer"].startswith("ase:")]
    dashes = [
        "--",
        ":",
        "-.",
        (0, (6, 1)),
        (0, (1, 1)),
        (0, (3, 1, 1, 1)),
        (0, (5, 4)),
        (0, (3, 1, 1, 1, 1, 1)),
    ]
    curves = sorted(
        ((profile(ratio, factors), row["optimizer"]) for ratio, row in zip(ratios(rows), rows, strict=True)),
        key=lambda curve: -curve[0].mean(),
    )
    for part, name in curves:
        if name in ours:
            style = {"color": colormaps["tab10"](ours.index(name) % 10), "linewidth": 2.0, "zorder": 3}
        else:
            i = theirs.index(name)
            style = {"color": str(0.25 + 0.4 * i / max(len(theirs) - 1, 1)), "linewidth": 1.2}
            style["linestyle"] = dashes[i % len(dashes)]
        axis.step(factors, part, where="post", label=name, **style)
    axis.set_xscale("log", base=2)
    axis.set_xticks([2**k for k in range(int(np.log2(LARGEST)) + 1)])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlim(1, LARGEST)
    axis.set_ylim(0, 1.01)
    axis.set_xlabel("force calls, as a multiple of the fewest any optimizer took")
    axis.grid(alpha=0.25)
    axis.legend(loc="lower right", fontsize=7, framealpha=0.9)
