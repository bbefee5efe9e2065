"""Performance profiles of force calls: a panel for each set, and one for all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.materials.optimizers import SELLA
from benchmarks.materials.statistics import pooled
from relax.comparison.profiles import panel, styles
from relax.comparison.statistics import Row

COLUMNS = 4
"""Panels beside each other."""


def draw(found: Sequence[Row], path: Path) -> None:
    """Write a figure of the results of some sets to ``path``, as .png and as .svg whatever its suffix."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = {results["set"]: results["rows"] for results in found}
    if len(found) > 1:
        panels["all sets"] = pooled([results["rows"] for results in found])
    looks = styles(list(dict.fromkeys(row["optimizer"] for rows in panels.values() for row in rows)))
    if SELLA in looks:
        looks[SELLA] = {"color": "0.55", "linewidth": 1.2, "linestyle": ":"}
    columns = min(COLUMNS, len(panels))
    lines = int(np.ceil(len(panels) / columns))
    # The files must not depend on when or where they are made.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 9}):
        figure, axes = plt.subplots(
            lines,
            columns,
            figsize=(3.8 * columns + 1.8, 3.6 * lines),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        handles = {}
        for axis, (name, rows) in zip(axes.flat, panels.items(), strict=False):
            panel(axis, rows, looks)
            axis.set_title(name, fontsize=9)
            axis.set_xlabel("")
            handles |= {line.get_label(): line for line in axis.get_lines()}
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        figure.supxlabel("force calls, as a multiple of the fewest any optimizer took", fontsize=9)
        figure.supylabel("part of the structures", fontsize=9)
        figure.legend(
            handles=[handles[name] for name in looks],
            loc="outside right center",
            frameon=False,
            handlelength=3.2,
        )
        figure.savefig(path.with_suffix(".png"), dpi=160)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        plt.close(figure)
