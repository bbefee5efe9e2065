"""Performance profiles over several sets together, every structure one vote.

The calls of an optimizer are divided by the fewest that any optimizer of the same set took for that
structure.  All curves of a panel are over the same structures: an optimizer that was not run on every set of
a panel is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common.figures import drawing
from benchmarks.profile.sets import Set
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers.names import DEFAULT, FIRE, PRECON
from relax.analysis.comparison.profiles import LARGEST, frame, profile, ratios
from relax.rules import DEFAULT_RULE

LABELS = {DEFAULT: f"{DEFAULT_RULE} (default)"}
STYLES: dict[str, Json] = {
    DEFAULT: {"color": "#D55E00", "linewidth": 2.8, "zorder": 4},
    "pair-lbfgs": {"color": "#E69F00", "linewidth": 1.8, "zorder": 3},
    "sella": {"color": "#0072B2", "linewidth": 1.4, "marker": "o"},
    "geometric": {"color": "#009E73", "linewidth": 1.4, "marker": "s"},
    "pyberny": {"color": "#CC79A7", "linewidth": 1.4, "marker": "^"},
    PRECON: {"color": "#56B4E9", "linewidth": 1.4, "linestyle": "--", "marker": "P"},
    "ase:GoodOldQuasiNewton": {"color": "0.45", "linewidth": 1.2, "linestyle": "--", "marker": "v"},
    "ase:BFGS": {"color": "0.6", "linewidth": 1.2, "linestyle": "--", "marker": "D"},
    FIRE: {"color": "0.1", "linewidth": 1.4, "linestyle": "--", "marker": "X"},
}
"""The style of each curve, in the order of the legend: ours in warm colours, ASE's dashed."""
EVERYWHERE = (DEFAULT, "pair-lbfgs", "ase:GoodOldQuasiNewton", "ase:BFGS", FIRE)
"""The optimizers that are run on every set."""
MOLECULES = ("sella", "geometric", "pyberny")
PERIODIC = (PRECON,)


@dataclass(frozen=True)
class Panel:
    """The curves over some sets: ratios of calls (structures,) by the name of the optimizer."""

    title: str
    curves: dict[str, np.ndarray]
    missing: list[str]


def panels(sets: Sequence[Set]) -> list[Panel]:
    """Return a panel over all sets, and one for each family if there are several."""
    families = {
        family: [one for one in sets if one.family == family] for family in ("molecules", "materials")
    }
    found = [panel_of("all sets", sets, EVERYWHERE)]
    if all(families.values()):
        for (family, some), more in zip(families.items(), (MOLECULES, PERIODIC), strict=True):
            found.append(panel_of(family, some, (*EVERYWHERE, *more)))
    elif sets:
        found = [panel_of(sets[0].family, sets, (*EVERYWHERE, *MOLECULES, *PERIODIC))]
    return found


def panel_of(words: str, sets: Sequence[Set], names: Sequence[str]) -> Panel:
    """Return the curves of those of ``names`` that were run on every one of ``sets``."""
    beside = [dict(zip(one.rows, ratios(list(one.rows.values())), strict=True)) for one in sets]
    shared = [name for name in STYLES if name in names and all(name in rows for rows in beside)]
    curves = {name: np.concatenate([rows[name] for rows in beside]) for name in shared}
    structures = sum(one.structures for one in sets)
    missing = [name for name in names if name not in shared]
    return Panel(f"{words}: {structures} structures", curves, missing)


def draw(found: Sequence[Panel], path: Path) -> None:
    """Write a figure of some panels to ``path``, as .png and as .svg whatever its suffix."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    factors = np.geomspace(1, LARGEST, 400)
    with drawing(path) as plt:
        figure, axes = plt.subplots(
            ncols=len(found),
            figsize=(max(3.9 * len(found), 7.0), 4.5),
            sharey=True,
            squeeze=False,
            layout=ConstrainedLayoutEngine(w_pad=0.06, wspace=0.04),
        )
        handles = {}
        for axis, panel in zip(axes[0], found, strict=True):
            for number, (name, ratio) in enumerate(panel.curves.items()):
                look = {"markersize": 4.5, "markevery": (20 + 8 * number, 80)} | STYLES[name]
                (line,) = axis.plot(factors, profile(ratio, factors), label=LABELS.get(name, name), **look)
                handles[name] = line
            frame(axis)
            axis.set_xlabel("")
            axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
            axis.set_title(panel.title, fontsize=10.5)
        axes[0][0].set_ylabel("structures relaxed")
        figure.supxlabel("force calls, as a multiple of the fewest that any optimizer took", fontsize=10)
        named = [handles[name] for name in STYLES if name in handles]
        columns = (len(named) + 1) // 2 if len(found) > 1 else 3
        figure.legend(
            handles=named, loc="outside upper center", ncols=columns, frameon=False, handlelength=3.0
        )
